/* Write a Rowmill transform in C: one function from a database row to a search document.
 *
 *     #include "rowmill.h"
 *
 *     enum { ID, NAME, COLUMNS };
 *     static const char *const columns[COLUMNS] = {[ID] = "id", [NAME] = "name"};
 *
 *     bool rowmill_change(const rm_change *change) {
 *         rm_value row[COLUMNS];
 *         rm_read(change->after, columns, COLUMNS, row);
 *         rm_document *document = rm_index();
 *         rm_put(&document->body, "product_id", row[ID]);
 *         rm_put(&document->body, "title", row[NAME]);
 *         return true;
 *     }
 *
 * What is wrong need not be asked for after each line: what cannot be read gives nothing (0, false, an empty text), is remembered,
 * and rejects the change when the function returns, with a reason that names the column.
 *
 * Memory: everything the library gives (texts, values, documents) stays until the batch is done, and is freed then. What is to be
 * kept longer is copied, with malloc. */
#ifndef ROWMILL_H
#define ROWMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A piece of UTF-8 text; not ended by a zero. In formats: printf("%.*s", RM_ARG(text)). */
typedef struct {
    const char *at;
    size_t length;
} rm_text;

#define RM_ARG(text) (int)(text).length, (text).at

/* The text of a C string. */
static inline rm_text rm_of(const char *string) { return (rm_text){string, strlen(string)}; }

static inline bool rm_equal(rm_text text, const char *string) {
    return strlen(string) == text.length && memcmp(text.at, string, text.length) == 0;
}

/* JSON text in the making. */
typedef struct {
    char *at;
    size_t length, room;
    uint32_t depth;
    uint64_t lists; /* a bit for each depth: a list is open there, not an object */
    bool comma;     /* something stands before the next value */
} rm_writer;

/* ---- What comes in ---------------------------------------------------------------------------------------------- */

typedef enum {
    RM_CREATE,  /* a row was inserted */
    RM_UPDATE,  /* a row was changed */
    RM_DELETE,  /* a row was deleted: there is no after */
    RM_READ,    /* a row was read from a snapshot: it exists, when it was made is not known */
    RM_REFRESH, /* the row is as it was, but something it read, or the code, has changed */
} rm_operation;

/* One change of one row. */
typedef struct {
    rm_operation operation;
    rm_text source;                        /* as the change events call it (Debezium's topic.prefix, or the topic) */
    rm_text table;                         /* schema.table (MySQL: database.table) */
    rm_text key;                           /* JSON: an object of the key columns, or null */
    rm_text before;                        /* JSON; empty unless the configuration says before = true and it is known */
    rm_text after;                         /* JSON; empty for a delete */
    uint64_t version_first, version_second; /* the place in the history of the row; compared as a pair, only within one key */
    uint64_t ts_ms;                        /* when it was committed, in milliseconds since 1970-01-01 UTC; 0 when not known */
} rm_change;

/* The functions to write. */

/* Makes documents of one change. False, or anything that went wrong on the way, rejects the change: it becomes a dead letter with
 * the reason, nothing of it is written, and the rest of the batch goes on. */
bool rowmill_change(const rm_change *change);

/* Reads the settings (transform.config), once, before any change; see rm_settings. Without this function there are no settings,
 * and any is refused. */
bool rowmill_init(rm_text config);

/* Whether rowmill_change is called for deleted rows too. Define it as true to have that; otherwise the host deletes what the row had
 * produced. */
extern const bool rowmill_deletes;

/* Rejects the change, or refuses the settings, with a reason: return rm_reject("the price is negative: %.*s", RM_ARG(price)); */
bool rm_reject(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Aggregates ------------------------------------------------------------------------------------------------- */

/* What is counted over time needs a pipeline with a table `window`, -DROWMILL_AGGREGATE when the library is compiled, and instead of
 * rowmill_change these two. The store is closed to them. */

/* What one change counts for. */
typedef struct {
    rm_text key;      /* what is counted: the group; not empty, at most 480 bytes */
    uint64_t time_ms; /* when, in milliseconds since 1970-01-01 UTC: this decides the window; 0: when the change was committed */
    double weight;    /* how much; sums are decimal: 0.1 counts as 0.1, in up to 15 digits */
    rm_text distinct; /* what the aggregate `distinct` tells apart (a user, a session); empty: nothing */
} rm_measure;

/* One key of one window, as it stands now. It may come again at any time: look at nothing but the row. */
typedef struct {
    bool has_window;           /* without one the pipeline counts the whole table */
    uint64_t start_ms, end_ms; /* from the first, included, to the second, not included; see rm_instant */
    rm_text key;
    uint32_t rank; /* from 1; 0: the pipeline ranks nothing */
    bool is_final; /* whether the window is closed: then this is the last word on it */
    uint64_t count; /* measures */
    rm_text sum;    /* digits, of the sum of their weights: rm_put_json writes them as they are */
    /* What follows is given where the configuration asks for it: texts are empty otherwise. */
    rm_text min, max, average; /* digits */
    bool has_distinct, has_score;
    uint64_t distinct; /* how many different values there were */
    double score;      /* the weights, each halved with every half-life since its time */
} rm_window_row;

/* Says what a change counts for, with rm_count_for, as often as there is something to count. It is not called for deleted rows: the host
 * takes back what they had counted for. False rejects the change, as in rowmill_change. */
bool rowmill_measure(const rm_change *change);

/* Makes documents of a row, as rowmill_change makes them of a change. Without this function there is one of rm_put_row. */
bool rowmill_render(const rm_window_row *row);

/* The present change counts for this key: now, 1, unless more is said of it. */
rm_measure *rm_count_for(rm_text key);

/* The fields key, window_start, window_end, rank, count, sum, and what else is given. */
void rm_put_row(rm_writer *to, const rm_window_row *row);

/* Milliseconds since 1970 as RFC 3339 text: 2026-11-21T00:00:00Z, with milliseconds only where there are some. */
rm_text rm_instant(uint64_t ms);

/* ---- Reading JSON ----------------------------------------------------------------------------------------------- */

typedef enum { RM_MISSING, RM_NULL, RM_BOOLEAN, RM_NUMBER, RM_STRING, RM_LIST, RM_OBJECT } rm_kind;

/* A value as it stands in the text: nothing is copied. */
typedef struct {
    rm_text json; /* empty when it is missing */
    rm_text name; /* of the column or field */
} rm_value;

/* Reads the fields of an object that have these names, in one pass: values[i] is the field names[i], missing when there is none. Others
 * are skipped. */
void rm_read(rm_text object, const char *const names[], size_t count, rm_value values[]);

/* The same for settings: a field without a place among the names is refused. */
void rm_settings(rm_text config, const char *const names[], size_t count, rm_value values[]);

rm_kind rm_kind_of(rm_value value);

/* Whether there is something: neither missing nor null. */
static inline bool rm_has(rm_value value) { return value.json.length > 0 && value.json.at[0] != 'n'; }

/* A text without its escapes: a part of the row where there are none. What is missing or null is empty, here and below 0 or false. */
rm_text rm_string(rm_value value);
int64_t rm_integer(rm_value value);
double rm_float(rm_value value);
bool rm_boolean(rm_value value);

/* The digits of a numeric column: "12.50" (decimal.handling.mode = string), 12.5 (double), or {"scale":2,"value":"BOI="} (a column
 * without declared scale, precise). */
rm_text rm_decimal(rm_value value);

/* Whether digits are below zero; -0.00 is not. */
bool rm_is_negative(rm_text digits);

/* A json or jsonb column: the JSON that a text holds, or JSON that is not wrapped in a text. It has been checked. */
rm_value rm_json(rm_value value);

/* Every item of a list, every field of an object:
 *     rm_value item;
 *     for (rm_items items = rm_items_of(value); rm_next(&items, &item);) … */
typedef struct {
    rm_text rest;
    char end; /* 0 when there is nothing more */
    bool first;
} rm_items;
rm_items rm_items_of(rm_value value);
bool rm_next(rm_items *items, rm_value *item);

/* Stands in place of a long value that did not change: Postgres does not send those again (TOAST). With state.keep = "rows" Rowmill fills
 * it in; without, reject the change: a document without the value would overwrite the one that has it. */
#define RM_UNAVAILABLE "__debezium_unavailable_value"

static inline bool rm_is_unavailable(rm_value value) { return rm_equal(value.json, "\"" RM_UNAVAILABLE "\""); }

/* What Debezium sends unless decimal.handling.mode = string and time.precision.mode = isostring: the bytes of base64; the digits of
 * a decimal (rm_decode_decimal(rm_of("BNM="), 2) is 12.35); the date of a count of days since 1970. */
rm_text rm_decode_bytes(rm_text base64);
rm_text rm_decode_decimal(rm_text base64, int scale);
rm_text rm_date(int days);

/* ---- What goes out ---------------------------------------------------------------------------------------------- */

/* A document to be written. Its version is the host's affair. */
typedef struct {
    rm_text id;      /* default: the row's key as text */
    rm_text index;   /* default: the pipeline's */
    rm_text routing; /* documents with the same one share a shard */
    rm_writer body;  /* an object, open: put fields into it */
} rm_document;

/* Something to be sent on, apart from the documents. */
typedef struct {
    rm_text topic;
    rm_text key; /* messages with the same one stay in order */
    rm_writer body;
} rm_message;

/* A new document of this change: those it produced before, and does not produce now, are deleted. */
rm_document *rm_index(void);
rm_message *rm_emit(const char *topic);

/* Deletes a document; empty texts are the defaults. Seldom needed: what a row produced before and does not produce now, the host
 * deletes. */
void rm_delete(rm_text id, rm_text index, rm_text routing);

/* Fields of an object, by name; items of a list, with NULL for the name. A name is written as it stands: without quotes or backslashes. */

/* The value as it stands in the row; nothing at all when it is missing or null. */
void rm_put(rm_writer *to, const char *name, rm_value value);
void rm_put_text(rm_writer *to, const char *name, rm_text text);
/* Digits, or other JSON, as they stand. */
void rm_put_json(rm_writer *to, const char *name, rm_text json);
void rm_put_integer(rm_writer *to, const char *name, int64_t integer);
void rm_put_float(rm_writer *to, const char *name, double number);
void rm_put_boolean(rm_writer *to, const char *name, bool boolean);

/* An object or list within; what is put then goes into it, until rm_end. */
void rm_object(rm_writer *to, const char *name);
void rm_list(rm_writer *to, const char *name);
void rm_end(rm_writer *to);

/* ---- The host --------------------------------------------------------------------------------------------------- */

typedef enum { RM_TRACE, RM_DEBUG, RM_INFO, RM_WARN, RM_ERROR } rm_level;

/* A line of Rowmill's log. */
void rm_log(rm_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Counters and gauges of your own: rowmill_guest_counter_total{pipeline,name} and rowmill_guest_gauge{pipeline,name}. A name has at most 64
 * characters of a-z0-9_; others are ignored by the host. */
void rm_count(const char *name, uint64_t delta);
void rm_gauge(const char *name, double value);

/* The pipeline's key-value store. It changes in the write that commits the batch, or not at all. */
bool rm_store_get(rm_text key, rm_text *value); /* false: there is none */
void rm_store_set(rm_text key, rm_text value);
void rm_store_delete(rm_text key);
uint64_t rm_store_increment(rm_text key, uint64_t delta);

/* Memory until the batch is done. */
void *rm_take(size_t bytes);

/* Text until the batch is done. */
rm_text rm_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
