//! From a search request to the body of a search. Plain functions on data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sink::search::{Condition, Filter, Fuzziness, SearchRequest};

/// Fields of a collection by name: what their values can be used for.
#[derive(Debug, Default, Deserialize)]
pub struct Fields {
    fields: BTreeMap<String, HashMap<String, Capabilities>>,
}

#[derive(Debug, Deserialize)]
struct Capabilities {
    #[serde(default)]
    aggregatable: bool,
}

/// How the values of a field can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Values<'a> {
    /// Whole, under this name.
    Whole(&'a str),
    /// Only by their words.
    Words,
}

/// The names whose kind must be known for this search: those that are compared, their sub-fields, and what they lie in.
pub fn fields_to_know(request: &SearchRequest) -> Vec<String> {
    let filtered = request.filters.iter().map(|filter| &filter.field);
    let sorted = request.sort.iter().map(|(field, _)| field);
    let mut names = BTreeSet::new();
    for field in filtered.chain(sorted) {
        names.extend(parents(field).map(str::to_owned));
        names.insert(field.clone());
        names.insert(format!("{field}.*"));
    }
    names.into_iter().collect()
}

/// The body of a search; an error says what cannot be asked.
pub fn body(request: &SearchRequest, fields: &Fields) -> Result<String, String> {
    let filters: Vec<Value> = request.filters.iter().map(|filter| condition(filter, fields)).collect();
    let mut body = json!({
        "query": { "bool": { "must": words(request), "filter": filters } },
        "from": request.offset,
        "size": request.limit,
        "track_total_hits": true,
        "version": true,
    });
    if let (Some((field, descending)), Some(body)) = (&request.sort, body.as_object_mut()) {
        body.insert("sort".to_owned(), json!([order(field, *descending, fields)?]));
    }
    Ok(body.to_string())
}

/// The words looked for, each of which must be there somewhere; or all in one, any of which will do.
fn words(request: &SearchRequest) -> Vec<Value> {
    let Some(query) = request.query.as_deref().filter(|query| !query.trim().is_empty()) else { return vec![json!({ "match_all": {} })] };
    let wanted: Vec<&str> = if request.all_words { query.split_whitespace().collect() } else { vec![query] };
    wanted.into_iter().map(|words| json!({ "multi_match": look_for(words, request) })).collect()
}

fn look_for(words: &str, request: &SearchRequest) -> Value {
    let fields: Vec<&str> = if request.fields.is_empty() { vec!["*"] } else { request.fields.iter().map(String::as_str).collect() };
    // Lenient: a number's field has no word in it, which is no mistake of who searches.
    let mut clause = json!({ "query": words, "fields": fields, "type": "best_fields", "lenient": true });
    let fuzziness = match request.fuzzy {
        Fuzziness::Exact => return with_stop_words(clause, request),
        Fuzziness::Auto => json!("AUTO"),
        Fuzziness::Letters(letters) => json!(letters.min(2)),
    };
    if let Some(clause) = clause.as_object_mut() {
        clause.insert("fuzziness".to_owned(), fuzziness);
    }
    with_stop_words(clause, request)
}

/// A word that the analyzer drops ("the") is nowhere; looked for alone, it must not empty the result.
fn with_stop_words(mut clause: Value, request: &SearchRequest) -> Value {
    if let (true, Some(clause)) = (request.all_words, clause.as_object_mut()) {
        clause.insert("zero_terms_query".to_owned(), json!("all"));
    }
    clause
}

fn condition(filter: &Filter, fields: &Fields) -> Value {
    let field = filter.field.as_str();
    let (name, is_whole) = match fields.values(field) {
        Values::Whole(name) => (name, true),
        Values::Words => (field, false),
    };
    let clause = match &filter.condition {
        Condition::Equals(value) if is_whole => json!({ "term": { name: { "value": value } } }),
        Condition::Equals(value) => json!({ "match_phrase": { name: { "query": value } } }),
        Condition::Between { from, to } => {
            let ends = [("gte", from), ("lte", to)].into_iter().filter_map(|(end, value)| Some((end.to_owned(), json!(value.as_ref()?))));
            json!({ "range": { name: Value::Object(ends.collect()) } })
        }
    };
    match fields.nested_in(field) {
        Some(path) => json!({ "nested": { "path": path, "query": clause } }),
        None => clause,
    }
}

fn order(field: &str, descending: bool, fields: &Fields) -> Result<Value, String> {
    let Values::Whole(name) = fields.values(field) else {
        return Err(format!(
            "field {field} is full text, which has no order: sort by another, or give it a keyword sub-field in the mapping"
        ));
    };
    let direction = if descending { "desc" } else { "asc" };
    let mut order = json!({ "order": direction, "missing": "_last", "unmapped_type": "keyword" });
    if let (Some(path), Some(order)) = (fields.nested_in(field), order.as_object_mut()) {
        order.insert("nested".to_owned(), json!({ "path": path }));
    }
    Ok(json!({ name: order }))
}

impl Fields {
    /// A field that nobody knows counts as whole: it holds nothing, and so nothing is found.
    fn values<'a>(&'a self, field: &'a str) -> Values<'a> {
        if !self.is_text(field) {
            return Values::Whole(field);
        }
        let below = format!("{field}.");
        let mut whole = self.fields.iter().filter(|(name, kinds)| name.starts_with(&below) && kinds.values().all(|kind| kind.aggregatable));
        let keyword = format!("{field}.keyword");
        // Dynamic mapping names it `keyword`; a mapping may name it otherwise.
        let first = self.fields.get_key_value(&keyword).or_else(|| whole.next());
        first.map_or(Values::Words, |(name, _)| Values::Whole(name))
    }

    fn is_text(&self, field: &str) -> bool {
        let kinds = self.fields.get(field).into_iter().flat_map(HashMap::keys);
        kinds.into_iter().any(|kind| matches!(kind.as_str(), "text" | "match_only_text" | "search_as_you_type" | "annotated_text"))
    }

    /// The innermost list of objects, mapped as `nested`, that a field lies in.
    fn nested_in<'a>(&self, field: &'a str) -> Option<&'a str> {
        parents(field).filter(|parent| self.fields.get(*parent).is_some_and(|kinds| kinds.contains_key("nested"))).last()
    }
}

/// `a` and `a.b` of `a.b.c`.
fn parents(field: &str) -> impl Iterator<Item = &str> {
    field.match_indices('.').filter_map(|(dot, _)| field.get(..dot))
}

#[cfg(test)]
mod tests {
    use super::{Fields, body, fields_to_know};
    use crate::sink::search::{Condition, Filter, Fuzziness, SearchRequest};

    fn fields() -> Fields {
        serde_json::from_str(
            r#"{"indices":["p"],"fields":{
                "name":{"text":{"type":"text","searchable":true,"aggregatable":false}},
                "name.raw":{"keyword":{"type":"keyword","searchable":true,"aggregatable":true}},
                "brand":{"text":{"aggregatable":false}},
                "brand.a":{"keyword":{"aggregatable":true}}, "brand.keyword":{"keyword":{"aggregatable":true}},
                "notes":{"text":{"aggregatable":false}},
                "price":{"double":{"aggregatable":true}},
                "variants":{"nested":{"aggregatable":false}}, "variants.sku":{"keyword":{"aggregatable":true}}}}"#,
        )
        .unwrap()
    }

    fn between(from: Option<&str>, to: Option<&str>) -> Condition {
        Condition::Between { from: from.map(str::to_owned), to: to.map(str::to_owned) }
    }

    #[track_caller]
    fn check(request: &SearchRequest, part: &str, expected: &str) {
        let body: serde_json::Value = serde_json::from_str(&body(request, &fields()).unwrap()).unwrap();
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(body.pointer(part), Some(&expected));
    }

    #[test]
    fn nothing_asked_finds_everything() {
        let request = SearchRequest { limit: 20, offset: 40, ..SearchRequest::default() };
        let all =
            r#"{"from":40,"size":20,"track_total_hits":true,"version":true,"query":{"bool":{"must":[{"match_all":{}}],"filter":[]}}}"#;
        check(&request, "", all);
    }

    #[test]
    fn words_are_looked_for_together_or_each() {
        let mut request = SearchRequest { query: Some("red  shoes".to_owned()), fuzzy: Fuzziness::Auto, ..SearchRequest::default() };
        let any = r#"[{"multi_match":{"query":"red  shoes","fields":["*"],"type":"best_fields","lenient":true,"fuzziness":"AUTO"}}]"#;
        check(&request, "/query/bool/must", any);
        request.all_words = true;
        request.fuzzy = Fuzziness::Letters(9);
        request.fields = vec!["name".to_owned()];
        let each = |word: &str| {
            format!(
                r#"{{"multi_match":{{"query":"{word}","fields":["name"],"type":"best_fields",
                    "lenient":true,"fuzziness":2,"zero_terms_query":"all"}}}}"#
            )
        };
        check(&request, "/query/bool/must", &format!("[{},{}]", each("red"), each("shoes")));
    }

    #[test]
    fn conditions_go_to_what_can_be_compared() {
        let equals = || Condition::Equals("7".to_owned());
        let cases = [
            ("price", equals(), r#"{"term":{"price":{"value":"7"}}}"#),
            ("name", equals(), r#"{"term":{"name.raw":{"value":"7"}}}"#),
            ("brand", equals(), r#"{"term":{"brand.keyword":{"value":"7"}}}"#),
            ("notes", equals(), r#"{"match_phrase":{"notes":{"query":"7"}}}"#),
            ("unknown", equals(), r#"{"term":{"unknown":{"value":"7"}}}"#),
            ("variants.sku", equals(), r#"{"nested":{"path":"variants","query":{"term":{"variants.sku":{"value":"7"}}}}}"#),
            ("price", between(Some("1"), Some("2")), r#"{"range":{"price":{"gte":"1","lte":"2"}}}"#),
            ("name", between(None, Some("m")), r#"{"range":{"name.raw":{"lte":"m"}}}"#),
        ];
        for (field, condition, clause) in cases {
            let filters = vec![Filter { field: field.to_owned(), condition }];
            check(&SearchRequest { filters, ..SearchRequest::default() }, "/query/bool/filter/0", clause);
        }
    }

    #[test]
    fn order_goes_by_what_has_one() {
        let sorted_by = |field: &str, descending| SearchRequest { sort: Some((field.to_owned(), descending)), ..SearchRequest::default() };
        let by_name = r#"[{"name.raw":{"order":"asc","missing":"_last","unmapped_type":"keyword"}}]"#;
        check(&sorted_by("name", false), "/sort", by_name);
        let by_price = r#"[{"price":{"order":"desc","missing":"_last","unmapped_type":"keyword"}}]"#;
        check(&sorted_by("price", true), "/sort", by_price);
        assert!(body(&sorted_by("notes", true), &fields()).unwrap_err().contains("keyword sub-field"));
    }

    #[test]
    fn only_what_is_compared_must_be_known() {
        assert!(fields_to_know(&SearchRequest { query: Some("a".to_owned()), ..SearchRequest::default() }).is_empty());
        let request = SearchRequest { sort: Some(("a.b.c".to_owned(), true)), ..SearchRequest::default() };
        assert_eq!(fields_to_know(&request), ["a", "a.b", "a.b.c", "a.b.c.*"]);
    }
}
