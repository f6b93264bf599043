//! From a search request to a query and an order.

use std::ops::Bound;

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, Query, RangeQuery, TermQuery,
};
use tantivy::schema::IndexRecordOption;

use crate::limits::SEARCH_WINDOW_MAX;
use crate::sink::embedded::index::View;
use crate::sink::embedded::mapping::{FieldSeen, Kinds};
use crate::sink::embedded::schema::{self, Fields};
use crate::sink::embedded::value::{self, Span};
use crate::sink::embedded::words::analyzer;
use crate::sink::search::{Condition, Descending, Filter, Fuzziness, SearchRequest};

/// Words looked for in one search; more make a query nobody has typed.
const WORDS_MAX: usize = 100;
/// Letters that may differ, at most: what tantivy's automata know.
const LETTERS_MAX: u8 = 2;
/// What a word found with one letter different counts, beside the score of about 1 to 10 of the word itself.
const ONE_LETTER_SCORE: f32 = 0.2;
/// What a word found with two letters different counts.
const TWO_LETTERS_SCORE: f32 = 0.05;

/// A search, ready to run.
pub struct Plan {
    /// What matches.
    pub query: Box<dyn Query>,
    /// In which order.
    pub order: Order,
}

/// The order of what was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// Best first.
    Score,
    /// By a column of numbers.
    Number(String, Descending),
    /// By a column of texts.
    Text(String, Descending),
}

/// Makes a query of a request; the error is a sentence that says what to change.
pub fn plan(view: &View, request: &SearchRequest) -> Result<Plan, String> {
    if request.offset.saturating_add(request.limit) > SEARCH_WINDOW_MAX {
        return Err(format!("offset and limit reach beyond document {SEARCH_WINDOW_MAX}: narrow the search with filters instead"));
    }
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    match request.query.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => clauses.push((Occur::Must, words(view, text, request)?)),
        None => {
            // Everything, but for tombstones: they have no words, so that only this must leave them out.
            clauses.push((Occur::Must, Box::new(AllQuery)));
            clauses.push((Occur::MustNot, term(Term::from_field_bool(view.fields.gone, true))));
        }
    }
    for filter in &request.filters {
        clauses.push((Occur::Must, Box::new(ConstScoreQuery::new(condition(view, filter)?, 0.0))));
    }
    let order = match &request.sort {
        Some((path, descending)) => order(view, path, *descending)?,
        None => Order::Score,
    };
    Ok(Plan { query: Box::new(BooleanQuery::new(clauses)), order })
}

/// Where a word is looked for.
enum Place {
    Everywhere,
    At(u32),
}

/// Every word, or any of them, each in any of the fields: so that words may stand in different fields.
fn words(view: &View, text: &str, request: &SearchRequest) -> Result<Box<dyn Query>, String> {
    let places = places(view, &request.fields)?;
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let occur = if request.all_words { Occur::Must } else { Occur::Should };
    let mut analyzer = analyzer();
    let mut tokens = analyzer.token_stream(text);
    while let Some(token) = tokens.next() {
        if clauses.len() == WORDS_MAX {
            return Err(format!("the query has more than {WORDS_MAX} words: use fewer"));
        }
        let mut found: Vec<Box<dyn Query>> = places.iter().map(|place| word(&view.fields, place, &token.text, request.fuzzy)).collect();
        let one = if found.len() == 1 { found.pop() } else { None };
        clauses.push((occur, one.unwrap_or_else(|| Box::new(DisjunctionMaxQuery::new(found)))));
    }
    // A query of nothing but punctuation has no clause, and a query without clauses finds nothing.
    Ok(Box::new(BooleanQuery::new(clauses)))
}

fn places(view: &View, fields: &[String]) -> Result<Vec<Place>, String> {
    if fields.is_empty() {
        return Ok(vec![Place::Everywhere]);
    }
    let mut places = Vec::new();
    for path in fields {
        let seen = view.mapping.fields_at(path)?;
        let with_words: Vec<Place> = seen.iter().filter(|field| field.kinds.has_words()).map(|field| Place::At(field.number)).collect();
        if let (true, Some(field)) = (with_words.is_empty(), seen.first()) {
            return Err(format!("field {path} holds {}, not text: use a filter", field.kinds.named()));
        }
        places.extend(with_words);
    }
    Ok(places)
}

/// One word at one place. A word that is like it counts less than the word itself, and less the less it is like it.
fn word(fields: &Fields, place: &Place, text: &str, fuzzy: Fuzziness) -> Box<dyn Query> {
    let word = match place {
        Place::Everywhere => Term::from_field_text(fields.all, text),
        Place::At(number) => schema::text_term(fields.words, *number, text),
    };
    let letters = letters(text, fuzzy);
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for (distance, score) in [(1, ONE_LETTER_SCORE), (2, TWO_LETTERS_SCORE)] {
        if distance <= letters {
            let like = FuzzyTermQuery::new(word.clone(), distance, true);
            clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(like), score))));
        }
    }
    let exact: Box<dyn Query> = Box::new(TermQuery::new(word, IndexRecordOption::WithFreqs));
    if clauses.is_empty() {
        return exact;
    }
    clauses.push((Occur::Should, exact));
    Box::new(BooleanQuery::new(clauses))
}

fn letters(text: &str, fuzzy: Fuzziness) -> u8 {
    match (fuzzy, text.chars().count()) {
        (Fuzziness::Exact, _) | (Fuzziness::Auto, 0..=2) => 0,
        (Fuzziness::Auto, 3..=5) => 1,
        (Fuzziness::Auto, _) => 2,
        (Fuzziness::Letters(letters), _) => letters.min(LETTERS_MAX),
    }
}

fn condition(view: &View, filter: &Filter) -> Result<Box<dyn Query>, String> {
    let field = view.mapping.field(&filter.field)?;
    let found = match &filter.condition {
        Condition::Equals(text) => equals(&view.fields, field, text),
        Condition::Between { from, to } => between(&view.fields, field, from.as_deref(), to.as_deref()),
    };
    found.ok_or_else(|| {
        let (path, holds) = (&filter.field, field.kinds.named());
        match &filter.condition {
            Condition::Equals(text) => format!("field {path} holds {holds}, and \"{text}\" is none"),
            Condition::Between { .. } if !field.kinds.is_numeric() && !field.kinds.has(Kinds::DATE) => {
                format!("field {path} holds {holds}: a range needs numbers or dates")
            }
            Condition::Between { .. } => {
                format!("field {path} holds {holds}: give the ends of the range as numbers (12.50) or dates (2026-01-24T10:30:00Z) alike")
            }
        }
    })
}

/// The values that are written so, and those that mean the same: `12.5` is `12.50`, a day is any time in it.
fn equals(fields: &Fields, field: FieldSeen, text: &str) -> Option<Box<dyn Query>> {
    let mut any: Vec<Box<dyn Query>> = Vec::new();
    let holds_text = field.kinds.has_words() || field.kinds.has(Kinds::DATE);
    if holds_text || (field.kinds.has(Kinds::BOOLEAN) && matches!(text, "true" | "false")) {
        any.push(term(schema::text_term(fields.exact, field.number, &value::exact(text))));
    }
    if field.kinds.is_numeric() {
        match (value::long_number(text), value::decimal(text)) {
            (Some(long), _) => any.push(term(schema::text_term(fields.exact, field.number, &long))),
            (None, Some(number)) => any.push(numbers(fields, field, number, number)),
            (None, None) => {}
        }
    }
    if let (true, Some(span)) = (field.kinds.has(Kinds::DATE), Span::of(text)) {
        any.push(times(fields, field, span.from, span.to));
    }
    either(any)
}

fn between(fields: &Fields, field: FieldSeen, from: Option<&str>, to: Option<&str>) -> Option<Box<dyn Query>> {
    let mut any: Vec<Box<dyn Query>> = Vec::new();
    let number = |end: Option<&str>, open: f64| end.map_or(Some(open), value::decimal);
    if let (true, Some(from), Some(to)) = (field.kinds.is_numeric(), number(from, f64::MIN), number(to, f64::MAX)) {
        any.push(numbers(fields, field, from, to));
    }
    let span = |end: Option<&str>| end.map_or(Some(Span { from: i64::MIN, to: i64::MAX }), Span::of);
    if let (true, Some(from), Some(to)) = (field.kinds.has(Kinds::DATE), span(from), span(to)) {
        any.push(times(fields, field, from.from, to.to));
    }
    either(any)
}

fn either(mut any: Vec<Box<dyn Query>>) -> Option<Box<dyn Query>> {
    if any.len() > 1 { Some(Box::new(BooleanQuery::union(any))) } else { any.pop() }
}

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn numbers(fields: &Fields, field: FieldSeen, from: f64, to: f64) -> Box<dyn Query> {
    let end = |number| Bound::Included(schema::fast_term(fields.number, field.number, number));
    Box::new(RangeQuery::new(end(from), end(to)))
}

fn times(fields: &Fields, field: FieldSeen, from: i64, to: i64) -> Box<dyn Query> {
    let end = |micros| Bound::Included(schema::fast_term(fields.time, field.number, micros));
    Box::new(RangeQuery::new(end(from), end(to)))
}

/// Numbers by size; texts and truth values as they are written, which is also the order of ISO dates of one shape; only
/// times are put in order by the clock.
fn order(view: &View, path: &str, descending: Descending) -> Result<Order, String> {
    let field = view.mapping.field(path)?;
    let column = |name: &str| format!("{name}.{}", field.number);
    Ok(if field.kinds.is_numeric() {
        Order::Number(column("number"), descending)
    } else if field.kinds == Kinds::DATE {
        Order::Number(column("time"), descending)
    } else {
        Order::Text(column("exact"), descending)
    })
}
