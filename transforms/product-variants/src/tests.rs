//! What is worth saying in words; what becomes of the events beside this crate, `rowmill test` says.

use crate::Component;
use rowmill_transform::testing::{lines, row, run};

fn one(text: &str) -> String {
    lines(&run::<Component>("", &[row("public.products", text)]))
}

#[test]
fn a_product_without_variants_is_its_own() {
    assert!(
        one(r#"{"id":7,"stock":1}"#)
            .starts_with(r#"{"change":0,"action":"index","id":"7-default","index":"product-variants","routing":"7""#)
    );
}

#[test]
fn variants_need_codes_of_their_own() {
    let twice = one(r#"{"id":7,"attrs":"{\"variants\":[{\"code\":\"a\"},{\"code\":\"b\"},{\"code\":\"a\"}]}"}"#);
    assert!(twice.contains("two variants have the code `a`"), "{twice}");
    let none = one(r#"{"id":7,"attrs":"{\"variants\":[{}]}"}"#);
    assert!(none.contains("a variant in `attrs`: missing field `code`"), "{none}");
    let odd = one(r#"{"id":7,"attrs":"{\"variants\":3}"}"#);
    assert!(odd.contains("column `attrs`: field `variants`: invalid type: integer `3`"), "{odd}");
}
