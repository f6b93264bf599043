//! What is worth saying in words; what becomes of the events beside this crate, `rowmill test` says.

use crate::Component;
use rowmill_transform::Component as _;
use rowmill_transform::testing::{counter, lines, row, run};

#[test]
fn a_cancelled_order_has_no_document() {
    let order = row("public.orders", r#"{"id":1,"status":"cancelled"}"#);
    assert_eq!(run::<Component>("", std::slice::from_ref(&order)), []);
    assert_eq!(counter("orders_dropped"), 1);
    assert_eq!(run::<Component>(r#"{"drop":["refused"]}"#, &[order]).len(), 1);
}

#[test]
fn a_total_keeps_its_digits() {
    let line = lines(&run::<Component>("", &[row("public.orders", r#"{"id":1,"status":"paid","total":"10.00"}"#)]));
    assert_eq!(line, "{\"change\":0,\"action\":\"index\",\"body\":{\"order_id\":1,\"status\":\"paid\",\"open\":true,\"total\":10.00}}\n");
}

#[test]
fn settings_are_checked() {
    let error = Component::init(r#"{"drop":"cancelled"}"#).unwrap_err();
    assert_eq!(error, "transform.config: setting `drop`: invalid type: string \"cancelled\", expected a sequence");
}
