// A row of `public.products` becomes a document to search for.
//
// Every column may be missing, and columns that are not named are skipped: the table may change in mid-stream.

import { type Change, columns, type Decimal, type Json, reject, type Row, transform } from "../../../sdk/js/rowmill.js";
import { words } from "./words.ts";

const settings = {
  /** What prices are in: the table does not say. */
  currency: "EUR",
};

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

/** What the index holds. */
interface Body {
  product_id: bigint | undefined;
  sku: string | undefined;
  title: string | undefined;
  description: string | undefined;
  category: string | undefined;
  /** The category and those above it, for a facet that opens level by level. */
  category_path: string[] | undefined;
  price: { amount: Decimal; currency: string } | undefined;
  in_stock: boolean | undefined;
  stock: number | undefined;
  tags: string[];
  attributes: { [name: string]: Json } | undefined;
  /** Everything one may search for, in one field. */
  text: string;
  /** What a search box may offer while one types. */
  suggest: string[];
  created_at: Json | undefined;
  updated_at: Json | undefined;
}

function product(change: Change, { currency }: typeof settings): Body {
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
    category_path: row.category ? categoryPath(row.category) : undefined,
    price: row.price && { amount: row.price, currency },
    in_stock: row.in_stock ?? (stock === undefined ? undefined : stock > 0),
    stock,
    tags,
    attributes: row.attrs,
    text: words([row.name, row.description, row.category, ...tags, row.attrs]),
    suggest: suggestions(row),
    created_at: row.created_at,
    updated_at: row.updated_at,
  };
}

function suggestions({ name, sku }: Row<typeof Product>): string[] {
  return [name, sku].filter((text) => text !== undefined);
}

/** `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself. */
function categoryPath(category: string): string[] {
  const parts = category.split("/");
  return parts.map((_, last) => parts.slice(0, last + 1).join("/")).filter((path) => path !== "");
}

export default transform(product, { settings });
