// A row of `public.products` becomes a document to search for.
//
// `product` is the function to write: what it returns is what the index holds. sdk/README.md tells what else it may return (nothing,
// several documents, messages), and what else there is (other types of columns, log, metrics, a store).

import { columns, reject, transform } from "../sdk/rowmill.js";

/** `transform.config` of the pipeline: the settings there are, with their defaults. */
const settings = { currency: "EUR" };

/** The columns that are used; others are skipped. `!` stands where a column may not be null or missing. */
const Product = columns({
  id: "bigint!",
  name: "text",
  price: "decimal",
  category: "text",
  stock: "integer",
});

/**
 * @param {import("../sdk/rowmill.js").Change} change
 * @param {typeof settings} settings
 */
function product(change, { currency }) {
  const row = change.after(Product);
  if (row.price?.isNegative()) {
    reject(`the price is negative: ${row.price}`);
  }
  // A field that is undefined is left out.
  return {
    product_id: row.id,
    title: row.name,
    price: row.price && { amount: row.price, currency },
    category_path: row.category ? categoryPath(row.category) : undefined,
    in_stock: row.stock === undefined ? undefined : row.stock > 0,
  };
}

export default transform(product, { settings });

/** `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself. */
export function categoryPath(/** @type {string} */ category) {
  const parts = category.split("/");
  return parts.map((_, last) => parts.slice(0, last + 1).join("/"));
}
