/* What people search for, word by word, in windows of time: searches in, the words searched for most out. */
#include "rowmill.h"

#include <stdlib.h>

enum { QUERY, AT, USER, RESULTS, COLUMNS };

static const char *const columns[COLUMNS] = {
    [QUERY] = "query",
    [AT] = "at", /* milliseconds since 1970 */
    [USER] = "user",
    [RESULTS] = "results",
};

enum { RANK_MAX = 10 }; /* who looks at trends looks at the first ones */

/* Words that say nothing; copied, for settings are gone when rowmill_init returns. */
static rm_text *ignored;
static size_t ignored_count;

bool rowmill_init(rm_text config) {
    static const char *const names[] = {"ignore"};
    rm_value settings[1], word;
    rm_settings(config, names, 1, settings);
    for (rm_items words = rm_items_of(settings[0]); rm_next(&words, &word);) {
        rm_text text = rm_string(word);
        char *kept = malloc(text.length + 1);
        ignored = realloc(ignored, (ignored_count + 1) * sizeof *ignored);
        if (!kept || !ignored) abort();
        memcpy(kept, text.at, text.length);
        ignored[ignored_count++] = (rm_text){kept, text.length};
    }
    return true;
}

static bool same(rm_text one, rm_text two) { return one.length == two.length && memcmp(one.at, two.at, one.length) == 0; }

static bool is_among(rm_text word, const rm_text words[], size_t count) {
    for (size_t place = 0; place < count; place++)
        if (same(word, words[place])) return true;
    return false;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Letters and digits of ASCII, lower-cased, at least two in a row; each word once. */
static size_t words_of(rm_text query, rm_text words[]) {
    char *text = rm_take(query.length + 1);
    size_t count = 0, start = 0;
    for (size_t at = 0; at <= query.length; at++) {
        char c = at < query.length ? query.at[at] : ' ';
        text[at] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (is_digit(text[at]) || (text[at] >= 'a' && text[at] <= 'z')) continue;
        rm_text word = {text + start, at - start};
        if (word.length >= 2 && !is_among(word, words, count)) words[count++] = word;
        start = at + 1;
    }
    return count;
}

bool rowmill_measure(const rm_change *change) {
    rm_value row[COLUMNS];
    rm_read(change->after, columns, COLUMNS, row);
    if (!rm_has(row[QUERY])) return true;
    int64_t results = rm_integer(row[RESULTS]);
    if (results < 0) return rm_reject("the number of results is negative: %lld", (long long)results);
    if (!rm_has(row[AT])) return rm_reject("the search has no time: at is missing");
    rm_text query = rm_string(row[QUERY]);
    rm_text *words = rm_take((query.length / 3 + 1) * sizeof *words); /* two letters and what parts them */
    size_t count = words_of(query, words);
    for (size_t place = 0; place < count; place++) {
        if (is_among(words[place], ignored, ignored_count)) continue;
        rm_measure *measure = rm_count_for(words[place]);
        measure->time_ms = (uint64_t)rm_integer(row[AT]);
        measure->distinct = rm_string(row[USER]);
    }
    return true;
}

bool rowmill_render(const rm_window_row *row) {
    if (row->rank > RANK_MAX) return true;
    size_t digits = 0;
    while (digits < row->key.length && is_digit(row->key.at[digits])) digits++;
    if (digits == row->key.length) return rm_reject("a number is no keyword: %.*s", RM_ARG(row->key));
    rm_writer *body = &rm_index()->body;
    rm_put_text(body, "keyword", row->key);
    rm_put_integer(body, "searches", (int64_t)row->count);
    if (row->has_distinct) rm_put_integer(body, "users", (int64_t)row->distinct);
    if (row->rank > 0) rm_put_integer(body, "rank", row->rank);
    if (row->has_window) rm_put_text(body, "from", rm_instant(row->start_ms));
    return true;
}
