//! The row as it comes.

use rowmill_transform::column::{Decimal, Json, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The columns that are used.
#[derive(Deserialize)]
pub struct Product<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub sku: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    #[serde(borrow)]
    pub category: Option<Text<'a>>,
    #[serde(borrow)]
    pub price: Option<Decimal<'a>>,
    #[serde(alias = "qty")]
    pub stock: Option<i64>,
    pub in_stock: Option<bool>,
    #[serde(borrow)]
    pub tags: Option<Vec<Option<Text<'a>>>>,
    #[serde(borrow)]
    pub attrs: Option<Json<'a>>,
    /// Text, or a count since 1970: as the connector sends it.
    #[serde(borrow)]
    pub created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    pub updated_at: Option<&'a RawValue>,
}
