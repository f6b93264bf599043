/* Tests of the library, natively: a transform that does what its rows tell it to, called as the host would call it. */
#include "host.h"

const result *rm_export_transform(const lowered_change *changes, size_t length);
void rm_export_post_transform(const result *of);

/* ---- The transform --------------------------------------------------------------------------------------------------------- */

enum { ID, DO, VALUE, COLUMNS };
static const char *const columns[COLUMNS] = {[ID] = "id", [DO] = "do", [VALUE] = "value"};

const bool rowmill_deletes = true;

static char currency[16];

bool rowmill_init(rm_text config) {
    static const char *const names[] = {"currency", "limit"};
    rm_value settings[2];
    rm_settings(config, names, 2, settings);
    rm_text text = rm_string(settings[0]);
    if (text.length >= sizeof currency) return rm_reject("setting `currency`: it is too long");
    memcpy(currency, text.at, text.length);
    currency[text.length] = 0;
    return true;
}

static void put_all(rm_writer *to, const char *name, rm_value value) {
    rm_value item;
    switch (rm_kind_of(value)) {
    case RM_OBJECT:
    case RM_LIST:
        if (rm_kind_of(value) == RM_LIST) rm_list(to, name);
        else rm_object(to, name);
        for (rm_items items = rm_items_of(value); rm_next(&items, &item);)
            put_all(to, item.name.length ? rm_format("%.*s", RM_ARG(item.name)).at : NULL, item);
        rm_end(to);
        break;
    case RM_STRING: rm_put_text(to, name, rm_string(value)); break;
    case RM_BOOLEAN: rm_put_boolean(to, name, rm_boolean(value)); break;
    default: rm_put(to, name, value);
    }
}

bool rowmill_change(const rm_change *change) {
    if (change->operation == RM_DELETE) {
        rm_delete(rm_of("3"), rm_of("i"), rm_of(""));
        return true;
    }
    rm_value row[COLUMNS];
    rm_read(change->after, columns, COLUMNS, row);
    rm_document *document = rm_index();
    rm_writer *body = &document->body;
    rm_text to_do = rm_string(row[DO]);
    if (rm_equal(to_do, "text")) rm_put_text(body, "x", rm_string(row[VALUE]));
    else if (rm_equal(to_do, "integer")) rm_put_integer(body, "x", rm_integer(row[VALUE]));
    else if (rm_equal(to_do, "float")) rm_put_float(body, "x", rm_float(row[VALUE]));
    else if (rm_equal(to_do, "boolean")) rm_put_boolean(body, "x", rm_boolean(row[VALUE]));
    else if (rm_equal(to_do, "decimal")) rm_put_json(body, rm_is_negative(rm_decimal(row[VALUE])) ? "minus" : "x", rm_decimal(row[VALUE]));
    else if (rm_equal(to_do, "json")) rm_put(body, "x", rm_json(row[VALUE]));
    else if (rm_equal(to_do, "all")) put_all(body, "x", row[VALUE]);
    else if (rm_equal(to_do, "bytes")) rm_put_text(body, "x", rm_decode_bytes(rm_string(row[VALUE])));
    else if (rm_equal(to_do, "date")) rm_put_text(body, "x", rm_date((int)rm_integer(row[VALUE])));
    else if (rm_equal(to_do, "reject")) return rm_reject("no: %.*s", RM_ARG(row[ID].json));
    else if (rm_equal(to_do, "false")) return false;
    else if (rm_equal(to_do, "open")) rm_list(body, "x");
    else if (rm_equal(to_do, "ended")) rm_end(body);
    else if (rm_equal(to_do, "store")) rm_store_set(rm_of("k"), rm_of("v"));
    else if (rm_equal(to_do, "log")) rm_log(RM_WARN, "odd: %d", 7);
    else if (rm_equal(to_do, "count")) rm_count("seen", 2);
    else if (rm_equal(to_do, "gauge")) rm_gauge("level", 0.5);
    else if (rm_equal(to_do, "emit")) {
        document->id = rm_of("a");
        document->routing = rm_of("r");
        rm_put_json(body, "n", rm_of("1"));
        rm_message *message = rm_emit("topic");
        message->key = rm_of("k");
        rm_put_integer(&message->body, "sold", 2);
        rm_put_json(body, "late", rm_of("2")); /* both may be open at once */
    } else rm_put(body, "x", row[VALUE]);
    return true;
}

/* ---- Checking ------------------------------------------------------------------------------------------------------------------- */

static rm_text shown;

static void show(rm_text words, option text, const char *name) {
    if (text.some) shown = rm_format("%.*s %s=%.*s", RM_ARG(words), name, RM_ARG(text.text));
}

/* One batch of these rows; NULL is a delete. What comes out is shown, a line each. */
static void check_all(const char *const rows[], size_t count, const char *expected) {
    lowered_change *changes = rm_export_realloc(NULL, 0, 8, count * sizeof *changes);
    for (size_t place = 0; place < count; place++) {
        changes[place] = (lowered_change){.operation = rows[place] ? RM_CREATE : RM_DELETE, .key = rm_of("null")};
        if (!rows[place]) continue;
        /* Of its very size, so that reading behind its end is seen. */
        size_t length = strlen(rows[place]);
        char *copy = malloc(length + 1);
        memcpy(copy, rows[place], length);
        copy = realloc(copy, length ? length : 1);
        changes[place].after = (option){1, {copy, length}};
    }
    const result *of = rm_export_transform(changes, count);
    shown = rm_of("");
    const lowered_output *outputs = of->at;
    for (size_t place = 0; place < of->length; place++) {
        const lowered_output *output = &outputs[place];
        static const char *const kinds[] = {"index", "delete", "emit", "reject"};
        shown = rm_format("%.*s%s%u %s", RM_ARG(shown), place ? "\n" : "", output->change, kinds[output->kind]);
        if (output->kind < 2) {
            show(shown, output->document.id, "id");
            show(shown, output->document.index, "index");
            show(shown, output->document.routing, "routing");
            shown = rm_format("%.*s %.*s", RM_ARG(shown), RM_ARG(output->document.body));
        } else if (output->kind == 2) {
            show(shown, output->message.key, "key");
            shown = rm_format("%.*s %.*s %.*s", RM_ARG(shown), RM_ARG(output->message.topic), RM_ARG(output->message.body));
        } else shown = rm_format("%.*s %.*s", RM_ARG(shown), RM_ARG(output->reason));
    }
    equal(shown.at, expected);
    for (size_t place = 0; place < count; place++) free((char *)changes[place].after.text.at);
    rm_export_post_transform(of);
}

static void check(const char *row, const char *expected) { check_all(&row, 1, expected); }

/* What comes of a value that the transform reads and writes as it is told to. */
static void value(const char *to_do, const char *json, const char *expected) {
    char row[4000], line[4000];
    snprintf(row, sizeof row, "{\"do\":\"%s\",\"value\":%s}", to_do, json);
    snprintf(line, sizeof line, strncmp(expected, "reject", 6) ? "0 index {%s}" : "0 %s", expected);
    check(row, line);
}

static void texts(void) {
    value("text", "\"plain\"", "\"x\":\"plain\"");
    value("text", "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\\ud83dx\\udc00\"",
          "\"x\":\"a\\\"\\\\/\\u0008\\u000c\\n\\u000d\\u0009é😀\xef\xbf\xbdx\xef\xbf\xbd\"");
    value("text", "\"\\udc00\\udc01\"", "\"x\":\"\xef\xbf\xbd\xef\xbf\xbd\"");
    value("text", "null", "\"x\":\"\"");
    value("text", "7", "reject column `value`: expected a text, found 7");
    value("text", "\"\\x\"", "reject column `value`: expected a text with valid escapes, found the text \"\\x\"");
    value("text", "\"\\u12\"", "reject column `value`: expected a text with valid escapes, found the text \"\\u12\"");
    value("as it stands", "\"a\\u00e9\"", "\"x\":\"a\\u00e9\"");
    value("as it stands", "null", "");
    value("bytes", "\"aGk\"", "\"x\":\"hi\"");
    value("bytes", "\"aGk=\"", "\"x\":\"hi\"");
    value("bytes", "\"a\"", "reject `a` is not base64");
    value("bytes", "\"a!==\"", "reject `a!==` is not base64");
}

static void numbers(void) {
    value("integer", "9223372036854775807", "\"x\":9223372036854775807");
    value("integer", "-9223372036854775808", "\"x\":-9223372036854775808");
    value("integer", "0", "\"x\":0");
    value("integer", "9223372036854775808", "reject column `value`: expected a whole number of 64 bits, found 9223372036854775808");
    value("integer", "1.5", "reject column `value`: expected a whole number of 64 bits, found 1.5");
    value("integer", "\"many\"", "reject column `value`: expected a whole number, found the text \"many\"");
    value("integer", "[1]", "reject column `value`: expected a whole number, found a list");
    value("float", "0.1", "\"x\":0.1");
    value("float", "-1.5e300", "\"x\":-1.5e+300");
    value("float", "1e999", "reject JSON has no number inf for `x`");
    value("float", "0.00000000000000000000000000000000000000000000000000000000000000000001", "\"x\":1e-68");
    value("boolean", "true", "\"x\":true");
    value("boolean", "null", "\"x\":false");
    value("boolean", "1", "reject column `value`: expected true or false, found 1");
    value("date", "19782", "\"x\":\"2024-02-29\"");
    value("date", "-719529", "\"x\":\"-0001-12-31\"");
    value("date", "2932897", "\"x\":\"+10000-01-01\"");
}

static void decimals(void) {
    value("decimal", "\"12.50\"", "\"x\":12.50");
    value("decimal", "12.50", "\"x\":12.50");
    value("decimal", "\"-3.00\"", "\"minus\":-3.00");
    value("decimal", "\"-0.00\"", "\"x\":-0.00");
    value("decimal", "-1e-9", "\"minus\":-1e-9");
    value("decimal", "\"NaN\"", "reject column `value`: expected a decimal number, found the text \"NaN\"");
    value("decimal", "\"1.\"", "reject column `value`: expected a decimal number, found the text \"1.\"");
    value("decimal", "true", "reject column `value`: expected a decimal number, found true");
    static const char *const cases[][2] = {
        {"2,\"value\":\"BNM=\"", "12.35"}, {"3,\"value\":\"AQ==\"", "0.001"},      {"0,\"value\":\"\"", "0"},
        {"-3,\"value\":\"AQ==\"", "1000"}, {"-3,\"value\":\"AA==\"", "0"},         {"2,\"value\":\"AA==\"", "0.00"},
        {"0,\"value\":\"gA==\"", "-128"},  {"0,\"value\":\"AP//////////\"", "18446744073709551615"},
        {"2,\"value\":\"/w==\"", "-0.01"}, {"4,\"value\":\"gAAAAAAAAAA=\"", "-922337203685477.5808"},
    };
    for (size_t place = 0; place < sizeof cases / sizeof *cases; place++) {
        char json[100], expected[100];
        snprintf(json, sizeof json, "{\"scale\":%s}", cases[place][0]);
        snprintf(expected, sizeof expected, cases[place][1][0] == '-' ? "\"minus\":%s" : "\"x\":%s", cases[place][1]);
        value("decimal", json, expected);
    }
    value("decimal", "{\"scale\":99999999,\"value\":\"AQ==\"}", "reject a decimal of 1 bytes and scale 99999999 is too long");
}

static void json(void) {
    value("json", "\" {\\\"b\\\": 1.50,  \\\"a\\\": [1e3]} \"", "\"x\":{\"b\": 1.50,  \"a\": [1e3]}");
    value("json", "{\"a\":1.50}", "\"x\":{\"a\":1.50}");
    value("json", "\"{\\\"a\\\":\"", "reject column `value`: it holds no valid JSON");
    value("json", "\"1,2\"", "reject column `value`: it holds no valid JSON");
    value("json", "\"[01]\"", "reject column `value`: it holds no valid JSON");
    value("json", "\"\"", "reject column `value`: it holds no valid JSON");
    value("all", "{\"a\":[1,\"é\\n\",{},[],null,{\"deep\":[[true]]}],\"b\":{\"c\":-0.5}}",
          "\"x\":{\"a\":[1,\"é\\n\",{},[],{\"deep\":[[true]]}],\"b\":{\"c\":-0.5}}");
    check("{\"new\":[{\"do\":\"]\"}],\"value\":1,\"id\":2}", "0 index {\"x\":1}");
    check("  { \"value\" : [ 1 , 2 ] , \"do\" : null } ", "0 index {\"x\":[ 1 , 2 ]}");
    check("{}", "0 index {}");
    check("[]", "0 reject expected an object, found a list");
    check("", "0 reject expected an object, found nothing");
    static const char *const broken[] = {"{\"value\"", "{\"value\":", "{\"value\":\"", "{\"value\":\"\\", "{\"value\":1", "{\"value\":01}",
                                         "{\"value\":tru}", "{,}", "{\"a\":1 \"b\":2}", "{\"value\":[1,]}", "{\"value\":{\"a\"}}"};
    for (size_t place = 0; place < sizeof broken / sizeof *broken; place++) check(broken[place], "0 reject it is no valid JSON, or ends too early");
    char deep[300] = "{\"value\":";
    memset(deep + 9, '[', 200);
    check(deep, "0 reject it is no valid JSON, or ends too early");
}

static void outputs(void) {
    static const char *const rows[] = {"{\"do\":\"emit\"}", "{\"id\":5,\"do\":\"reject\"}", NULL, "{\"do\":\"false\"}", "{\"do\":\"open\"}",
                                       "{\"do\":\"ended\"}", "{\"do\":\"store\"}", "{\"value\":1}"};
    check_all(rows, 8,
              "0 index id=a routing=r {\"n\":1,\"late\":2}\n"
              "0 emit key=k topic {\"sold\":2}\n"
              "1 reject no: 5\n"
              "2 delete id=3 index=i \n"
              "3 reject rowmill_change returned false without rm_reject\n"
              "4 reject the transform has an object or list without rm_end, or an rm_end without one\n"
              "5 reject the transform has an object or list without rm_end, or an rm_end without one\n"
              "6 reject the key-value store: closed\n"
              "7 index {\"x\":1}");
    check("{\"do\":\"log\"}", "0 index {}");
    equal(heard, "3 odd: 7");
    check("{\"do\":\"count\"}", "0 index {}");
    equal(heard, "seen +2");
    check("{\"do\":\"gauge\"}", "0 index {}");
    equal(heard, "level 0.5");
}

/* Batches of any size, again and again, and memory that grows where it stands. */
static void memory(void) {
    /* Each control character becomes six: more than there was room for, in the document and in the chunk. */
    enum { MANY = 40000 };
    static char controls[6 * MANY + 40], longer[6 * MANY + 40];
    char *to = controls + sprintf(controls, "{\"do\":\"text\",\"value\":\"");
    for (int place = 0; place < MANY; place++) to += sprintf(to, "\\u0001");
    strcpy(to, "\"}");
    to = longer + sprintf(longer, "0 index {\"x\":\"");
    for (int place = 0; place < MANY; place++) to += sprintf(to, "\\u0001");
    strcpy(to, "\"}");
    check(controls, longer);
    for (size_t size = 1; size < 3000000; size *= 7) {
        char *row = malloc(size + 40), *expected = malloc(size + 40);
        snprintf(row, size + 40, "{\"do\":\"text\",\"value\":\"%0*d\"}", (int)size, 0);
        snprintf(expected, size + 40, "0 index {\"x\":\"%0*d\"}", (int)size, 0);
        check(row, expected);
        check(row, expected);
        free(row);
        free(expected);
    }
    char *first = rm_take(3), *grown = rm_retake(first, 3, 30);
    if (grown != first) failures++, fprintf(stderr, "what was taken last did not grow in place\n");
    rm_take(1);
    memcpy(grown, "abc", 3);
    char *moved = rm_retake(grown, 30, 100);
    if (moved == grown || memcmp(moved, "abc", 3) != 0) failures++, fprintf(stderr, "what was taken before did not move whole\n");
}

int main(void) {
    init("{\"currency\":\"CHF\"}", "");
    equal(currency, "CHF");
    init("", "");
    init("null", "");
    init("{\"curency\":1}", "transform.config: setting `curency`: there is no such field, only `currency`, `limit`");
    init("{\"currency\":7}", "transform.config: setting `currency`: expected a text, found 7");
    init("{\"currency\":\"more than is allowed\"}", "transform.config: setting `currency`: it is too long");
    texts();
    numbers();
    decimals();
    json();
    outputs();
    memory();
    if (failures) fprintf(stderr, "%d failures\n", failures);
    return failures > 0;
}
