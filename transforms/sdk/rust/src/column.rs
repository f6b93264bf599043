//! Types for the columns of a row. They borrow from the row's text where that is possible; a field of such a type wants
//! `#[serde(borrow)]`.

mod decimal;
mod json;
mod text;

pub use decimal::Decimal;
pub use json::Json;
pub use text::Text;
