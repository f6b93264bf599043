//! The whole life of a component that aggregates: settings, measures, rejects, rows.

use rowmill_transform::testing::{deleted, lines, measure, render, row, window_row};
use rowmill_transform::{Aggregate as _, Change, Document, Measure, Result, WindowRow, reject};
use serde::Deserialize;

#[derive(Deserialize)]
struct Sale {
    product: Option<String>,
    amount: f64,
    buyers: Option<Vec<u64>>,
}

mod plain {
    use super::*;

    fn sale(change: &Change) -> Result<Option<Measure>> {
        let sale: Sale = change.after()?;
        if sale.amount < 0.0 {
            return Err(reject("the amount is negative"));
        }
        Ok(sale.product.map(|product| Measure::new(product).weight(sale.amount)))
    }

    rowmill_transform::aggregate!(sale);
}

mod rendered {
    use super::*;

    fn sale(change: &Change) -> Result<Vec<Measure>> {
        let sale: Sale = change.after()?;
        Ok(sale.buyers.iter().flatten().map(|buyer| Measure::new(sale.amount).time_ms(7).distinct(buyer)).collect())
    }

    fn shown(row: &WindowRow) -> Result<Vec<Document>> {
        if row.count == 0 { Err(reject("nothing was sold")) } else { Ok(vec![row.document()?, Document::from_text("{}").id(&row.key)]) }
    }

    rowmill_transform::aggregate!(sale, shown);
}

mod with_settings {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {
        all: String,
    }

    fn sale(_: &Change, settings: &Settings) -> Measure {
        Measure::new(&settings.all)
    }

    fn shown(row: &WindowRow, settings: &Settings) -> Option<Document> {
        (row.key == settings.all).then(|| Document::from_text("{}"))
    }

    rowmill_transform::aggregate!(sale, shown, config = Settings);
}

mod with_settings_alone {
    use super::*;

    fn sale(_: &Change, settings: &with_settings::Settings) -> Result<Measure> {
        let _ = settings;
        Ok(Measure::new("k"))
    }

    rowmill_transform::aggregate!(sale, config = with_settings::Settings);
}

#[test]
fn a_bad_row_is_rejected_alone() {
    let batch = [
        row("sales", r#"{"product":"lamp","amount":12.5}"#),
        row("sales", r#"{"amount":1}"#),
        row("sales", r#"{"product":"lamp","amount":-1}"#),
        row("sales", r#"{"product":"lamp"}"#),
        deleted("sales", r#"{"id":5}"#),
        row("sales", r#"{"product":"desk","amount":0.1}"#),
    ];
    let expected = r#"{"change":0,"action":"measure","key":"lamp","weight":12.5}
{"change":2,"action":"reject","reason":"the amount is negative"}
{"change":3,"action":"reject","reason":"missing field `amount`"}
{"change":5,"action":"measure","key":"desk","weight":0.1}
"#;
    assert_eq!(lines(&measure::<plain::Component>("", &batch)), expected);
}

#[test]
fn a_row_is_its_own_document_where_nothing_renders_it() {
    let rows = [window_row("lamp", 3), window_row("desk", 1)];
    let expected = r#"{"change":0,"action":"index","body":{"key":"lamp","count":3,"sum":3}}
{"change":1,"action":"index","body":{"key":"desk","count":1,"sum":1}}
"#;
    assert_eq!(lines(&render::<plain::Component>("", &rows)), expected);
    assert_eq!(lines(&render::<with_settings_alone::Component>(r#"{"all":"x"}"#, &rows)), expected);
}

#[test]
fn a_change_and_a_row_may_come_to_several() {
    let measured = lines(&measure::<rendered::Component>("", &[row("sales", r#"{"amount":2.5,"buyers":[1,2]}"#)]));
    let expected = r#"{"change":0,"action":"measure","key":"2.5","time_ms":7,"weight":1.0,"distinct":"1"}
{"change":0,"action":"measure","key":"2.5","time_ms":7,"weight":1.0,"distinct":"2"}
"#;
    assert_eq!(measured, expected);
    let expected = r#"{"change":0,"action":"reject","reason":"nothing was sold"}
{"change":1,"action":"index","body":{"key":"lamp","count":1,"sum":1}}
{"change":1,"action":"index","id":"lamp","body":{}}
"#;
    assert_eq!(lines(&render::<rendered::Component>("", &[window_row("desk", 0), window_row("lamp", 1)])), expected);
}

#[test]
fn settings_reach_both() {
    let config = r#"{"all":"sales"}"#;
    let measured = lines(&measure::<with_settings::Component>(config, &[row("sales", "{}")]));
    assert_eq!(measured, "{\"change\":0,\"action\":\"measure\",\"key\":\"sales\",\"weight\":1.0}\n");
    let shown = lines(&render::<with_settings::Component>(config, &[window_row("other", 1), window_row("sales", 1)]));
    assert_eq!(shown, "{\"change\":1,\"action\":\"index\",\"body\":{}}\n");
    assert_eq!(with_settings::Component::init("{}").unwrap_err(), "transform.config: missing field `all`");
    assert!(plain::Component::init(r#"{"all":1}"#).unwrap_err().contains("setting `all`: unknown field `all`"));
}

#[test]
fn a_batch_before_init_is_an_error() {
    assert_eq!(with_settings_alone::Component::measure(&[]).unwrap_err(), "measure was called before init");
    assert_eq!(with_settings_alone::Component::render(&[]).unwrap_err(), "render was called before init");
}
