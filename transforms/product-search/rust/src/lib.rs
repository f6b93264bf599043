//! A row of `public.products` becomes a document to search for.
//!
//! Every column but the key may be missing, and columns it does not know are skipped: the table may change in mid-stream.

mod body;
mod row;
#[cfg(test)]
mod tests;
mod words;

use body::{Body, Price, category_path};
use row::Product;
use rowmill_transform::{Change, Document, Result, reject, transform};
use serde::Deserialize;
use words::text;

/// `transform.config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What prices are in: the table does not say.
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

fn product(change: &Change, settings: &Settings) -> Result<Document> {
    let row: Product = change.after()?;
    check(&row)?;
    let category_path = row.category.as_deref().map(category_path).unwrap_or_default();
    let in_stock = row.in_stock.or(row.stock.map(|stock| stock > 0));
    let text = text(&row)?;
    Document::new(&Body {
        product_id: row.id,
        suggest: row.name.iter().chain(&row.sku).collect(),
        sku: row.sku.as_ref(),
        title: row.name.as_ref(),
        description: row.description.as_ref(),
        category: row.category.as_ref(),
        category_path,
        price: row.price.as_ref().map(|amount| Price { amount, currency: &settings.currency }),
        in_stock,
        stock: row.stock,
        tags: row.tags.iter().flatten().flatten().collect(),
        attributes: row.attrs.as_ref(),
        text,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn check(row: &Product) -> Result<()> {
    if let Some(price) = row.price.as_ref().filter(|price| price.is_negative()) {
        return Err(reject(format!("the price is negative: {price}")));
    }
    if row.attrs.as_ref().is_some_and(|attrs| !attrs.is_object() && !attrs.is_unavailable()) {
        return Err(reject("attrs is no JSON object"));
    }
    let description = row.description.as_ref().is_some_and(|text| text.is_unavailable());
    let attrs = row.attrs.as_ref().is_some_and(|json| json.is_unavailable());
    match (description, attrs) {
        (false, false) => Ok(()),
        (true, _) => Err(unavailable("description")),
        (_, true) => Err(unavailable("attrs")),
    }
}

/// A document without the value would wipe out what the index has.
fn unavailable(column: &str) -> rowmill_transform::Error {
    reject(format!("{column} did not change and was not sent by the database: set state.keep = \"rows\""))
}

transform!(product, config = Settings);
