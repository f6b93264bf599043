//! What people search for, word by word, in windows of time: searches in, the words searched for most out.

#[cfg(test)]
mod tests;
mod words;

use rowmill_transform::column::Text;
use rowmill_transform::{Change, Document, Measure, Result, WindowRow, aggregate, reject};
use serde::{Deserialize, Serialize};
use words::words;

/// Who looks at trends looks at the first ones.
const RANK_MAX: u32 = 10;

/// `transform.config`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Words that say nothing.
    #[serde(default)]
    ignore: Vec<String>,
}

/// A search, as it was logged.
#[derive(Deserialize)]
struct Search<'a> {
    #[serde(borrow)]
    query: Option<Text<'a>>,
    /// Milliseconds since 1970.
    at: Option<u64>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    results: Option<i64>,
}

#[derive(Serialize)]
struct Keyword<'a> {
    keyword: &'a str,
    searches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

fn search(change: &Change, settings: &Settings) -> Result<Vec<Measure>> {
    let search: Search = change.after()?;
    let Some(query) = search.query else { return Ok(Vec::new()) };
    if let Some(results) = search.results.filter(|results| *results < 0) {
        return Err(reject(format!("the number of results is negative: {results}")));
    }
    let at = search.at.ok_or_else(|| reject("the search has no time: at is missing"))?;
    let measure = |word| {
        let measure = Measure::new(word).time_ms(at);
        if let Some(user) = &search.user { measure.distinct(user) } else { measure }
    };
    Ok(words(&query).into_iter().filter(|word| !settings.ignore.contains(word)).map(measure).collect())
}

fn keyword(row: &WindowRow, _: &Settings) -> Result<Option<Document>> {
    if row.rank.is_some_and(|rank| rank > RANK_MAX) {
        return Ok(None);
    }
    if row.key.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(reject(format!("a number is no keyword: {}", row.key)));
    }
    let from = row.window.map(|window| window.start());
    Document::new(&Keyword { keyword: &row.key, searches: row.count, users: row.distinct, rank: row.rank, from }).map(Some)
}

aggregate!(search, keyword, config = Settings);
