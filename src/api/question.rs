//! From the parameters of a URL to a question. Plain functions on data.

use crate::limits::{DEAD_LETTERS_PAGE_MAX, RECENT_CHANGES_MAX, SEARCH_LIMIT_MAX, SEARCH_WINDOW_MAX};
use crate::pipeline::status::LetterFilter;
use crate::settings::nearest;
use crate::sink::search::{Condition, Filter, Fuzziness, SearchRequest};

const SEARCH_PARAMETERS: &[&str] =
    &["q", "fuzzy", "operator", "fields", "limit", "offset", "sort_by", "sort_order", "date_field", "date_from", "date_to"];
/// Conditions on fields: `filter.FIELD`, `filter.FIELD.from`, `filter.FIELD.to`.
const FILTER_PREFIX: &str = "filter.";
/// What a dead letter must have: its number (several with commas), and so on; `reason` is a part of it.
const LETTER_PARAMETERS: &[&str] = &["id", "stage", "table", "key", "topic", "reason"];
const LIMIT_DEFAULT: usize = 10;
const DEAD_LETTERS_DEFAULT: usize = 50;
/// What most tables call it.
const DATE_FIELD_DEFAULT: &str = "updated_at";

/// The parameters of a URL, in their order.
pub type Parameters = axum::extract::Query<Vec<(String, String)>>;

/// A search; the error is a sentence that says what to change.
pub fn search_request(parameters: &[(String, String)]) -> Result<SearchRequest, String> {
    let (filters, others): (Vec<_>, Vec<_>) = parameters.iter().partition(|(name, _)| name.starts_with(FILTER_PREFIX));
    let asked = Asked::new(&others, SEARCH_PARAMETERS, &[FILTER_PREFIX])?;
    let limit = asked.number("limit", LIMIT_DEFAULT, 1, SEARCH_LIMIT_MAX)?;
    let offset = asked.number("offset", 0, 0, SEARCH_WINDOW_MAX)?;
    if offset + limit > SEARCH_WINDOW_MAX {
        return Err(format!("offset and limit together must not pass {SEARCH_WINDOW_MAX}: narrow the search by filters instead"));
    }
    Ok(SearchRequest {
        query: asked.text("q").map(str::to_owned),
        fuzzy: fuzziness(&asked)?,
        all_words: asked.choice("operator", &[("or", false), ("and", true)])?.unwrap_or(false),
        fields: asked.text("fields").map(names).unwrap_or_default(),
        filters: conditions(&asked, &filters)?,
        limit,
        offset,
        sort: sort(&asked)?,
    })
}

/// Which dead letters are to be shown, and how many.
pub fn dead_letters(parameters: &[(String, String)]) -> Result<(LetterFilter, usize), String> {
    let parameters: Vec<_> = parameters.iter().collect();
    let known = [LETTER_PARAMETERS, &["limit"]].concat();
    let asked = Asked::new(&parameters, &known, &[])?;
    Ok((letter_filter(&asked)?, asked.number("limit", DEAD_LETTERS_DEFAULT, 1, DEAD_LETTERS_PAGE_MAX)?))
}

/// Which dead letters are to be played again or dropped: all of them only where that is said.
pub fn letters_meant(parameters: &[(String, String)]) -> Result<LetterFilter, String> {
    let parameters: Vec<_> = parameters.iter().collect();
    let known = [LETTER_PARAMETERS, &["all"]].concat();
    let asked = Asked::new(&parameters, &known, &[])?;
    let filter = letter_filter(&asked)?;
    let is_all = asked.choice("all", &[("true", true), ("false", false)])?.unwrap_or(false);
    match (filter == LetterFilter::default(), is_all) {
        (true, false) => Err(format!("say which: all=true, or one of {}", LETTER_PARAMETERS.join(", "))),
        (false, true) => Err("all=true means every dead letter: leave it out, or the others".to_owned()),
        _ => Ok(filter),
    }
}

/// Whether a module is to run beside the one that serves.
pub fn shadow(parameters: &[(String, String)]) -> Result<bool, String> {
    let parameters: Vec<_> = parameters.iter().collect();
    let asked = Asked::new(&parameters, &["shadow"], &[])?;
    Ok(asked.choice("shadow", &[("true", true), ("false", false)])?.unwrap_or(false))
}

/// How many events a sample holds.
pub fn sample(parameters: &[(String, String)]) -> Result<usize, String> {
    let parameters: Vec<_> = parameters.iter().collect();
    Asked::new(&parameters, &["limit"], &[])?.number("limit", RECENT_CHANGES_MAX, 1, RECENT_CHANGES_MAX)
}

fn letter_filter(asked: &Asked<'_>) -> Result<LetterFilter, String> {
    let ids = asked.text("id").map(names).unwrap_or_default();
    let ids: Result<Vec<u64>, String> =
        ids.iter().map(|id| id.parse().map_err(|_| format!("{id} is not the number of a dead letter"))).collect();
    let stage = asked.choice("stage", &[("decode", "decode"), ("transform", "transform"), ("sink", "sink")])?;
    let text = |name: &str| asked.text(name).map(str::to_owned);
    let (table, key, topic, reason) = (text("table"), text("key"), text("topic"), text("reason"));
    Ok(LetterFilter { ids: ids?, stage: stage.map(str::to_owned), table, key, topic, reason })
}

fn fuzziness(asked: &Asked<'_>) -> Result<Fuzziness, String> {
    let words = [
        ("true", Fuzziness::Auto),
        ("auto", Fuzziness::Auto),
        ("false", Fuzziness::Exact),
        ("0", Fuzziness::Exact),
        ("1", Fuzziness::Letters(1)),
        ("2", Fuzziness::Letters(2)),
    ];
    Ok(asked.choice("fuzzy", &words)?.unwrap_or_default())
}

fn sort(asked: &Asked<'_>) -> Result<Option<(String, bool)>, String> {
    let order = asked.choice("sort_order", &[("asc", false), ("desc", true)])?;
    match (asked.text("sort_by"), order) {
        (Some(field), order) => Ok(Some((field.to_owned(), order.unwrap_or(false)))),
        (None, Some(false)) => Err("sort_order=asc needs sort_by: without a field the best matches come first".to_owned()),
        (None, _) => Ok(None),
    }
}

fn conditions(asked: &Asked<'_>, filters: &[&(String, String)]) -> Result<Vec<Filter>, String> {
    let mut conditions = Vec::new();
    for (name, value) in filters {
        let field = name.strip_prefix(FILTER_PREFIX).unwrap_or(name);
        if let Some(field) = field.strip_suffix(".from") {
            narrow(&mut conditions, name, field, Some(value), None)?;
        } else if let Some(field) = field.strip_suffix(".to") {
            narrow(&mut conditions, name, field, None, Some(value))?;
        } else if field.is_empty() {
            return Err("filter. names no field: write filter.FIELD=value".to_owned());
        } else {
            conditions.push(Filter { field: field.to_owned(), condition: Condition::Equals(value.clone()) });
        }
    }
    let date_field = asked.text("date_field").unwrap_or(DATE_FIELD_DEFAULT);
    for (name, from, to) in [("date_from", asked.text("date_from"), None), ("date_to", None, asked.text("date_to"))] {
        if from.is_some() || to.is_some() {
            narrow(&mut conditions, name, date_field, from, to)?;
        }
    }
    Ok(conditions)
}

/// Sets one end of the range of `field`, which is one condition with two ends.
fn narrow(conditions: &mut Vec<Filter>, name: &str, field: &str, new_from: Option<&str>, new_to: Option<&str>) -> Result<(), String> {
    if field.is_empty() {
        return Err(format!("{name} names no field: write filter.FIELD.from=value"));
    }
    if new_from.or(new_to).is_some_and(str::is_empty) {
        return Err(format!("{name} is empty: give it a number or a date, or leave it out"));
    }
    let range = conditions.iter_mut().find_map(|filter| match &mut filter.condition {
        Condition::Between { from, to } if filter.field == field => Some((from, to)),
        _ => None,
    });
    let Some((from, to)) = range else {
        let condition = Condition::Between { from: new_from.map(str::to_owned), to: new_to.map(str::to_owned) };
        conditions.push(Filter { field: field.to_owned(), condition });
        return Ok(());
    };
    for (end, new) in [(from, new_from), (to, new_to)] {
        if let Some(new) = new
            && end.replace(new.to_owned()).is_some()
        {
            return Err(format!("{name} sets an end of {field} that is set already: keep one"));
        }
    }
    Ok(())
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The parameters of one URL, all of them known and none of them twice.
struct Asked<'p> {
    parameters: &'p [&'p (String, String)],
}

impl<'p> Asked<'p> {
    fn new(parameters: &'p [&'p (String, String)], known: &[&str], prefixes: &[&str]) -> Result<Self, String> {
        for (place, (name, _)) in parameters.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let remedy = match nearest(name, known.iter().chain(prefixes).copied()) {
                    Some(known) => format!("did you mean {known}?"),
                    None => format!("known are {}", known.join(", ")),
                };
                return Err(format!("{name} is not a known parameter: {remedy}"));
            }
            if parameters.iter().take(place).any(|(other, _)| other == name) {
                return Err(format!("{name} stands twice: keep one"));
            }
        }
        Ok(Self { parameters })
    }

    /// A text that is not empty: a form sends all of its fields.
    fn text(&self, name: &str) -> Option<&'p str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, String> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("{name} must be a whole number from {least} to {most}"))
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let choice = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        choice.map(Some).ok_or_else(|| format!("{name} must be one of {}", words.join(", ")))
    }
}
