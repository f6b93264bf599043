//! A row of `public.products` becomes one document for each variant one can buy, in an index of their own, and one for the
//! product that says what there is to choose from.
//!
//! Variants stand in the jsonb column `attrs`: `{"variants":[{"code":"red-m","color":"red","price":"21.90","stock":3}]}`. A
//! product without them is its own only variant. When a variant goes, Rowmill deletes its document: the state knows
//! what a row had produced.

#[cfg(test)]
mod tests;

use rowmill_transform::column::{Decimal, Json, Text};
use rowmill_transform::{Change, Document, Message, Outputs, Result, reject, transform};
use serde::{Deserialize, Serialize};

/// `transform.config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the variants go; the product itself goes to the pipeline's index.
    #[serde(default = "variants")]
    index: String,
    /// Where to say that a variant is sold out; nowhere by default.
    sold_out_topic: Option<String>,
}

fn variants() -> String {
    "product-variants".to_owned()
}

#[derive(Deserialize)]
struct Product<'a> {
    id: i64,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    category: Option<Text<'a>>,
    #[serde(borrow)]
    price: Option<Decimal<'a>>,
    stock: Option<i64>,
    #[serde(borrow)]
    attrs: Option<Json<'a>>,
}

#[derive(Deserialize, Default)]
struct Attributes<'a> {
    #[serde(borrow, default)]
    variants: Vec<Json<'a>>,
}

#[derive(Deserialize)]
struct Variant<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    price: Option<Decimal<'a>>,
    stock: Option<i64>,
}

#[derive(Serialize)]
struct ProductBody<'a> {
    product_id: i64,
    title: Option<&'a Text<'a>>,
    category: Option<&'a Text<'a>>,
    variants: Vec<&'a str>,
}

#[derive(Serialize)]
struct VariantBody<'a> {
    product_id: i64,
    variant: &'a str,
    title: Option<&'a Text<'a>>,
    category: Option<&'a Text<'a>>,
    price: Option<&'a Decimal<'a>>,
    in_stock: bool,
    /// The variant as it stands in the row: colour, size, whatever the shop knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a Json<'a>>,
}

fn product(change: &Change, settings: &Settings) -> Result<Outputs> {
    let row: Product = change.after()?;
    let attributes = attributes(&row)?;
    let variants = attributes.variants.iter().map(variant).collect::<Result<Vec<_>>>()?;
    let codes: Vec<&str> = variants.iter().map(|variant| &*variant.code).collect();
    if let Some(twice) = codes.iter().zip(1..).find(|(code, next)| codes.iter().skip(*next).any(|other| other == *code)) {
        return Err(reject(format!("two variants have the code `{}`", twice.0)));
    }
    let mut outputs = Outputs::new();
    if variants.is_empty() {
        let only = Variant { code: "default".into(), price: None, stock: row.stock };
        put(&mut outputs, settings, &row, &only, None)?;
    }
    for (variant, json) in variants.iter().zip(&attributes.variants) {
        put(&mut outputs, settings, &row, variant, Some(json))?;
    }
    outputs.index(Document::new(&ProductBody {
        product_id: row.id,
        title: row.name.as_ref(),
        category: row.category.as_ref(),
        variants: codes,
    })?);
    Ok(outputs)
}

fn attributes<'a>(row: &'a Product) -> Result<Attributes<'a>> {
    match &row.attrs {
        None => Ok(Attributes::default()),
        Some(attrs) if attrs.is_unavailable() => {
            Err(reject("attrs did not change and was not sent by the database: set state.keep = \"rows\""))
        }
        Some(attrs) => attrs.parse().map_err(|error| error.at("column `attrs`")),
    }
}

fn variant<'a>(json: &'a Json) -> Result<Variant<'a>> {
    json.parse().map_err(|error| error.at("a variant in `attrs`"))
}

fn put(outputs: &mut Outputs, settings: &Settings, row: &Product, variant: &Variant, options: Option<&Json>) -> Result<()> {
    let id = format!("{}-{}", row.id, variant.code);
    let in_stock = variant.stock.is_some_and(|stock| stock > 0);
    let body = VariantBody {
        product_id: row.id,
        variant: &variant.code,
        title: row.name.as_ref(),
        category: row.category.as_ref(),
        price: variant.price.as_ref().or(row.price.as_ref()),
        in_stock,
        options,
    };
    if let Some(topic) = settings.sold_out_topic.as_ref().filter(|_| !in_stock) {
        outputs.emit(Message::new(topic, &body)?.key(&id));
    }
    // All variants of a product in one shard: searches can be collapsed to products.
    outputs.index(Document::new(&body)?.id(id).index(&settings.index).routing(row.id));
    Ok(())
}

transform!(product, config = Settings);
