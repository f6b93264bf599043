//! Any parameters are a question within its bounds, or a sentence.

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::select;

use crate::api::question::{dead_letters_limit, search_request};
use crate::limits::{DEAD_LETTERS_PAGE_MAX, SEARCH_LIMIT_MAX, SEARCH_WINDOW_MAX};
use crate::sink::search::Condition;

const NAMES: &[&str] =
    &["q", "fuzzy", "operator", "fields", "limit", "offset", "sort_by", "sort_order", "date_field", "date_from", "date_to"];
const FILTERS: &[&str] = &["filter.", "filter.a", "filter.a.from", "filter.a.to", "filter..from", "filter.from", "filter.a.from.to"];
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "1",
    "10",
    "1000",
    "1001",
    "9999",
    "10000",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "+1",
    "1e3",
    "true",
    "and",
    "desc",
    ",a, ,b",
];

fn any_parameter() -> impl Strategy<Value = (String, String)> {
    let named = |names| select(names).prop_map(str::to_owned);
    (prop_oneof![8 => named(NAMES), 4 => named(FILTERS), 1 => "\\PC{0,20}"], prop_oneof![named(VALUES), "\\PC{0,8}"])
}

proptest::proptest! {
    #[test]
    fn any_parameters_are_a_question_or_a_sentence(parameters in vec(any_parameter(), 0..6)) {
        match search_request(&parameters) {
            Ok(request) => {
                prop_assert!((1..=SEARCH_LIMIT_MAX).contains(&request.limit) && request.offset + request.limit <= SEARCH_WINDOW_MAX);
                for filter in &request.filters {
                    prop_assert!(!filter.field.is_empty());
                    let is_endless = matches!(&filter.condition, Condition::Between { from: None, to: None });
                    prop_assert!(!is_endless);
                }
                let conditions: usize = request.filters.iter().map(|filter| match &filter.condition {
                    Condition::Between { from, to } => usize::from(from.is_some()) + usize::from(to.is_some()),
                    _ => 1,
                }).sum();
                let asked = parameters.iter().filter(|(name, value)| name.starts_with("filter.") || (matches!(name.as_str(), "date_from" | "date_to") && !value.trim().is_empty()));
                prop_assert_eq!(conditions, asked.count(), "nothing that was asked is passed over");
            }
            Err(sentence) => prop_assert!(!sentence.is_empty()),
        }
        match dead_letters_limit(&parameters) {
            Ok(limit) => prop_assert!((1..=DEAD_LETTERS_PAGE_MAX).contains(&limit)),
            Err(sentence) => prop_assert!(!sentence.is_empty()),
        }
    }
}
