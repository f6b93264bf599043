//! Parameters, and the question they become or the sentence they are refused with.

mod properties;

use std::fmt::Write as _;

use expect_test::expect;

use crate::api::question::search_request;
use crate::sink::search::{Condition, Filter, Fuzziness, SearchRequest};

fn asked(query: &str) -> Result<SearchRequest, String> {
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    search_request(&pairs)
}

fn plain() -> SearchRequest {
    SearchRequest { limit: 10, ..SearchRequest::default() }
}

fn between(field: &str, from: Option<&str>, to: Option<&str>) -> Filter {
    Filter { field: field.to_owned(), condition: Condition::Between { from: from.map(str::to_owned), to: to.map(str::to_owned) } }
}

fn equals(field: &str, value: &str) -> Filter {
    Filter { field: field.to_owned(), condition: Condition::Equals(value.to_owned()) }
}

#[test]
fn parameters_become_a_question() {
    let table = [
        ("", plain()),
        ("q=", plain()),
        ("q=red lamp", SearchRequest { query: Some("red lamp".to_owned()), ..plain() }),
        ("fuzzy=true", SearchRequest { fuzzy: Fuzziness::Auto, ..plain() }),
        ("fuzzy=auto", SearchRequest { fuzzy: Fuzziness::Auto, ..plain() }),
        ("fuzzy=0", plain()),
        ("fuzzy=false", plain()),
        ("fuzzy=2", SearchRequest { fuzzy: Fuzziness::Letters(2), ..plain() }),
        ("operator=and", SearchRequest { all_words: true, ..plain() }),
        ("operator=or", plain()),
        ("fields=name, brand.name,", SearchRequest { fields: vec!["name".to_owned(), "brand.name".to_owned()], ..plain() }),
        ("limit=1000&offset=9000", SearchRequest { limit: 1_000, offset: 9_000, ..plain() }),
        ("sort_by=price", SearchRequest { sort: Some(("price".to_owned(), false)), ..plain() }),
        ("sort_by=price&sort_order=desc", SearchRequest { sort: Some(("price".to_owned(), true)), ..plain() }),
        ("sort_order=desc", plain()),
        (
            "filter.brand.name=Acme&filter.tag=a&filter.tag=b",
            SearchRequest { filters: vec![equals("brand.name", "Acme"), equals("tag", "a"), equals("tag", "b")], ..plain() },
        ),
        (
            "filter.price.to=9&filter.price.from=1&filter.stock.from=1",
            SearchRequest { filters: vec![between("price", Some("1"), Some("9")), between("stock", Some("1"), None)], ..plain() },
        ),
        (
            "date_from=2026-01-01&date_to=2026-01-31",
            SearchRequest { filters: vec![between("updated_at", Some("2026-01-01"), Some("2026-01-31"))], ..plain() },
        ),
        ("date_to=2026&date_field=placed_at", SearchRequest { filters: vec![between("placed_at", None, Some("2026"))], ..plain() }),
    ];
    for (query, expected) in table {
        assert_eq!(asked(query), Ok(expected), "{query}");
    }
}

#[test]
fn a_wrong_question_is_told_what_to_change() {
    let mut said = String::new();
    for query in [
        "querry=x",
        "sortby=x",
        "filters.a=1",
        "zzz=1",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "offset=-1",
        "limit=10&offset=9991",
        "fuzzy=3",
        "operator=xor",
        "sort_by=a&sort_order=up",
        "sort_order=asc",
        "q=a&q=b",
        "filter.=1",
        "filter..from=1",
        "filter.price.from=",
        "filter.price.from=1&filter.price.from=2",
        "date_from=2026&filter.updated_at.from=2025",
    ] {
        writeln!(said, "{query}: {}", asked(query).unwrap_err()).unwrap();
    }
    expect![[r#"
        querry=x: querry is not a known parameter: did you mean q?
        sortby=x: sortby is not a known parameter: did you mean sort_by?
        filters.a=1: filters.a is not a known parameter: did you mean filter.?
        zzz=1: zzz is not a known parameter: known are q, fuzzy, operator, fields, limit, offset, sort_by, sort_order, date_field, date_from, date_to
        limit=0: limit must be a whole number from 1 to 1000
        limit=1001: limit must be a whole number from 1 to 1000
        limit=ten: limit must be a whole number from 1 to 1000
        offset=-1: offset must be a whole number from 0 to 10000
        limit=10&offset=9991: offset and limit together must not pass 10000: narrow the search by filters instead
        fuzzy=3: fuzzy must be one of true, auto, false, 0, 1, 2
        operator=xor: operator must be one of or, and
        sort_by=a&sort_order=up: sort_order must be one of asc, desc
        sort_order=asc: sort_order=asc needs sort_by: without a field the best matches come first
        q=a&q=b: q stands twice: keep one
        filter.=1: filter. names no field: write filter.FIELD=value
        filter..from=1: filter..from names no field: write filter.FIELD.from=value
        filter.price.from=: filter.price.from is empty: give it a number or a date, or leave it out
        filter.price.from=1&filter.price.from=2: filter.price.from sets an end of price that is set already: keep one
        date_from=2026&filter.updated_at.from=2025: date_from sets an end of updated_at that is set already: keep one
    "#]].assert_eq(&said);
}
