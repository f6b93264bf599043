//! What is worth saying in words; what becomes of the events beside this crate, `rowmill test` says.

use crate::Component;
use rowmill_transform::testing::{deleted, lines, measure, render, row, window_row};
use rowmill_transform::{Aggregate as _, Span, WindowRow};

fn measured(search: &str) -> String {
    lines(&measure::<Component>(r#"{"ignore":["for"]}"#, &[row("searches", search)]))
}

fn rendered(row: WindowRow) -> String {
    lines(&render::<Component>("", &[row]))
}

#[test]
fn every_word_counts_once() {
    let expected = r#"{"change":0,"action":"measure","key":"bag","time_ms":5,"weight":1.0,"distinct":"u1"}
{"change":0,"action":"measure","key":"laptop","time_ms":5,"weight":1.0,"distinct":"u1"}
"#;
    assert_eq!(measured(r#"{"query":"Bag for LAPTOP, bag","at":5,"user":"u1"}"#), expected);
    assert_eq!(measured(r#"{"query":"tv","at":5}"#), "{\"change\":0,\"action\":\"measure\",\"key\":\"tv\",\"time_ms\":5,\"weight\":1.0}\n");
}

#[test]
fn what_is_no_search_counts_for_nothing() {
    assert_eq!(measured(r#"{"query":null,"results":-1}"#), "");
    assert_eq!(measured("{}"), "");
    assert_eq!(measure::<Component>("", &[deleted("searches", r#"{"id":1}"#)]), []);
}

#[test]
fn what_cannot_be_counted_is_a_dead_letter() {
    let negative = measured(r#"{"query":"tv","at":5,"results":-3}"#);
    assert_eq!(negative, "{\"change\":0,\"action\":\"reject\",\"reason\":\"the number of results is negative: -3\"}\n");
    assert!(measured(r#"{"query":"tv"}"#).contains("the search has no time: at is missing"));
    assert!(measured(r#"{"query":"tv","at":"noon"}"#).contains("column `at`: invalid type"));
}

#[test]
fn the_first_ten_are_shown() {
    let window = Some(Span { start_ms: 1_795_219_200_000, end_ms: 1_795_219_500_000 });
    let row = |rank| WindowRow { window, rank: Some(rank), distinct: Some(2), ..window_row("laptop", 3) };
    let body = r#"{"keyword":"laptop","searches":3,"users":2,"rank":10,"from":"2026-11-21T00:00:00Z"}"#;
    assert_eq!(rendered(row(10)), format!("{{\"change\":0,\"action\":\"index\",\"body\":{body}}}\n"));
    assert_eq!(rendered(row(11)), "");
    assert!(rendered(window_row("tv", 1)).ends_with("\"body\":{\"keyword\":\"tv\",\"searches\":1}}\n"));
}

#[test]
fn a_number_is_no_keyword() {
    assert!(rendered(window_row("2024", 1)).contains(r#""reason":"a number is no keyword: 2024""#));
    assert!(rendered(window_row("4k", 1)).contains(r#""action":"index""#));
}

#[test]
fn settings_are_checked() {
    let check = |config: &str, expected: &str| assert_eq!(Component::init(config).unwrap_err(), expected);
    check(r#"{"ignored":[]}"#, "transform.config: setting `ignored`: unknown field `ignored`, expected `ignore`");
    check(r#"{"ignore":"for"}"#, "transform.config: setting `ignore`: invalid type: string \"for\", expected a sequence");
}
