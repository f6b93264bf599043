//! The document as it goes.

use rowmill_transform::column::{Decimal, Json, Text};
use serde::Serialize;
use serde_json::value::RawValue;

/// What the index holds.
#[derive(Serialize)]
pub struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<&'a Text<'a>>,
    /// The category and those above it, for a facet that opens level by level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category_path: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_stock: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    pub tags: Vec<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<&'a Json<'a>>,
    /// Everything one may search for, in one field.
    pub text: String,
    /// What a search box may offer while one types.
    pub suggest: Vec<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<&'a RawValue>,
}

/// An amount with all its digits.
#[derive(Serialize)]
pub struct Price<'a> {
    pub amount: &'a Decimal<'a>,
    pub currency: &'a str,
}

/// `Home/Kitchen/Pans` is in `Home`, in `Home/Kitchen` and in itself.
pub fn category_path(category: &str) -> Vec<&str> {
    let parents = category.match_indices('/').filter_map(|(at, _)| category.get(..at));
    parents.chain([category]).filter(|path| !path.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_parents() {
        assert_eq!(category_path("Home/Kitchen/Pans"), ["Home", "Home/Kitchen", "Home/Kitchen/Pans"]);
        assert_eq!(category_path("Home"), ["Home"]);
        assert!(category_path("").is_empty());
    }
}
