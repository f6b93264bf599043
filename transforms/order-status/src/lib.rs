//! A row of `public.orders` becomes a document that says how far the order is. Orders that were called off have none: when
//! an order is cancelled, Rowmill deletes its document.

#[cfg(test)]
mod tests;

use rowmill_transform::column::{Decimal, Text};
use rowmill_transform::{Change, Document, Result, metrics, transform};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `transform.config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Orders with one of these are dropped.
    #[serde(default = "cancelled")]
    drop: Vec<String>,
    /// Orders with one of these need nothing more.
    #[serde(default = "delivered")]
    done: Vec<String>,
}

fn cancelled() -> Vec<String> {
    vec!["cancelled".to_owned()]
}

fn delivered() -> Vec<String> {
    vec!["delivered".to_owned(), "returned".to_owned()]
}

#[derive(Deserialize)]
struct Order<'a> {
    id: i64,
    #[serde(borrow)]
    status: Text<'a>,
    product_id: Option<i64>,
    #[serde(borrow)]
    customer: Option<Text<'a>>,
    quantity: Option<i64>,
    #[serde(borrow)]
    total: Option<Decimal<'a>>,
    #[serde(borrow)]
    placed_at: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Body<'a> {
    order_id: i64,
    status: Text<'a>,
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Decimal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placed_at: Option<&'a RawValue>,
}

fn order(change: &Change, settings: &Settings) -> Result<Option<Document>> {
    let row: Order = change.after()?;
    if settings.drop.iter().any(|status| **status == *row.status) {
        metrics::count("orders_dropped", 1);
        return Ok(None);
    }
    let body = Body {
        order_id: row.id,
        open: !settings.done.iter().any(|status| **status == *row.status),
        status: row.status,
        product_id: row.product_id,
        customer: row.customer,
        quantity: row.quantity,
        total: row.total,
        placed_at: row.placed_at,
    };
    Document::new(&body).map(Some)
}

transform!(order, config = Settings);
