/* Writes JSON. */
#include "inside.h"
#include "rowmill.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Documents of one transform are of like size: room for the last one spares the next its growing. */
static size_t usual = 512;

enum { USUAL_MAX = 16 << 10 }; /* one huge document must not make every later one take as much */

static inline char *room(rm_writer *to, size_t bytes) {
    if (to->room - to->length < bytes) {
        size_t wanted = 2 * to->room + bytes;
        to->at = rm_retake(to->at, to->room, wanted);
        to->room = wanted;
    }
    return to->at + to->length;
}

static inline void add(rm_writer *to, const char *at, size_t length) {
    memcpy(room(to, length), at, length);
    to->length += length;
}

static inline void add_char(rm_writer *to, char c) {
    *room(to, 1) = c;
    to->length++;
}

/* What stands before a value: a comma, its name. */
static inline void before(rm_writer *to, const char *name) {
    size_t length = name ? strlen(name) : 0;
    char *at = room(to, length + 4);
    if (to->comma) *at++ = ',';
    if (name) {
        *at++ = '"';
        memcpy(at, name, length);
        at += length;
        *at++ = '"';
        *at++ = ':';
    }
    to->length = (size_t)(at - to->at);
    to->comma = true;
}

void rm_begin(rm_writer *body) {
    *body = (rm_writer){.at = rm_take(usual), .room = usual, .depth = 1};
    add_char(body, '{');
}

void rm_finish(rm_writer *body) {
    add_char(body, '}');
    body->at = rm_retake(body->at, body->room, body->length);
    body->room = body->length;
    usual = body->length < USUAL_MAX ? body->length + 8 : USUAL_MAX;
}

/* One bit for each level tells how it ends. */
static void open(rm_writer *to, const char *name, bool list) {
    before(to, name);
    add_char(to, list ? '[' : '{');
    to->comma = false;
    if (to->depth < 64) to->lists = list ? to->lists | 1ull << to->depth : to->lists & ~(1ull << to->depth);
    else rm_reject("a document is nested deeper than 64");
    to->depth++;
}

void rm_object(rm_writer *to, const char *name) { open(to, name, false); }

void rm_list(rm_writer *to, const char *name) { open(to, name, true); }

void rm_end(rm_writer *to) {
    if (to->depth <= 1) { /* the body itself is ended by the library, which sees this */
        to->depth = 0;
        return;
    }
    to->depth--;
    add_char(to, to->lists >> (to->depth & 63) & 1 ? ']' : '}');
    to->comma = true;
}

void rm_put(rm_writer *to, const char *name, rm_value value) {
    if (rm_has(value)) rm_put_json(to, name, value.json);
}

void rm_put_json(rm_writer *to, const char *name, rm_text json) {
    before(to, name);
    add(to, json.at, json.length);
}

static inline bool is_plain(char c) { return (unsigned char)c >= ' ' && c != '"' && c != '\\'; }

static size_t count_escapes(rm_text text) {
    size_t escapes = 0, place = 0;
    while (place < text.length) {
        if (text.length - place >= 8) {
            uint64_t bytes = rm_eight(text.at + place);
            uint64_t marks = rm_same(bytes, '"') | rm_same(bytes, '\\') | rm_below(bytes, ' ');
            if (!marks) {
                place += 8;
                continue;
            }
            place += rm_first(marks);
        }
        escapes += !is_plain(text.at[place++]);
    }
    return escapes;
}

static char *escaped(char *to, char c) {
    static const char hex[] = "0123456789abcdef";
    *to++ = '\\';
    if (c == '"' || c == '\\') *to++ = c;
    else if (c == '\n') *to++ = 'n';
    else {
        memcpy(to, "u00", 3);
        to[3] = hex[c >> 4 & 15];
        to[4] = hex[c & 15];
        to += 5;
    }
    return to;
}

void rm_put_text(rm_writer *to, const char *name, rm_text text) {
    before(to, name);
    size_t escapes = count_escapes(text);
    char *at = room(to, text.length + 5 * escapes + 2);
    *at++ = '"';
    if (escapes == 0) {
        memcpy(at, text.at, text.length);
        at += text.length;
    } else {
        for (size_t place = 0; place < text.length; place++) {
            if (is_plain(text.at[place])) *at++ = text.at[place];
            else at = escaped(at, text.at[place]);
        }
    }
    *at++ = '"';
    to->length = (size_t)(at - to->at);
}

void rm_put_integer(rm_writer *to, const char *name, int64_t integer) {
    char digits[20];
    char *at = digits + sizeof digits;
    uint64_t rest = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;
    do *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (integer < 0) *--at = '-';
    rm_put_json(to, name, (rm_text){at, (size_t)(digits + sizeof digits - at)});
}

void rm_put_float(rm_writer *to, const char *name, double number) {
    char digits[32];
    if (!isfinite(number)) {
        rm_reject("JSON has no number %f for `%s`", number, name ? name : "");
        return;
    }
    int length = 0;
    for (int precision = 15; precision <= 17; precision++) { /* as few digits as give the same number */
        length = snprintf(digits, sizeof digits, "%.*g", precision, number);
        if (strtod(digits, NULL) == number) break;
    }
    rm_put_json(to, name, (rm_text){digits, (size_t)length});
}

void rm_put_boolean(rm_writer *to, const char *name, bool boolean) { rm_put_json(to, name, rm_of(boolean ? "true" : "false")); }
