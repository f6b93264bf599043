/* Tests of aggregates, natively: an aggregate that does what its rows tell it to, called as the host would call it. */
#include "host.h"

const result *rm_export_measure(const lowered_change *changes, size_t length);
const result *rm_export_render(const lowered_row *rows, size_t length);
void rm_export_post_measure(const result *of);
void rm_export_post_render(const result *of);

/* ---- The aggregate ------------------------------------------------------------------------------------------------------- */

enum { KEYS, AT, AMOUNT, USER, DO, COLUMNS };
static const char *const columns[COLUMNS] = {[KEYS] = "keys", [AT] = "at", [AMOUNT] = "amount", [USER] = "user", [DO] = "do"};

bool rowmill_measure(const rm_change *change) {
    rm_value row[COLUMNS], key;
    rm_read(change->after, columns, COLUMNS, row);
    for (rm_items keys = rm_items_of(row[KEYS]); rm_next(&keys, &key);) {
        rm_measure *measure = rm_count_for(rm_string(key));
        measure->time_ms = (uint64_t)rm_integer(row[AT]);
        if (rm_has(row[AMOUNT])) measure->weight = rm_float(row[AMOUNT]);
        measure->distinct = rm_string(row[USER]);
    }
    rm_text to_do = rm_string(row[DO]);
    if (rm_equal(to_do, "reject")) return rm_reject("no");
    if (rm_equal(to_do, "index")) rm_index();
    return !rm_equal(to_do, "false");
}

/* Without it, in the other of the two programs made of this file, rows are their own documents. */
#ifdef RENDERS
bool rowmill_render(const rm_window_row *row) {
    if (row->count == 0) return rm_reject("nothing was counted");
    if (row->rank > 10) return true;
    if (rm_equal(row->key, "measure")) rm_count_for(row->key);
    rm_document *document = rm_index();
    document->id = row->key;
    rm_put_text(&document->body, "from", row->has_window ? rm_instant(row->start_ms) : rm_of("ever"));
    rm_put_boolean(&document->body, "final", row->is_final);
    return true;
}
#endif

/* ---- Checking ------------------------------------------------------------------------------------------------------------------- */

static rm_text shown;

static void measured(const char *const rows[], size_t count, const char *expected) {
    lowered_change *changes = rm_export_realloc(NULL, 0, 8, count * sizeof *changes);
    for (size_t place = 0; place < count; place++) {
        changes[place] = (lowered_change){.operation = rows[place] ? RM_UPDATE : RM_DELETE, .key = rm_of("null")};
        if (rows[place]) changes[place].after = (option){1, rm_of(rows[place])};
    }
    const result *of = rm_export_measure(changes, count);
    const lowered_measurement *measurements = of->at;
    shown = rm_of("");
    for (size_t place = 0; place < of->length; place++) {
        const lowered_measurement *one = &measurements[place];
        shown = rm_format("%.*s%s%u", RM_ARG(shown), place ? "\n" : "", one->change);
        if (one->measured.kind) {
            shown = rm_format("%.*s reject %.*s", RM_ARG(shown), RM_ARG(one->measured.reason));
            continue;
        }
        shown = rm_format("%.*s %.*s %g", RM_ARG(shown), RM_ARG(one->measured.measure.key), one->measured.measure.weight);
        if (one->measured.measure.time_ms.some) shown = rm_format("%.*s at %d", RM_ARG(shown), (int)one->measured.measure.time_ms.number);
        if (one->measured.measure.distinct.some) shown = rm_format("%.*s by %.*s", RM_ARG(shown), RM_ARG(one->measured.measure.distinct.text));
    }
    equal(shown.at, expected);
    rm_export_post_measure(of);
}

static void rendered(const lowered_row *rows, size_t count, const char *expected) {
    const result *of = rm_export_render(rows, count);
    const lowered_output *outputs = of->at;
    shown = rm_of("");
    for (size_t place = 0; place < of->length; place++) {
        const lowered_output *one = &outputs[place];
        shown = rm_format("%.*s%s%u ", RM_ARG(shown), place ? "\n" : "", one->change);
        if (one->kind == 0 && one->document.id.some) shown = rm_format("%.*s%.*s ", RM_ARG(shown), RM_ARG(one->document.id.text));
        shown = rm_format("%.*s%.*s", RM_ARG(shown), RM_ARG(one->kind == 0 ? one->document.body : one->reason));
    }
    equal(shown.at, expected);
    rm_export_post_render(of);
}

static option digits(const char *of) { return (option){1, rm_of(of)}; }

int main(void) {
    init("{}", "");
    init("{\"a\":1}", "transform.config: setting `a`: there is no such field");
    static const char *const changes[] = {"{\"keys\":[\"a\",\"b\"],\"at\":7,\"amount\":-0.1,\"user\":\"u\"}", NULL, "{\"keys\":null}",
                                          "{\"keys\":[\"c\",1]}", "{\"keys\":[\"c\"],\"do\":\"reject\"}", "{\"do\":\"false\"}",
                                          "{\"do\":\"index\"}", "{\"keys\":[\"d\"]}"};
    measured(changes, 8,
             "0 a -0.1 at 7 by u\n"
             "0 b -0.1 at 7 by u\n"
             "3 reject expected a text, found 1\n"
             "4 reject no\n"
             "5 reject rowmill_measure returned false without rm_reject\n"
             "6 reject rowmill_measure puts documents, which only rowmill_render may\n"
             "7 d 1");
    const lowered_row rows[] = {
        {.window = {1, 1795219200000, 1795219260500}, .key = rm_of("la\"ptop"), .rank = {1, 4294967295}, .is_final = 1, .count = 18446744073709551615u,
         .sum = rm_of("12345678901.1234567890"), .min = digits("-0.10"), .max = digits("3"), .average = digits("1.5"), .distinct = {1, 0}, .score = {1, 1.25}},
        /* What is not there is not looked at. */
        {.window = {0, 1, 1}, .key = rm_of("k"), .rank = {0, 11}, .sum = rm_of("0"), .distinct = {0, 1}, .score = {0, 1}},
        {.key = rm_of("measure"), .count = 1, .sum = rm_of("1")},
    };
#ifdef RENDERS
    rendered(rows, 3, "1 nothing was counted\n2 rm_count_for is only for rowmill_measure");
    const lowered_row more[] = {{.window = {1, 1000, 2000}, .key = rm_of("k"), .count = 1}, {.key = rm_of("l"), .is_final = 1, .count = 1}};
    rendered(more, 2, "0 k {\"from\":\"1970-01-01T00:00:01Z\",\"final\":false}\n1 l {\"from\":\"ever\",\"final\":true}");
#else
    rendered(rows, 3,
             "0 {\"key\":\"la\\\"ptop\",\"window_start\":\"2026-11-21T00:00:00Z\",\"window_end\":\"2026-11-21T00:01:00.500Z\",\"rank\":4294967295,"
             "\"count\":18446744073709551615,\"sum\":12345678901.1234567890,\"min\":-0.10,\"max\":3,\"average\":1.5,\"distinct\":0,\"score\":1.25}\n"
             "1 {\"key\":\"k\",\"count\":0,\"sum\":0}\n"
             "2 {\"key\":\"measure\",\"count\":1,\"sum\":1}");
#endif
    if (failures) fprintf(stderr, "%d failures\n", failures);
    return failures > 0;
}
