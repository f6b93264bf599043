//! What is found in a small shop, and in which order.

use super::{delete, index, sink_in, write};
use crate::sink::embedded::EmbeddedSink;
use crate::sink::search::{Condition, Filter, Fuzziness, Search, SearchError, SearchRequest};

const SHOP: &[(&str, &str)] = &[
    (
        "1",
        r#"{"title":"Red Running Shoe","maker":{"name":"Asics"},"price":"99.90","stock":3,"tags":["sport","sale"],"active":true,"added":"2026-01-03"}"#,
    ),
    (
        "2",
        r#"{"title":"Blue shoe","maker":{"name":"Puma"},"price":"120.00","stock":12.5,"tags":["sport"],"active":false,"added":"2026-01-24T10:30:00Z"}"#,
    ),
    (
        "3",
        r#"{"title":"Café table, red","maker":{"name":"Ikea"},"price":"9.5","stock":0,"tags":[],"active":true,"added":"2025-12-31T23:30:00-05:00"}"#,
    ),
    (
        "4",
        r#"{"title":"running watch","sku":"01234","serial":9007199254740993,"sizes":[40,46],"lines":[{"sku":"A-1","count":2},{"sku":"B-2","count":7}]}"#,
    ),
    ("5", r#"{"title":"2026-01-01","sku":"55","serial":9007199254740992,"sizes":[42],"note":null,"a.b":{"c":"dotted"},"":"nameless"}"#),
];

async fn shop(dir: &std::path::Path) -> EmbeddedSink {
    let sink = sink_in(dir);
    // In several commits, so that there are several segments, one without most of the columns.
    for (id, body) in SHOP {
        write(&sink, &[index(id, 1, body), index("gone", 1, r#"{"title":"red shoe gone"}"#)]).await;
    }
    write(&sink, &[delete("gone", 2)]).await;
    sink
}

fn equals(field: &str, text: &str) -> Filter {
    Filter { field: field.into(), condition: Condition::Equals(text.into()) }
}

fn between(field: &str, from: &str, to: &str) -> Filter {
    let end = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Filter { field: field.into(), condition: Condition::Between { from: end(from), to: end(to) } }
}

async fn ids(sink: &EmbeddedSink, request: SearchRequest) -> Result<Vec<String>, SearchError> {
    let found = Search::search(sink, "shop", &request).await?;
    Ok(found.hits.into_iter().map(|hit| hit.id).collect())
}

#[tokio::test]
async fn words_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let sink = shop(dir.path()).await;
    let (exact, auto) = (Fuzziness::Exact, Fuzziness::Auto);
    for (query, fuzzy, all_words, fields, found) in [
        ("shoe", exact, false, &[][..], &["1", "2"][..]),
        ("SHOE", exact, false, &[], &["1", "2"]),
        ("cafe", exact, false, &[], &["3"]),
        ("red shoe", exact, false, &[], &["1", "2", "3"]),
        ("red shoe", exact, true, &[], &["1"]),
        // Words that stand in different fields.
        ("puma blue", exact, true, &[], &["2"]),
        ("puma blue", exact, true, &["title"], &[]),
        ("puma blue", exact, true, &["title", "maker"], &["2"]),
        ("red", exact, false, &["maker.name"], &[]),
        ("sale", exact, false, &["tags"], &["1"]),
        ("shoo", exact, false, &[], &[]),
        ("shoo", auto, false, &[], &["1", "2"]),
        ("hsoe", auto, false, &[], &["1", "2"]),
        ("runing", auto, false, &["title"], &["1", "4"]),
        ("rnuinng", auto, false, &[], &["1", "4"]),
        ("rde", Fuzziness::Letters(0), false, &[], &[]),
        ("rde", Fuzziness::Letters(9), false, &[], &["1", "3"]),
        // What stands where text stands is text, whatever it looks like.
        ("2026", exact, false, &[], &["5"]),
        ("01234", exact, false, &[], &["4"]),
        ("55", exact, false, &[], &["5"]),
        ("dotted", exact, false, &["a.b.c"], &["5"]),
        ("nameless", exact, false, &[""], &["5"]),
        // No query language: nothing a person types can fail.
        ("title:red AND (\"", exact, false, &[], &["1", "3"]),
        ("!!!", exact, false, &[], &[]),
        ("  ", exact, false, &[], &["1", "2", "3", "4", "5"]),
        ("nothing", auto, true, &[], &[]),
    ] {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let request = SearchRequest { query: Some(query.into()), fuzzy, all_words, fields, limit: 10, ..SearchRequest::default() };
        let mut hits = ids(&sink, request).await.unwrap();
        hits.sort();
        assert_eq!(hits, found, "{query} {fuzzy:?} {all_words}");
    }
}

#[tokio::test]
async fn better_matches_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    let titles = ["a quick brown fox and much else that is said", "quick fox", "quack fox", "quaak fax"];
    for (id, title) in titles.iter().enumerate() {
        write(&sink, &[index(&id.to_string(), 1, serde_json::json!({ "title": title }))]).await;
    }
    let request =
        |text: &str| SearchRequest { query: Some(text.into()), fuzzy: Fuzziness::Letters(2), limit: 10, ..SearchRequest::default() };
    assert_eq!(ids(&sink, request("quick")).await.unwrap(), ["1", "0", "2", "3"]);
    assert_eq!(ids(&sink, request("quick fox")).await.unwrap()[0], "1");
    let found = super::search(&sink, &request("quick")).await;
    assert!(found.hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
}

#[tokio::test]
async fn filters_know_the_kinds_of_fields() {
    let dir = tempfile::tempdir().unwrap();
    let sink = shop(dir.path()).await;
    for (filter, found) in [
        (equals("title", "Blue shoe"), &["2"][..]),
        (equals("title", "blue shoe"), &[]),
        (equals("maker.name", "Ikea"), &["3"]),
        (equals("tags", "sport"), &["1", "2"]),
        (equals("active", "true"), &["1", "3"]),
        (equals("stock", "12.50"), &["2"]),
        (equals("stock", "3"), &["1"]),
        (equals("price", "9.50"), &["3"]),
        (equals("price", "9.5"), &["3"]),
        (equals("sku", "01234"), &["4"]),
        // Digits that a float loses.
        (equals("serial", "9007199254740993"), &["4"]),
        (equals("serial", "9007199254740992"), &["5"]),
        (equals("lines.sku", "B-2"), &["4"]),
        (equals("added", "2026-01-24"), &["2"]),
        (equals("added", "2026-01-24T10:30:00Z"), &["2"]),
        (equals("added", "2026-01-24T11:30:00+01:00"), &["2"]),
        (equals("added", "2026-01-01"), &["3"]),
        (between("price", "9.5", "99.9"), &["1", "3"]),
        (between("price", "100", ""), &["2"]),
        (between("stock", "", "3"), &["1", "3"]),
        (between("sizes", "41", "45"), &["5"]),
        (between("added", "2026-01-01", "2026-01-03"), &["1", "3"]),
        (between("added", "2026-01-24T10:30:00Z", ""), &["2"]),
        (between("added", "", "2026-01-24"), &["1", "2", "3"]),
        (between("added", "", ""), &["1", "2", "3"]),
    ] {
        let request = SearchRequest { filters: vec![filter.clone()], limit: 10, ..SearchRequest::default() };
        let mut hits = ids(&sink, request).await.unwrap();
        hits.sort();
        assert_eq!(hits, found, "{filter:?}");
    }
    let filters = vec![equals("tags", "sport"), between("price", "", "100")];
    let request = SearchRequest { query: Some("shoe".into()), filters, limit: 10, ..SearchRequest::default() };
    assert_eq!(ids(&sink, request).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn pages_are_sorted_with_the_missing_last() {
    let dir = tempfile::tempdir().unwrap();
    let sink = shop(dir.path()).await;
    for (field, descending, order) in [
        ("price", false, "3 1 2"),
        ("price", true, "2 1 3"),
        ("stock", false, "3 1 2"),
        ("stock", true, "2 1 3"),
        ("title", false, "5 2 3 1 4"),
        ("title", true, "4 1 3 2 5"),
        ("active", false, "2"),
        ("added", false, "3 1 2"),
        ("added", true, "2 1 3"),
        // The least of a list upwards, the greatest downwards.
        ("sizes", false, "4 5"),
        ("sizes", true, "4 5"),
        ("lines.sku", false, "4"),
    ] {
        let sort = Some((field.to_owned(), descending));
        let request = SearchRequest { sort, limit: 10, ..SearchRequest::default() };
        let hits = ids(&sink, request.clone()).await.unwrap();
        assert_eq!(hits.len(), SHOP.len());
        let order: Vec<&str> = order.split(' ').collect();
        assert_eq!(hits[..order.len()], order, "{field} {descending}");

        let mut paged = Vec::new();
        for offset in 0..=SHOP.len() {
            let page = super::search(&sink, &SearchRequest { offset, limit: 1, ..request.clone() }).await;
            assert_eq!(page.total, SHOP.len() as u64);
            assert!(page.hits.iter().all(|hit| hit.score.is_none()));
            paged.extend(page.hits.into_iter().map(|hit| hit.id));
        }
        assert_eq!(paged, hits);
    }
    assert_eq!(super::search(&sink, &SearchRequest::default()).await.total, SHOP.len() as u64, "a page of nothing counts");
}

#[tokio::test]
async fn a_wrong_question_is_answered_by_what_to_change() {
    let dir = tempfile::tempdir().unwrap();
    let sink = shop(dir.path()).await;
    let ask = |request: SearchRequest| SearchRequest { limit: 10, ..request };
    let filter = |filter: Filter| ask(SearchRequest { filters: vec![filter], ..SearchRequest::default() });
    let mut answers = String::new();
    for request in [
        filter(equals("prize", "1")),
        filter(equals("stock", "many")),
        filter(equals("active", "yes")),
        filter(between("title", "a", "b")),
        filter(between("price", "cheap", "")),
        filter(between("added", "2026-01-01", "5")),
        ask(SearchRequest { sort: Some(("maker".into(), false)), ..SearchRequest::default() }),
        ask(SearchRequest { query: Some("red".into()), fields: vec!["stock".into()], ..SearchRequest::default() }),
        ask(SearchRequest { query: Some("a ".repeat(101)), ..SearchRequest::default() }),
        SearchRequest { offset: 9_999, limit: 2, ..SearchRequest::default() },
    ] {
        answers += &format!("{}\n", ids(&sink, request).await.unwrap_err());
    }
    expect_test::expect![[r#"
        field prize does not exist; known fields: , a.b.c, active, added, lines.count, lines.sku, maker.name, price, serial, sizes, sku, stock, tags, title
        field stock holds numbers, and "many" is none
        field active holds booleans, and "yes" is none
        field title holds text and dates: give the ends of the range as numbers (12.50) or dates (2026-01-24T10:30:00Z) alike
        field price holds numbers: give the ends of the range as numbers (12.50) or dates (2026-01-24T10:30:00Z) alike
        field added holds dates: give the ends of the range as numbers (12.50) or dates (2026-01-24T10:30:00Z) alike
        field maker does not exist; known fields: , a.b.c, active, added, lines.count, lines.sku, maker.name, price, serial, sizes, sku, stock, tags, title
        field stock holds numbers, not text: use a filter
        the query has more than 100 words: use fewer
        offset and limit reach beyond document 10000: narrow the search with filters instead
    "#]].assert_eq(&answers);
    let missing = Search::search(&sink, "nosuch", &SearchRequest::default()).await.unwrap_err();
    assert_eq!(missing, SearchError::NotFound("nosuch".into()));
    assert!(sink.holds("shop") && !sink.holds("nosuch"));
}

#[tokio::test]
async fn an_empty_index_answers_with_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink_in(dir.path());
    crate::sink::Sink::prepare(&sink, &["shop".into()]).await.unwrap();
    assert!(sink.holds("shop"));
    let request = SearchRequest { query: Some("red".into()), limit: 10, sort: Some(("price".into(), true)), ..SearchRequest::default() };
    assert_eq!(super::search(&sink, &request).await.total, 0);
}
