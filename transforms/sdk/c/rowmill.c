/* The canonical ABI of the worlds rowmill:transform/transform and rowmill:transform/aggregate (wit/), by hand, and the memory of a batch. */
#include "rowmill.h"
#include "abi.h"
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Memory: taken piece by piece, freed as a whole ---------------------------------------------------------------- */

typedef struct chunk {
    struct chunk *before;
    size_t room, used;
    uint64_t start[]; /* of uint64_t, to be aligned */
} chunk;

enum {
    CHUNK_BYTES_MIN = 64 << 10,
    CHUNK_BYTES_KEPT_MAX = 16 << 20, /* one huge row must not hold its memory for good */
};

static chunk *chunks;

static char *start_of(chunk *of) { return (char *)of->start; }

void *rm_take(size_t bytes) {
    bytes = (bytes + 7) & ~(size_t)7;
    if (!chunks || chunks->room - chunks->used < bytes) {
        size_t room = chunks ? 2 * chunks->room : CHUNK_BYTES_MIN;
        if (room > CHUNK_BYTES_KEPT_MAX) room = CHUNK_BYTES_KEPT_MAX;
        if (room < bytes) room = bytes;
        chunk *added = malloc(sizeof(chunk) + room);
        if (!added) abort(); /* the host has refused more memory, and says so */
        added->before = chunks;
        added->room = room;
        added->used = 0;
        chunks = added;
    }
    void *at = start_of(chunks) + chunks->used;
    chunks->used += bytes;
    return at;
}

void *rm_retake(void *old, size_t old_bytes, size_t bytes) {
    size_t held = (old_bytes + 7) & ~(size_t)7, wanted = (bytes + 7) & ~(size_t)7;
    if (old && (char *)old + held == start_of(chunks) + chunks->used && chunks->room - chunks->used + held >= wanted) {
        chunks->used = chunks->used - held + wanted; /* it was taken last: there is room behind it */
        return old;
    }
    void *at = rm_take(bytes);
    if (old) memcpy(at, old, old_bytes < bytes ? old_bytes : bytes);
    return at;
}

/* Keeps the newest chunk, which is the largest: in the end it holds a whole batch. */
static void free_all(void) {
    if (!chunks) return;
    for (chunk *of = chunks->before, *before; of; of = before) {
        before = of->before;
        free(of);
    }
    chunks->before = NULL;
    chunks->used = 0;
    if (chunks->room > CHUNK_BYTES_KEPT_MAX) {
        free(chunks);
        chunks = NULL;
    }
}

rm_text rm_vformat(const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) length = 0;
    char *at = rm_take((size_t)length + 1);
    vsnprintf(at, (size_t)length + 1, format, values);
    return (rm_text){at, (size_t)length};
}

rm_text rm_format(const char *words, ...) {
    va_list values;
    va_start(values, words);
    rm_text text = rm_vformat(words, values);
    va_end(values);
    return text;
}

/* ---- What went wrong -------------------------------------------------------------------------------------------------- */

/* The first reason counts: what follows mostly follows from it. */
static bool failed;
static rm_text reason;

bool rm_reject(const char *words, ...) {
    if (!failed) {
        va_list values;
        va_start(values, words);
        reason = rm_vformat(words, values);
        va_end(values);
        failed = true;
    }
    return false;
}

const char *rm_reading = "column";

/* ---- Outputs ------------------------------------------------------------------------------------------------------------ */

typedef struct output {
    enum { INDEX, REMOVE, EMIT, REJECT, MEASURE } kind; /* the contract's order, and what is in no order with them */
    uint32_t change;
    struct output *next;
    union {
        rm_document document;
        rm_message message;
        rm_text reason;
        rm_measure measure;
    };
} output;

static output *first, **last = &first;
static uint32_t count, present;

static output *put(int kind) {
    output *added = rm_take(sizeof(output));
    *added = (output){.kind = kind, .change = present};
    *last = added;
    last = &added->next;
    count++;
    return added;
}

rm_document *rm_index(void) {
    output *added = put(INDEX);
    rm_begin(&added->document.body);
    return &added->document;
}

rm_message *rm_emit(const char *topic) {
    output *added = put(EMIT);
    added->message.topic = rm_of(topic);
    rm_begin(&added->message.body);
    return &added->message;
}

void rm_delete(rm_text id, rm_text index, rm_text routing) {
    put(REMOVE)->document = (rm_document){.id = id, .index = index, .routing = routing};
}

rm_measure *rm_count_for(rm_text key) {
    output *added = put(MEASURE);
    added->measure = (rm_measure){.key = key, .weight = 1};
    return &added->measure;
}

static bool measuring;

static void finish(output *of) {
    if (measuring != (of->kind == MEASURE))
        rm_reject(measuring ? "rowmill_measure puts documents, which only rowmill_render may" : "rm_count_for is only for rowmill_measure");
    rm_writer *body = of->kind == INDEX ? &of->document.body : of->kind == EMIT ? &of->message.body : NULL;
    if (body && body->depth != 1) rm_reject("the transform has an object or list without rm_end, or an rm_end without one");
    if (body) rm_finish(body);
}

static void begin_batch(bool of_measures) {
    first = NULL;
    last = &first;
    count = 0;
    measuring = of_measures;
}

typedef bool function(const void *argument);

/* What a rejected change (or row) had put is taken back. */
static void run(function *of_user, const void *argument, const char *name) {
    output **from = last;
    uint32_t had = count;
    failed = false;
    bool well = of_user(argument);
    for (output *of = *from; of && !failed; of = of->next) finish(of);
    if (well && !failed) return;
    last = from;
    *last = NULL;
    count = had;
    put(REJECT)->reason = failed ? reason : rm_format("%s returned false without rm_reject", name);
}

/* ---- As it lies in memory -------------------------------------------------------------------------------------------- */

#ifdef __wasm__
_Static_assert(sizeof(lowered_change) == 80 && sizeof(lowered_output) == 52 && sizeof(result) == 12, "the contract's layout");
_Static_assert(sizeof(lowered_measurement) == 64 && sizeof(lowered_row) == 136, "the contract's layout");
#endif

static rm_change lift(const lowered_change *of) {
    rm_text none = {NULL, 0};
    return (rm_change){
        of->operation,
        of->source,
        of->table,
        of->key,
        of->before.some ? of->before.text : none,
        of->after.some ? of->after.text : none,
        of->version_first,
        of->version_second,
        of->ts_ms,
    };
}

static option optional(rm_text text) { return (option){text.length > 0, text}; }

static rm_text written(const rm_writer *body) { return (rm_text){body->at, body->length}; }

static lowered_output lower(const output *of) {
    lowered_output to = {.change = of->change, .kind = of->kind};
    switch (of->kind) {
    case INDEX:
    case REMOVE:
        to.document.id = optional(of->document.id);
        to.document.index = optional(of->document.index);
        to.document.routing = optional(of->document.routing);
        to.document.body = written(&of->document.body);
        break;
    case EMIT:
        to.message.topic = of->message.topic;
        to.message.key = optional(of->message.key);
        to.message.body = written(&of->message.body);
        break;
    case REJECT: to.reason = of->reason; break;
    case MEASURE: break; /* finish has refused it */
    }
    return to;
}

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
#else
#define EXPORT(name)
#endif

EXPORT("init") const result *rm_export_init(const char *config, size_t length) {
    static result answer;
    rm_reading = "setting";
    failed = false;
    bool well = rowmill_init((rm_text){config, length});
    rm_reading = "column";
    if (well && !failed) answer = (result){0};
    else {
        rm_text words = failed ? rm_format("transform.config: %.*s", RM_ARG(reason)) : rm_of("rowmill_init returned false without rm_reject");
        answer = (result){1, words.at, words.length};
    }
    return &answer;
}

static const result *answer_outputs(void) {
    static result answer;
    lowered_output *outputs = rm_take(count * sizeof(lowered_output)), *to = outputs;
    for (const output *of = first; of; of = of->next) *to++ = lower(of);
    answer = (result){0, outputs, count};
    return &answer;
}

#ifndef ROWMILL_AGGREGATE

static bool change_of_user(const void *change) { return rowmill_change(change); }

EXPORT("transform") const result *rm_export_transform(const lowered_change *changes, size_t length) {
    begin_batch(false);
    for (present = 0; present < length; present++) {
        rm_change change = lift(&changes[present]);
        if (change.operation != RM_DELETE || rowmill_deletes) run(change_of_user, &change, "rowmill_change");
    }
    return answer_outputs();
}

EXPORT("cabi_post_transform") void rm_export_post_transform(const result *answer) {
    (void)answer;
    free_all();
}

#else

static bool measure_of_user(const void *change) { return rowmill_measure(change); }

static bool render_of_user(const void *row) { return rowmill_render(row); }

static lowered_measurement lower_measured(const output *of) {
    lowered_measurement to = {.change = of->change, .measured.kind = of->kind == REJECT};
    if (of->kind == REJECT) {
        to.measured.reason = of->reason;
        return to;
    }
    to.measured.measure.key = of->measure.key;
    to.measured.measure.time_ms = (number_option){of->measure.time_ms > 0, of->measure.time_ms};
    to.measured.measure.weight = of->measure.weight;
    to.measured.measure.distinct = optional(of->measure.distinct);
    return to;
}

EXPORT("measure") const result *rm_export_measure(const lowered_change *changes, size_t length) {
    static result answer;
    begin_batch(true);
    for (present = 0; present < length; present++) {
        rm_change change = lift(&changes[present]);
        if (change.operation != RM_DELETE) run(measure_of_user, &change, "rowmill_measure");
    }
    lowered_measurement *measurements = rm_take(count * sizeof(lowered_measurement)), *to = measurements;
    for (const output *of = first; of; of = of->next) *to++ = lower_measured(of);
    answer = (result){0, measurements, count};
    return &answer;
}

static rm_text text_of(option text) { return text.some ? text.text : (rm_text){NULL, 0}; }

static rm_window_row lift_row(const lowered_row *of) {
    return (rm_window_row){
        .has_window = of->window.some,
        .start_ms = of->window.some ? of->window.start_ms : 0,
        .end_ms = of->window.some ? of->window.end_ms : 0,
        .key = of->key,
        .rank = of->rank.some ? of->rank.number : 0,
        .is_final = of->is_final,
        .count = of->count,
        .sum = of->sum,
        .min = text_of(of->min),
        .max = text_of(of->max),
        .average = text_of(of->average),
        .has_distinct = of->distinct.some,
        .has_score = of->score.some,
        .distinct = of->distinct.some ? of->distinct.number : 0,
        .score = of->score.some ? of->score.number : 0,
    };
}

EXPORT("render") const result *rm_export_render(const lowered_row *rows, size_t length) {
    begin_batch(false);
    for (present = 0; present < length; present++) {
        rm_window_row row = lift_row(&rows[present]);
        run(render_of_user, &row, "rowmill_render");
    }
    return answer_outputs();
}

EXPORT("cabi_post_measure") void rm_export_post_measure(const result *answer) {
    (void)answer;
    free_all();
}

EXPORT("cabi_post_render") void rm_export_post_render(const result *answer) {
    (void)answer;
    free_all();
}

#endif

EXPORT("cabi_post_init") void rm_export_post_init(const result *answer) {
    (void)answer;
    free_all();
}

EXPORT("cabi_realloc") void *rm_export_realloc(void *old, size_t old_bytes, size_t align, size_t bytes) {
    (void)align; /* 8 at most, which is what everything has */
    return rm_retake(old_bytes ? old : NULL, old_bytes, bytes);
}

/* The adapter of WASI preview 1 asks once, for its state and its stack, and keeps them: they must not be of the batch. */
EXPORT("cabi_realloc_adapter") void *rm_export_realloc_adapter(void *old, size_t old_bytes, size_t align, size_t bytes) {
    (void)old, (void)old_bytes, (void)align;
    return calloc(1, bytes);
}

/* ---- Defaults -------------------------------------------------------------------------------------------------------------- */

__attribute__((weak)) bool rowmill_init(rm_text config) {
    rm_settings(config, NULL, 0, NULL);
    return true;
}

__attribute__((weak)) const bool rowmill_deletes = false;
