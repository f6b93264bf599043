/* What crosses the border, as it lies in memory: the canonical ABI of wit/transform.wit. */
#ifndef ROWMILL_ABI_H
#define ROWMILL_ABI_H

#include "rowmill.h"

typedef struct {
    uint8_t some;
    rm_text text;
} option;

typedef struct {
    uint8_t operation;
    rm_text source, table, key;
    option before, after;
    uint64_t version_first, version_second, ts_ms;
} lowered_change;

typedef struct {
    uint32_t change;
    uint8_t kind;
    union {
        struct {
            option id, index, routing;
            rm_text body;
        } document;
        struct {
            rm_text topic;
            option key;
            rm_text body;
        } message;
        rm_text reason;
    };
} lowered_output;

typedef struct {
    uint8_t failed;
    const void *at;
    size_t length;
} result;

#endif
