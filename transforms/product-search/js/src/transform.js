// A row of `public.products` becomes a document to search for.
//
// Every column may be missing, and columns that are not named are skipped: the table may change in mid-stream.

import { columns, reject, transform } from "../../../sdk/js/rowmill.js";
import { words } from "./words.js";

const Product = columns({
  id: "bigint",
  sku: "text",
  name: "text",
  description: "text",
  category: "text",
  price: "decimal",
  stock: "integer",
  qty: "integer",
  in_stock: "boolean",
  tags: "text[]",
  attrs: "object",
  // Text, or a count since 1970: as the connector sends it.
  created_at: "any",
  updated_at: "any",
});

function product(change, { currency }) {
  const row = change.after(Product);
  if (row.price?.isNegative()) {
    reject(`the price is negative: ${row.price}`);
  }
  const stock = row.stock ?? row.qty;
  const tags = (row.tags ?? []).filter((tag) => tag !== null);
  return {
    product_id: row.id,
    sku: row.sku,
    title: row.name,
    description: row.description,
    category: row.category,
    category_path: row.category && categoryPath(row.category),
    // What prices are in: the table does not say.
    price: row.price && { amount: row.price, currency },
    in_stock: row.in_stock ?? (stock === undefined ? undefined : stock > 0),
    stock,
    tags,
    attributes: row.attrs,
    text: words([row.name, row.description, row.category, ...tags, row.attrs]),
    suggest: [row.name, row.sku].filter((text) => text !== undefined),
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}

/** `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself. */
function categoryPath(category) {
  const parts = category.split("/");
  return parts.map((_, last) => parts.slice(0, last + 1).join("/")).filter((path) => path !== "");
}

export default transform(product, { settings: { currency: "EUR" } });
