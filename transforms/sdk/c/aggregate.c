/* Rows of windows, as documents. */
#include "inside.h"
#include "rowmill.h"

rm_text rm_instant(uint64_t ms) {
    enum { DAY_MS = 86400000 };
    rm_text date = rm_date((int)(ms / DAY_MS));
    unsigned of_day = (unsigned)(ms % DAY_MS), second = of_day / 1000, fraction = of_day % 1000;
    rm_text text = rm_format("%.*sT%02u:%02u:%02u", RM_ARG(date), second / 3600, second / 60 % 60, second % 60);
    return fraction ? rm_format("%.*s.%03uZ", RM_ARG(text), fraction) : rm_format("%.*sZ", RM_ARG(text));
}

static void put_number(rm_writer *to, const char *name, uint64_t number) { rm_put_json(to, name, rm_format("%llu", (unsigned long long)number)); }

static void put_digits(rm_writer *to, const char *name, rm_text digits) {
    if (digits.length > 0) rm_put_json(to, name, digits);
}

void rm_put_row(rm_writer *to, const rm_window_row *row) {
    rm_put_text(to, "key", row->key);
    if (row->has_window) {
        rm_put_text(to, "window_start", rm_instant(row->start_ms));
        rm_put_text(to, "window_end", rm_instant(row->end_ms));
    }
    if (row->rank > 0) put_number(to, "rank", row->rank);
    put_number(to, "count", row->count);
    put_digits(to, "sum", row->sum);
    put_digits(to, "min", row->min);
    put_digits(to, "max", row->max);
    put_digits(to, "average", row->average);
    if (row->has_distinct) put_number(to, "distinct", row->distinct);
    if (row->has_score) rm_put_float(to, "score", row->score);
}

__attribute__((weak)) bool rowmill_render(const rm_window_row *row) {
    rm_put_row(&rm_index()->body, row);
    return true;
}
