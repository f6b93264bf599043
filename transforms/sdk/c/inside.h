/* What the files of the library tell each other. */
#ifndef ROWMILL_INSIDE_H
#define ROWMILL_INSIDE_H

#include "rowmill.h"

#include <stdarg.h>

/* What an error calls a field: column or setting. */
extern const char *rm_reading;

/* Larger or smaller memory with the same content; cheap for what was taken last. */
void *rm_retake(void *old, size_t old_bytes, size_t bytes);

rm_text rm_vformat(const char *format, va_list values);

/* Opens the object of a body; closes it. */
void rm_begin(rm_writer *body);
void rm_finish(rm_writer *body);

/* Eight bytes at once, because in a module each turn of a loop also asks whether time is up. The lowest mark (the highest bit of a
 * byte) stands at the first byte that is a certain one, or below one; those above it may be wrong. */
#define RM_EACH(byte) (0x0101010101010101ull * (byte))

static inline uint64_t rm_eight(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, 8);
    return bytes;
}

static inline uint64_t rm_below(uint64_t bytes, unsigned char bound) { return (bytes - RM_EACH(bound)) & ~bytes & RM_EACH(0x80); }

static inline size_t rm_first(uint64_t marks) { return (size_t)__builtin_ctzll(marks) >> 3; }

static inline uint64_t rm_same(uint64_t bytes, unsigned char byte) { return rm_below(bytes ^ RM_EACH(byte), 1); }

#endif
