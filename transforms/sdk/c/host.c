/* Calls to the host, as the canonical ABI has them: a text is its address and length, a result is written to an address. */
#include "inside.h"
#include "rowmill.h"

#ifdef __wasm__
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#else
#define IMPORT(module, name) /* the tests have their own */
#endif

/* What the store answers: a tag, then what belongs to it, or an error: its kind and, of the last kind, words. */
typedef struct {
    uint8_t failed;
    union {
        struct {
            uint8_t kind;
            rm_text words;
        } error;
        uint32_t bucket;
        struct {
            uint8_t some;
            rm_text value;
        } found;
    };
} answer;

/* The same with a number, which stands at a multiple of 8. */
typedef struct {
    uint8_t failed;
    union {
        struct {
            uint8_t kind;
            rm_text words;
        } error;
        uint64_t sum;
    };
} sum_answer;

IMPORT("wasi:logging/logging@0.1.0-draft", "log")
void rm_import_log(int level, const char *context, size_t context_length, const char *line, size_t length);
IMPORT("rowmill:transform/metrics@1.0.0", "count") void rm_import_count(const char *name, size_t length, uint64_t delta);
IMPORT("rowmill:transform/metrics@1.0.0", "gauge") void rm_import_gauge(const char *name, size_t length, double value);
IMPORT("wasi:keyvalue/store@0.2.0-draft", "open") void rm_import_open(const char *name, size_t length, answer *to);
IMPORT("wasi:keyvalue/store@0.2.0-draft", "[method]bucket.get")
void rm_import_get(uint32_t bucket, const char *key, size_t length, answer *to);
IMPORT("wasi:keyvalue/store@0.2.0-draft", "[method]bucket.set")
void rm_import_set(uint32_t bucket, const char *key, size_t length, const char *value, size_t value_length, answer *to);
IMPORT("wasi:keyvalue/store@0.2.0-draft", "[method]bucket.delete")
void rm_import_delete(uint32_t bucket, const char *key, size_t length, answer *to);
IMPORT("wasi:keyvalue/atomics@0.2.0-draft", "increment")
void rm_import_increment(uint32_t bucket, const char *key, size_t length, uint64_t delta, sum_answer *to);

void rm_log(rm_level level, const char *format, ...) {
    va_list values;
    va_start(values, format);
    rm_text line = rm_vformat(format, values);
    va_end(values);
    rm_import_log(level, "", 0, line.at, line.length);
}

void rm_count(const char *name, uint64_t delta) { rm_import_count(name, strlen(name), delta); }

void rm_gauge(const char *name, double value) { rm_import_gauge(name, strlen(name), value); }

static bool refused(bool failed, uint8_t kind, rm_text words) {
    static const char *const kinds[] = {"there is no such store", "access denied"};
    if (failed && kind < 2) rm_reject("the key-value store: %s", kinds[kind]);
    else if (failed) rm_reject("the key-value store: %.*s", RM_ARG(words));
    return failed;
}

/* The bucket is opened once; the host closes it with the instance. */
static bool bucket(uint32_t *handle) {
    static bool is_open;
    static uint32_t opened;
    if (!is_open) {
        answer to;
        rm_import_open("default", 7, &to);
        if (refused(to.failed, to.error.kind, to.error.words)) return false;
        opened = to.bucket;
        is_open = true;
    }
    *handle = opened;
    return true;
}

bool rm_store_get(rm_text key, rm_text *value) {
    uint32_t of;
    answer to;
    *value = (rm_text){NULL, 0};
    if (!bucket(&of)) return false;
    rm_import_get(of, key.at, key.length, &to);
    if (refused(to.failed, to.error.kind, to.error.words) || !to.found.some) return false;
    *value = to.found.value;
    return true;
}

void rm_store_set(rm_text key, rm_text value) {
    uint32_t of;
    answer to;
    if (!bucket(&of)) return;
    rm_import_set(of, key.at, key.length, value.at, value.length, &to);
    refused(to.failed, to.error.kind, to.error.words);
}

void rm_store_delete(rm_text key) {
    uint32_t of;
    answer to;
    if (!bucket(&of)) return;
    rm_import_delete(of, key.at, key.length, &to);
    refused(to.failed, to.error.kind, to.error.words);
}

uint64_t rm_store_increment(rm_text key, uint64_t delta) {
    uint32_t of;
    sum_answer to;
    if (!bucket(&of)) return 0;
    rm_import_increment(of, key.at, key.length, delta, &to);
    return refused(to.failed, to.error.kind, to.error.words) ? 0 : to.sum;
}
