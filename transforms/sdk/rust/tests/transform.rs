//! The whole life of a component: settings, batches, rejects, deletes.

use rowmill_transform::testing::{counter, deleted, lines, row, run};
use rowmill_transform::{Change, Component as _, Document, Outputs, Result, metrics, reject, store};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Row {
    id: i64,
}

#[derive(Serialize)]
struct Body {
    number: i64,
}

mod plain {
    use super::*;

    fn odd(change: &Change) -> Result<Option<Document>> {
        let row: Row = change.after()?;
        match row.id {
            id if id < 0 => Err(reject("the id is negative")),
            id if id % 2 == 0 => Ok(None),
            id => Document::new(&Body { number: id }).map(Some),
        }
    }

    rowmill_transform::transform!(odd);
}

mod with_settings {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Settings {
        index: String,
        #[serde(default)]
        copies: usize,
    }

    fn copies(change: &Change, settings: &Settings) -> Result<Outputs> {
        let mut outputs = Outputs::new();
        for copy in 0..settings.copies {
            let id = format!("{}-{copy}", change.key::<Row>()?.id);
            outputs.index(Document::new(&Body { number: 1 })?.id(id).index(&settings.index));
        }
        Ok(outputs)
    }

    rowmill_transform::transform!(copies, config = Settings, deletes = true);
}

mod keeping {
    use super::*;

    fn counted(change: &Change) -> Result<Document> {
        let row: Row = change.after()?;
        metrics::count("called", 1);
        let number = i64::try_from(store::increment("rows", 1)?)?;
        if row.id < 0 { Err(reject("the id is negative")) } else { Document::new(&Body { number }) }
    }

    rowmill_transform::transform!(counted);
}

#[test]
fn a_rejected_row_has_kept_nothing() {
    let batch = [1, 2, -1, 3].map(|id| row("public.t", &format!(r#"{{"id":{id}}}"#)));
    let expected = r#"{"change":0,"action":"index","body":{"number":1}}
{"change":1,"action":"index","body":{"number":2}}
{"change":2,"action":"reject","reason":"the id is negative"}
{"change":3,"action":"index","body":{"number":3}}
"#;
    assert_eq!(lines(&run::<keeping::Component>("", &batch)), expected);
    assert_eq!((store::get_json("rows").unwrap(), counter("called")), (Some(3), 4));
}

#[test]
fn a_bad_row_is_rejected_alone() {
    let batch = [
        row("public.t", r#"{"id":1}"#),
        row("public.t", r#"{"id":2}"#),
        row("public.t", r#"{"id":-1}"#),
        row("public.t", r#"{"id":"x"}"#),
        deleted("public.t", r#"{"id":5}"#),
        row("public.t", r#"{"id":7}"#),
    ];
    let expected = r#"{"change":0,"action":"index","body":{"number":1}}
{"change":2,"action":"reject","reason":"the id is negative"}
{"change":3,"action":"reject","reason":"column `id`: invalid type: string \"x\", expected i64"}
{"change":5,"action":"index","body":{"number":7}}
"#;
    assert_eq!(lines(&run::<plain::Component>("", &batch)), expected);
}

#[test]
fn deletes_reach_those_who_ask() {
    let outputs = run::<with_settings::Component>(r#"{"index":"i","copies":2}"#, &[deleted("public.t", r#"{"id":5}"#)]);
    let expected = r#"{"change":0,"action":"index","id":"5-0","index":"i","body":{"number":1}}
{"change":0,"action":"index","id":"5-1","index":"i","body":{"number":1}}
"#;
    assert_eq!(lines(&outputs), expected);
}

#[test]
fn a_wrong_setting_is_named() {
    let check = |config: &str, expected: &str| {
        assert_eq!(with_settings::Component::init(config).unwrap_err(), expected);
    };
    check("{}", "transform.config: missing field `index`");
    check("", "transform.config: missing field `index`");
    check(r#"{"index":3}"#, "transform.config: setting `index`: invalid type: integer `3`, expected a string");
    check(r#"{"index":"i","copys":1}"#, "transform.config: setting `copys`: unknown field `copys`, expected `index` or `copies`");
    assert_eq!(plain::Component::init("null"), Ok(()));
    assert_eq!(
        plain::Component::init(r#"{"index":1}"#).unwrap_err(),
        "transform.config: setting `index`: unknown field `index`, there are no fields"
    );
}

#[test]
fn a_batch_before_init_is_an_error() {
    let early = with_settings::Component::transform(&[]);
    assert_eq!(early.unwrap_err(), "transform was called before init");
}
