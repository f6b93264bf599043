//! What is worth saying in words; what becomes of the events beside this crate, `rowmill test` says.

use crate::Component;
use rowmill_transform::Component as _;
use rowmill_transform::testing::{deleted, lines, row, run};

fn one(text: &str) -> String {
    lines(&run::<Component>("", &[row("public.products", text)]))
}

#[test]
fn a_negative_price_is_a_dead_letter() {
    let line = one(r#"{"id":1,"name":"Lamp","price":"-3.00"}"#);
    assert_eq!(line, "{\"change\":0,\"action\":\"reject\",\"reason\":\"the price is negative: -3.00\"}\n");
    assert!(one(r#"{"id":1,"price":"-0.00"}"#).contains(r#""amount":-0.00"#));
}

#[test]
fn a_row_may_lack_columns_and_have_others() {
    let line = one(r#"{"id":12345678901234567890123,"colour":"red","tags":["a",null]}"#);
    let body = r#"{"product_id":12345678901234567890123,"tags":["a"],"text":"a","suggest":[]}"#;
    assert_eq!(line, format!("{{\"change\":0,\"action\":\"index\",\"body\":{body}}}\n"));
    assert!(one("{}").contains(r#""action":"index""#));
}

#[test]
fn values_that_were_not_sent_are_not_lost() {
    let line = one(r#"{"id":1,"description":"__debezium_unavailable_value"}"#);
    assert!(line.contains("description did not change and was not sent"), "{line}");
    let line = one(r#"{"id":1,"attrs":"__debezium_unavailable_value"}"#);
    assert!(line.contains("attrs did not change and was not sent"), "{line}");
}

#[test]
fn attributes_are_an_object_or_nothing() {
    assert!(one(r#"{"attrs":"[1]"}"#).contains(r#""reason":"attrs is no JSON object""#));
    assert!(one(r#"{"attrs":"{\"a\":"}"#).contains(r#""reason":"column `attrs`: EOF while parsing a value"#));
    assert!(one(r#"{"attrs":"{} {}"}"#).contains(r#""action":"reject""#));
    assert!(one(r#"{"attrs":{"a":1.50,"b":[{"c":"deep"}]}}"#).contains(r#""attributes":{"a":1.50,"b":[{"c":"deep"}]},"text":"deep""#));
}

#[test]
fn stock_is_a_number_or_a_word() {
    assert!(one(r#"{"stock":0}"#).contains(r#""in_stock":false,"stock":0"#));
    assert!(one(r#"{"qty":3,"in_stock":false}"#).contains(r#""in_stock":false,"stock":3"#));
    assert!(one(r#"{"stock":"many"}"#).contains("column `stock`: invalid type"));
}

#[test]
fn a_delete_is_the_hosts_affair() {
    assert_eq!(run::<Component>("", &[deleted("public.products", r#"{"id":1}"#)]), []);
}

#[test]
fn settings_are_checked() {
    let error = Component::init(r#"{"curency":"EUR"}"#).unwrap_err();
    assert_eq!(error, "transform.config: setting `curency`: unknown field `curency`, expected `currency`");
}
