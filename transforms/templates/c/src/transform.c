/* A row of public.products becomes a document to search for.
 *
 * rowmill_change is the function to write: the documents it puts are what the index holds. sdk/README.md tells what else it may put (none,
 * several, messages), and what else there is (log, metrics, a store). */
#include "rowmill.h"

/* The columns that are used; others are skipped. */
enum { ID, NAME, PRICE, CATEGORY, STOCK, COLUMNS };

static const char *const columns[COLUMNS] = {
    [ID] = "id",
    [NAME] = "name",
    [PRICE] = "price",
    [CATEGORY] = "category",
    [STOCK] = "stock",
};

/* transform.config of the pipeline. */
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

/* Home/Kitchen/Pans is in Home, in Home/Kitchen and in itself. */
static void put_category_path(rm_writer *body, rm_text category) {
    if (category.length == 0) return;
    rm_list(body, "category_path");
    for (size_t at = 1; at <= category.length; at++)
        if (at == category.length || category.at[at] == '/') rm_put_text(body, NULL, (rm_text){category.at, at});
    rm_end(body);
}

bool rowmill_change(const rm_change *change) {
    rm_value row[COLUMNS];
    rm_read(change->after, columns, COLUMNS, row);
    rm_text price = rm_decimal(row[PRICE]);
    if (rm_is_negative(price)) return rm_reject("the price is negative: %.*s", RM_ARG(price));

    rm_writer *body = &rm_index()->body;
    rm_put(body, "product_id", row[ID]); /* as it stands in the row; nothing where there is none */
    rm_put(body, "title", row[NAME]);
    if (price.length > 0) {
        rm_object(body, "price");
        rm_put_json(body, "amount", price); /* with all its digits */
        rm_put_text(body, "currency", rm_of(currency));
        rm_end(body);
    }
    put_category_path(body, rm_string(row[CATEGORY]));
    if (rm_has(row[STOCK])) rm_put_boolean(body, "in_stock", rm_integer(row[STOCK]) > 0);
    return true;
}
