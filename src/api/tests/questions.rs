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
    expect![[""]].assert_eq(&said);
}
