/* A host for tests: what the library imports, and what is asked of it. */
#ifndef ROWMILL_TESTS_HOST_H
#define ROWMILL_TESTS_HOST_H

#include "../abi.h"
#include "../inside.h"
#include "../rowmill.h"

#include <stdio.h>
#include <stdlib.h>

const result *rm_export_init(const char *config, size_t length);
void *rm_export_realloc(void *old, size_t old_bytes, size_t align, size_t bytes);

static char heard[1000];

void rm_import_log(int level, const char *context, size_t context_length, const char *line, size_t length) {
    (void)context, (void)context_length;
    snprintf(heard, sizeof heard, "%d %.*s", level, (int)length, line);
}

void rm_import_count(const char *name, size_t length, uint64_t delta) { snprintf(heard, sizeof heard, "%.*s +%d", (int)length, name, (int)delta); }

void rm_import_gauge(const char *name, size_t length, double value) { snprintf(heard, sizeof heard, "%.*s %g", (int)length, name, value); }

/* What the store answers, as bytes: an error "other", with words. */
typedef struct {
    uint8_t failed;
    struct {
        uint8_t kind;
        rm_text words;
    } error;
} refusal;

void rm_import_open(const char *name, size_t length, refusal *to) {
    (void)name, (void)length;
    *to = (refusal){1, {2, rm_of("closed")}};
}

#define NEVER(name) \
    void name(void) { abort(); }
NEVER(rm_import_get)
NEVER(rm_import_set)
NEVER(rm_import_delete)
NEVER(rm_import_increment)

static int failures;

static void equal(const char *got, const char *expected) {
    if (strcmp(got, expected) == 0) return;
    fprintf(stderr, "\n   got %s\nwanted %s\n", got, expected);
    failures++;
}

static void init(const char *config, const char *expected) {
    const result *of = rm_export_init(config, strlen(config));
    equal(of->failed ? rm_format("%.*s", (int)of->length, (const char *)of->at).at : "", expected);
}

#endif
