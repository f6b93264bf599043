/* Reads JSON: one pass, nothing copied but texts with escapes. */
#include "inside.h"
#include "rowmill.h"

#include <stdlib.h>

enum { DEPTH_MAX = 127 }; /* as deep as the host reads */

/* ---- The text of one value ---------------------------------------------------------------------------------------------- */

static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

static inline const char *spaces(const char *at, const char *end) {
    while (at < end && (unsigned char)*at <= ' ') at++;
    return at;
}

/* Where a text that begins at its quote ends: behind the other quote. NULL when it does not. */
static inline const char *string_end(const char *at, const char *end) {
    at++;
    while (at < end) {
        if (end - at >= 8) {
            uint64_t bytes = rm_eight(at), marks = rm_same(bytes, '"') | rm_same(bytes, '\\');
            if (!marks) {
                at += 8;
                continue;
            }
            at += rm_first(marks);
        }
        if (*at == '"') return at + 1;
        at += *at == '\\' ? 2 : 1;
    }
    return NULL;
}

static const char *digits_end(const char *at, const char *end) {
    while (at < end && is_digit(*at)) at++;
    return at;
}

static const char *number_end(const char *at, const char *end) {
    if (at < end && *at == '-') at++;
    const char *whole = digits_end(at, end);
    if (whole == at || (*at == '0' && whole > at + 1)) return NULL;
    at = whole;
    if (at < end && *at == '.') {
        const char *fraction = digits_end(at + 1, end);
        if (fraction == at + 1) return NULL;
        at = fraction;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        const char *exponent = digits_end(at, end);
        if (exponent == at) return NULL;
        at = exponent;
    }
    return at;
}

static const char *word_end(const char *at, const char *end, const char *word) {
    size_t length = strlen(word);
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

static const char *value_end(const char *at, const char *end, int depth);

static const char *items_end(const char *at, const char *end, int depth) {
    bool named = *at == '{';
    char last = named ? '}' : ']';
    if (depth == DEPTH_MAX) return NULL;
    at = spaces(at + 1, end);
    if (at < end && *at == last) return at + 1;
    while (at < end) {
        if (named) {
            if (*at != '"' || !(at = string_end(at, end))) return NULL;
            at = spaces(at, end);
            if (at == end || *at != ':') return NULL;
            at = spaces(at + 1, end);
        }
        if (!(at = value_end(at, end, depth + 1))) return NULL;
        at = spaces(at, end);
        if (at == end) return NULL;
        if (*at == last) return at + 1;
        if (*at != ',') return NULL;
        at = spaces(at + 1, end);
    }
    return NULL;
}

/* Where a value ends, NULL when it is no JSON. */
static const char *value_end(const char *at, const char *end, int depth) {
    if (at >= end) return NULL;
    switch (*at) {
    case '"': return string_end(at, end);
    case '{':
    case '[': return items_end(at, end, depth);
    case 't': return word_end(at, end, "true");
    case 'f': return word_end(at, end, "false");
    case 'n': return word_end(at, end, "null");
    default: return number_end(at, end);
    }
}

/* ---- Kinds ---------------------------------------------------------------------------------------------------------------- */

rm_kind rm_kind_of(rm_value value) {
    if (value.json.length == 0) return RM_MISSING;
    switch (value.json.at[0]) {
    case '"': return RM_STRING;
    case '{': return RM_OBJECT;
    case '[': return RM_LIST;
    case 't':
    case 'f': return RM_BOOLEAN;
    case 'n': return RM_NULL;
    default: return RM_NUMBER;
    }
}

/* Says what stands there instead. */
static void wrong(rm_value value, const char *expected) {
    static const char *const kinds[] = {"nothing", "null", "", "", "the text ", "a list", "an object"};
    rm_kind kind = rm_kind_of(value);
    rm_text shown = value.json;
    if (kind == RM_LIST || kind == RM_OBJECT) shown.length = 0;
    bool is_cut = shown.length > 40;
    if (is_cut)
        for (shown.length = 40; ((unsigned char)shown.at[shown.length] & 0xc0) == 0x80;) shown.length--;
    const char *dots = is_cut ? "…" : "";
    if (value.name.length)
        rm_reject("%s `%.*s`: expected %s, found %s%.*s%s", rm_reading, RM_ARG(value.name), expected, kinds[kind], RM_ARG(shown), dots);
    else rm_reject("expected %s, found %s%.*s%s", expected, kinds[kind], RM_ARG(shown), dots);
}

/* ---- Objects and lists ------------------------------------------------------------------------------------------------------ */

rm_items rm_items_of(rm_value value) {
    rm_items items = {{"", 0}, 0, true};
    if (!rm_has(value)) return items;
    char c = value.json.at[0];
    if (c != '{' && c != '[') {
        wrong(value, "an object or a list");
        return items;
    }
    return (rm_items){{value.json.at + 1, value.json.length - 1}, c == '{' ? '}' : ']', true};
}

bool rm_next(rm_items *items, rm_value *item) {
    const char *at = items->rest.at, *end = at + items->rest.length;
    *item = (rm_value){{"", 0}, {"", 0}};
    if (!items->end) return false;
    at = spaces(at, end);
    if (at < end && *at == items->end) goto done;
    if (!items->first) {
        if (at == end || *at != ',') goto broken;
        at = spaces(at + 1, end);
    }
    items->first = false;
    if (items->end == '}') {
        const char *from = at;
        if (at == end || *at != '"' || !(at = string_end(at, end))) goto broken;
        item->name = (rm_text){from + 1, (size_t)(at - from) - 2};
        at = spaces(at, end);
        if (at == end || *at != ':') goto broken;
        at = spaces(at + 1, end);
    }
    const char *behind = value_end(at, end, 0);
    if (!behind) goto broken;
    item->json = (rm_text){at, (size_t)(behind - at)};
    items->rest = (rm_text){behind, (size_t)(end - behind)};
    return true;
broken:
    rm_reject("it is no valid JSON, or ends too early");
done:
    items->end = 0;
    return false;
}

static bool is_name(const char *name, rm_text key) {
    return name[0] == key.at[0] && strncmp(name, key.at, key.length) == 0 && name[key.length] == 0;
}

/* The place of a name, count when it is not there. Fields mostly come in the order of the names: look on from the last one. */
static size_t find(rm_text key, const char *const names[], size_t count, size_t from) {
    if (key.length == 0) return count;
    for (size_t place = from; place < count; place++)
        if (is_name(names[place], key)) return place;
    for (size_t place = 0; place < from; place++)
        if (is_name(names[place], key)) return place;
    return count;
}

static void unknown(rm_text name, const char *const names[], size_t count) {
    rm_text known = rm_of(count ? ", only" : "");
    for (size_t place = 0; place < count; place++) known = rm_format("%.*s%s `%s`", RM_ARG(known), place ? "," : "", names[place]);
    rm_reject("%s `%.*s`: there is no such field%.*s", rm_reading, RM_ARG(name), RM_ARG(known));
}

static void read(rm_text object, const char *const names[], size_t count, rm_value values[], bool strict) {
    for (size_t place = 0; place < count; place++) values[place] = (rm_value){{"", 0}, rm_of(names[place])};
    const char *at = spaces(object.at, object.at + object.length);
    rm_value whole = {{at, object.length - (size_t)(at - object.at)}, {"", 0}};
    if (rm_kind_of(whole) != RM_OBJECT) {
        if (rm_has(whole) || !strict) wrong(whole, "an object");
        return;
    }
    rm_value field;
    size_t place = 0;
    for (rm_items fields = rm_items_of(whole); rm_next(&fields, &field);) {
        size_t found = find(field.name, names, count, place);
        if (found < count) {
            values[found].json = field.json;
            place = found + 1;
        } else if (strict) unknown(field.name, names, count);
    }
}

void rm_read(rm_text object, const char *const names[], size_t count, rm_value values[]) { read(object, names, count, values, false); }

void rm_settings(rm_text config, const char *const names[], size_t count, rm_value values[]) { read(config, names, count, values, true); }

/* ---- Single values ------------------------------------------------------------------------------------------------------------ */

static int hex(const char *at) {
    int unit = 0;
    for (int place = 0; place < 4; place++) {
        char c = at[place];
        int digit = is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static char *encode(char *to, int unit) {
    if (unit < 0x80) {
        *to++ = (char)unit;
    } else if (unit < 0x800) {
        *to++ = (char)(0xc0 | unit >> 6);
        *to++ = (char)(0x80 | (unit & 63));
    } else if (unit < 0x10000) {
        *to++ = (char)(0xe0 | unit >> 12);
        *to++ = (char)(0x80 | (unit >> 6 & 63));
        *to++ = (char)(0x80 | (unit & 63));
    } else {
        *to++ = (char)(0xf0 | unit >> 18);
        *to++ = (char)(0x80 | (unit >> 12 & 63));
        *to++ = (char)(0x80 | (unit >> 6 & 63));
        *to++ = (char)(0x80 | (unit & 63));
    }
    return to;
}

/* Half a surrogate pair becomes U+FFFD. A text without its escapes is never longer than with them. */
static rm_text unescape(rm_value value, const char *at, const char *end) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char *text = rm_take((size_t)(end - at)), *to = text;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        const char *plain = at[1] ? strchr(from, at[1]) : NULL;
        if (plain) {
            *to++ = into[plain - from];
            at += 2;
            continue;
        }
        int unit = at[1] == 'u' && end - at >= 6 ? hex(at + 2) : -1;
        if (unit < 0) {
            wrong(value, "a text with valid escapes");
            break;
        }
        at += 6;
        if (unit >= 0xd800 && unit < 0xe000) {
            int low = unit < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex(at + 2) : -1;
            bool pair = low >= 0xdc00 && low < 0xe000;
            unit = pair ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
            if (pair) at += 6;
        }
        to = encode(to, unit);
    }
    return (rm_text){text, (size_t)(to - text)};
}

rm_text rm_string(rm_value value) {
    rm_text none = {"", 0};
    if (!rm_has(value)) return none;
    if (value.json.at[0] != '"') {
        wrong(value, "a text");
        return none;
    }
    rm_text raw = {value.json.at + 1, value.json.length - 2};
    const char *escape = memchr(raw.at, '\\', raw.length);
    return escape ? unescape(value, raw.at, raw.at + raw.length) : raw;
}

int64_t rm_integer(rm_value value) {
    if (!rm_has(value)) return 0;
    const char *at = value.json.at, *end = at + value.json.length;
    bool negative = *at == '-';
    if (negative) at++;
    uint64_t sum = 0, most = (uint64_t)INT64_MAX + negative;
    bool fits = at < end;
    for (; at < end && fits; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        fits = is_digit(*at) && sum <= (most - digit) / 10;
        sum = 10 * sum + digit;
    }
    if (!fits) {
        wrong(value, rm_kind_of(value) == RM_NUMBER ? "a whole number of 64 bits" : "a whole number");
        return 0;
    }
    return negative ? (int64_t)-sum : (int64_t)sum;
}

double rm_float(rm_value value) {
    if (!rm_has(value)) return 0;
    if (rm_kind_of(value) != RM_NUMBER) {
        wrong(value, "a number");
        return 0;
    }
    char digits[64];
    if (value.json.length < sizeof digits) {
        memcpy(digits, value.json.at, value.json.length);
        digits[value.json.length] = 0;
        return strtod(digits, NULL);
    }
    return strtod(rm_format("%.*s", RM_ARG(value.json)).at, NULL);
}

bool rm_boolean(rm_value value) {
    if (rm_has(value) && rm_kind_of(value) != RM_BOOLEAN) wrong(value, "true or false");
    return value.json.length > 0 && value.json.at[0] == 't';
}

rm_text rm_decimal(rm_value value) {
    rm_text none = {"", 0}, digits = value.json;
    if (!rm_has(value)) return none;
    switch (rm_kind_of(value)) {
    case RM_NUMBER: return digits;
    case RM_STRING: digits = rm_string(value); break;
    case RM_OBJECT: {
        static const char *const names[] = {"scale", "value"};
        rm_value parts[2];
        rm_read(value.json, names, 2, parts);
        digits = rm_decode_decimal(rm_string(parts[1]), (int)rm_integer(parts[0]));
        break;
    }
    default: break;
    }
    if (digits.length == 0 || number_end(digits.at, digits.at + digits.length) != digits.at + digits.length) {
        wrong(value, "a decimal number");
        return none;
    }
    return digits;
}

bool rm_is_negative(rm_text digits) {
    if (digits.length == 0 || digits.at[0] != '-') return false;
    for (size_t place = 1; place < digits.length; place++) {
        char c = digits.at[place];
        if (c == 'e' || c == 'E') return false;
        if (c != '0' && c != '.') return true;
    }
    return false;
}

rm_value rm_json(rm_value value) {
    if (rm_kind_of(value) != RM_STRING) return value;
    rm_text text = rm_string(value);
    const char *end = text.at + text.length, *at = spaces(text.at, end);
    const char *behind = value_end(at, end, 0);
    if (!behind || spaces(behind, end) != end) {
        rm_reject("%s `%.*s`: it holds no valid JSON", rm_reading, RM_ARG(value.name));
        return (rm_value){{"", 0}, value.name};
    }
    return (rm_value){{at, (size_t)(behind - at)}, value.name};
}
