/* What crosses the border, as it lies in memory: the canonical ABI of wit/transform.wit and wit/aggregate.wit. */
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
    uint8_t some;
    uint64_t number;
} number_option;

typedef struct {
    uint32_t change;
    struct {
        uint8_t kind; /* 0 counts, 1 is a reject */
        union {
            struct {
                rm_text key;
                number_option time_ms;
                double weight;
                option distinct;
            } measure;
            rm_text reason;
        };
    } measured;
} lowered_measurement;

typedef struct {
    struct {
        uint8_t some;
        uint64_t start_ms, end_ms;
    } window;
    rm_text key;
    struct {
        uint8_t some;
        uint32_t number;
    } rank;
    uint8_t is_final;
    uint64_t count;
    rm_text sum;
    option min, max, average;
    number_option distinct;
    struct {
        uint8_t some;
        double number;
    } score;
} lowered_row;

typedef struct {
    uint8_t failed;
    const void *at;
    size_t length;
} result;

#endif
