//! A row of `public.products` becomes a document to search for.
//!
//! `product` is the function to write: what it returns is what the index holds. sdk/README.md tells what else it may return
//! (nothing, several documents, messages), and what else there is (other rows' columns, log, metrics, a store).

use rowmill_transform::column::{Decimal, Text};
use rowmill_transform::{Change, Document, Result, reject, transform};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `transform.config` of the pipeline.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

/// The columns that are used; others are skipped. A column that may be null, or may go, is an `Option`.
#[derive(Deserialize)]
struct Product<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    price: Option<Decimal<'a>>,
    #[serde(borrow)]
    category: Option<Text<'a>>,
    stock: Option<i64>,
}

/// The document.
#[derive(Serialize)]
struct Body<'a> {
    product_id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    category_path: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_stock: Option<bool>,
}

#[derive(Serialize)]
struct Price<'a> {
    amount: &'a Decimal<'a>,
    currency: &'a str,
}

fn product(change: &Change, settings: &Settings) -> Result<Document> {
    let row: Product = change.after()?;
    if let Some(price) = row.price.as_ref().filter(|price| price.is_negative()) {
        return Err(reject(format!("the price is negative: {price}")));
    }
    Document::new(&Body {
        product_id: row.id,
        title: row.name.as_ref(),
        price: row.price.as_ref().map(|amount| Price { amount, currency: &settings.currency }),
        category_path: row.category.as_deref().map(category_path).unwrap_or_default(),
        in_stock: row.stock.map(|stock| stock > 0),
    })
}

transform!(product, config = Settings);

/// `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself.
fn category_path(category: &str) -> Vec<&str> {
    let parents = category.match_indices('/').filter_map(|(at, _)| category.get(..at));
    parents.chain([category]).filter(|path| !path.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Component, category_path};
    use rowmill_transform::testing::{lines, row, run};

    #[test]
    fn a_category_has_parents() {
        assert_eq!(category_path("Home/Kitchen/Pans"), ["Home", "Home/Kitchen", "Home/Kitchen/Pans"]);
    }

    #[test]
    fn the_currency_is_a_setting() {
        let outputs = run::<Component>(r#"{"currency":"CHF"}"#, &[row("public.products", r#"{"id":1,"price":"3.00"}"#)]);
        assert!(lines(&outputs).contains(r#""price":{"amount":3.00,"currency":"CHF"}"#));
    }
}
