/* A row of public.products becomes a document to search for.
 *
 * Every column but the key may be missing, and columns it does not know are skipped: the table may change in mid-stream. */
#include "rowmill.h"

enum { ID, SKU, NAME, DESCRIPTION, CATEGORY, PRICE, STOCK, QTY, IN_STOCK, TAGS, ATTRS, CREATED_AT, UPDATED_AT, COLUMNS };

static const char *const columns[COLUMNS] = {
    [ID] = "id",
    [SKU] = "sku",
    [NAME] = "name",
    [DESCRIPTION] = "description",
    [CATEGORY] = "category",
    [PRICE] = "price",
    [STOCK] = "stock",
    [QTY] = "qty", /* what stock is called elsewhere */
    [IN_STOCK] = "in_stock",
    [TAGS] = "tags",
    [ATTRS] = "attrs",
    [CREATED_AT] = "created_at",
    [UPDATED_AT] = "updated_at",
};

/* What prices are in: the table does not say. */
static char currency[16] = "EUR";

bool rowmill_init(rm_text config) {
    static const char *const names[] = {"currency"};
    rm_value settings[1];
    rm_settings(config, names, 1, settings);
    if (!rm_has(settings[0])) return true;
    rm_text text = rm_string(settings[0]);
    if (text.length >= sizeof currency) return rm_reject("setting `currency`: it is too long");
    memcpy(currency, text.at, text.length);
    currency[text.length] = 0;
    return true;
}

/* A document without the value would wipe out what the index has. */
static bool unavailable(const char *column) {
    return rm_reject("%s did not change and was not sent by the database: set state.keep = \"rows\"", column);
}

/* Home/Kitchen/Pans is in Home, in Home/Kitchen and in itself: a facet opens level by level. */
static void put_category_path(rm_writer *body, rm_text category) {
    if (category.length == 0) return;
    rm_list(body, "category_path");
    for (size_t at = 1; at <= category.length; at++)
        if (at == category.length || category.at[at] == '/') rm_put_text(body, NULL, (rm_text){category.at, at});
    rm_end(body);
}

/* The one field that holds every word. */
typedef struct {
    char *at;
    size_t length;
} words;

static void add(words *to, rm_text word) {
    if (word.length == 0) return;
    if (to->length > 0) to->at[to->length++] = ' ';
    memcpy(to->at + to->length, word.at, word.length);
    to->length += word.length;
}

/* The texts within any JSON, not its names and numbers. */
static void add_texts(words *to, rm_value json) {
    switch (rm_kind_of(json)) {
    case RM_STRING: add(to, rm_string(json)); break;
    case RM_LIST:
    case RM_OBJECT: {
        rm_value item;
        for (rm_items items = rm_items_of(json); rm_next(&items, &item);) add_texts(to, item);
        break;
    }
    default: break;
    }
}

static void put_text(rm_writer *body, const rm_change *change, const rm_value row[], rm_value attributes) {
    words text = {rm_take(change->after.length), 0}; /* the row is longer than its texts */
    add(&text, rm_string(row[NAME]));
    add(&text, rm_string(row[DESCRIPTION]));
    add(&text, rm_string(row[CATEGORY]));
    add_texts(&text, row[TAGS]);
    add_texts(&text, attributes);
    rm_put_text(body, "text", (rm_text){text.at, text.length});
}

bool rowmill_change(const rm_change *change) {
    rm_value row[COLUMNS];
    rm_read(change->after, columns, COLUMNS, row);
    rm_text price = rm_decimal(row[PRICE]);
    if (rm_is_negative(price)) return rm_reject("the price is negative: %.*s", RM_ARG(price));
    if (rm_is_unavailable(row[DESCRIPTION])) return unavailable("description");
    if (rm_is_unavailable(row[ATTRS])) return unavailable("attrs");
    rm_value attributes = rm_json(row[ATTRS]);
    if (rm_has(attributes) && rm_kind_of(attributes) != RM_OBJECT) return rm_reject("attrs is no JSON object");
    rm_value stock = rm_has(row[STOCK]) ? row[STOCK] : row[QTY];

    rm_writer *body = &rm_index()->body;
    rm_put(body, "product_id", row[ID]);
    rm_put(body, "sku", row[SKU]);
    rm_put(body, "title", row[NAME]);
    rm_put(body, "description", row[DESCRIPTION]);
    rm_put(body, "category", row[CATEGORY]);
    put_category_path(body, rm_string(row[CATEGORY]));
    if (price.length > 0) {
        rm_object(body, "price");
        rm_put_json(body, "amount", price);
        rm_put_text(body, "currency", rm_of(currency));
        rm_end(body);
    }
    if (rm_has(row[IN_STOCK])) rm_put_boolean(body, "in_stock", rm_boolean(row[IN_STOCK]));
    else if (rm_has(stock)) rm_put_boolean(body, "in_stock", rm_integer(stock) > 0);
    if (rm_has(stock)) rm_put_integer(body, "stock", rm_integer(stock));
    rm_list(body, "tags");
    rm_value tag;
    for (rm_items tags = rm_items_of(row[TAGS]); rm_next(&tags, &tag);) rm_put(body, NULL, tag);
    rm_end(body);
    rm_put(body, "attributes", attributes);
    put_text(body, change, row, attributes);
    rm_list(body, "suggest"); /* what a search box may offer while one types */
    rm_put(body, NULL, row[NAME]);
    rm_put(body, NULL, row[SKU]);
    rm_end(body);
    rm_put(body, "created_at", row[CREATED_AT]);
    rm_put(body, "updated_at", row[UPDATED_AT]);
    return true;
}
