//! What an answer means for each write. Plain functions on data.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::prepare::credentials_refused;
use super::reason::{ServerError, kind_of, one_line};
use super::request::Refused;
use crate::connect::http::{HttpAnswer, HttpError, HttpTrouble};
use crate::event::{Action, Write};
use crate::sink::{Verdict, WriteError};

/// The answer to a bulk request, less what `filter_path` left out. Borrows from the body: an item that went well costs no allocation.
#[derive(Deserialize)]
struct BulkAnswer<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Item<'a> {
    #[serde(borrow)]
    Index(Outcome<'a>),
    #[serde(borrow)]
    Delete(Outcome<'a>),
}

#[derive(Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What a call means that got no answer.
pub fn of_silence(error: HttpError) -> WriteError {
    let reason = match error.trouble {
        HttpTrouble::Unreachable => "unreachable",
        HttpTrouble::Timeout => "timeout",
        HttpTrouble::Cut => "cut",
        HttpTrouble::Untrusted => "untrusted",
    };
    WriteError::Unavailable { reason, message: error.message, after: None }
}

/// The verdicts where all writes were refused before anything was sent.
pub fn of_refusals(writes: &[Write], refused: Vec<Refused>) -> Result<Vec<Verdict>, WriteError> {
    with_refusals(Vec::new(), writes, refused)
}

/// What an answer says of each write.
pub fn of_answer(answer: &HttpAnswer, writes: &[Write], refused: Vec<Refused>) -> Result<Vec<Verdict>, WriteError> {
    if answer.status != 200 {
        return Err(of_whole(answer));
    }
    let items = match usual_items(&answer.body, writes.len()) {
        Some(items) => items,
        None => read_items(answer)?,
    };
    let (sent, told) = (writes.len() - refused.len(), items.len());
    if sent != told {
        return Err(unreadable(answer, &format!("it tells of {told} writes, and {sent} were sent")));
    }
    let mut skipped = refused.iter().map(|refused| refused.place).peekable();
    let were_sent = writes.iter().enumerate().filter(|(place, _)| skipped.next_if_eq(place).is_none()).map(|(_, write)| write);
    let mut verdicts = Vec::with_capacity(writes.len());
    for (item, write) in items.iter().zip(were_sent) {
        verdicts.push(of_item(item, write, answer)?);
    }
    with_refusals(verdicts, writes, refused)
}

fn read_items(answer: &HttpAnswer) -> Result<Vec<Item<'_>>, WriteError> {
    let parsed: Result<BulkAnswer<'_>, _> = serde_json::from_slice(&answer.body);
    parsed.map(|parsed| parsed.items).map_err(|error| unreadable(answer, &format!("it is not the answer to a bulk request ({error})")))
}

/// Reads an answer as servers write it: the items that went well are told by their text, only others are read in full. None: it is written
/// in another way, which says nothing of what it says.
fn usual_items(body: &[u8], expected: usize) -> Option<Vec<Item<'_>>> {
    const WENT_WELL: [(&[u8], bool, u16); 3] = [
        (br#"{"index":{"status":201}}"#, false, 201),
        (br#"{"index":{"status":200}}"#, false, 200),
        (br#"{"delete":{"status":200}}"#, true, 200),
    ];
    let mut rest = body.strip_prefix(br#"{"errors":"#)?;
    rest = rest.strip_prefix(b"false").or_else(|| rest.strip_prefix(b"true"))?.strip_prefix(br#","items":["#)?;
    let mut items = Vec::with_capacity(expected);
    loop {
        let well = WENT_WELL.iter().find_map(|(text, is_delete, status)| Some((rest.strip_prefix(*text)?, *is_delete, *status)));
        if let Some((after, is_delete, status)) = well {
            let outcome = Outcome { status, error: None };
            items.push(if is_delete { Item::Delete(outcome) } else { Item::Index(outcome) });
            rest = after;
        } else {
            let mut read = serde_json::Deserializer::from_slice(rest).into_iter();
            items.push(read.next()?.ok()?);
            rest = rest.get(read.byte_offset()..)?;
        }
        match rest {
            b"]}" => return Some(items),
            _ => rest = rest.strip_prefix(b",")?,
        }
    }
}

fn with_refusals(mut verdicts: Vec<Verdict>, writes: &[Write], refused: Vec<Refused>) -> Result<Vec<Verdict>, WriteError> {
    // In rising order each finds its place among those before it.
    for Refused { place, reason } in refused {
        verdicts.insert(place.min(verdicts.len()), Verdict::Refused(reason));
    }
    debug_assert_eq!(verdicts.len(), writes.len());
    Ok(verdicts)
}

fn of_item(item: &Item<'_>, write: &Write, answer: &HttpAnswer) -> Result<Verdict, WriteError> {
    let (outcome, is_delete) = match item {
        Item::Index(outcome) => (outcome, false),
        Item::Delete(outcome) => (outcome, true),
    };
    // Else a delete's "not there" would count for a document that is to be there.
    if is_delete != (write.action == Action::Delete) {
        return Err(unreadable(answer, "it tells of other writes than were sent"));
    }
    match (outcome.status, outcome.error) {
        (200..=299, None) => Ok(Verdict::Stored),
        // There was nothing to delete; the server remembers the version of it all the same.
        (404, None) if is_delete => Ok(Verdict::Stored),
        (409, Some(error)) if kind_of(error.get()) == "version_conflict_engine_exception" => Ok(Verdict::Stale),
        (status, error) => of_item_error(status, &error.map(|error| ServerError::read(error.get())).unwrap_or_default(), write, answer),
    }
}

fn of_item_error(status: u16, error: &ServerError<'_>, write: &Write, answer: &HttpAnswer) -> Result<Verdict, WriteError> {
    match (status, &*error.kind) {
        (404, "index_not_found_exception") => Err(WriteError::IndexMissing { index: write.index.to_string() }),
        // Whoever closed it, set it read-only or let its disk run full means to undo that.
        (_, "index_closed_exception") => Ok(Verdict::Retry("closed")),
        (_, "cluster_block_exception" | "index_create_block_exception") => Ok(Verdict::Retry("blocked")),
        (401 | 403, "security_exception") => Err(WriteError::Misconfigured { remedy: not_allowed(error, answer) }),
        (400, _) => match misplaced(error, &write.index) {
            Some(remedy) => Err(WriteError::Misconfigured { remedy }),
            None => Ok(Verdict::Refused(error.summary())),
        },
        (401 | 403 | 404 | 408 | 409 | 425 | 429 | 500.., _) => Ok(Verdict::Retry(short_word(status))),
        _ => Ok(Verdict::Refused(error.summary())),
    }
}

/// What is wrong with the index rather than with the document: every write to it would be refused.
fn misplaced(error: &ServerError<'_>, index: &str) -> Option<String> {
    let reason = error.reason.as_deref().filter(|_| error.kind == "illegal_argument_exception")?;
    if reason.contains("no write index is defined for alias") {
        return Some(format!("alias {index} stands for several indexes: set is_write_index on one of them"));
    }
    // "only write ops with an op_type of create are allowed in data streams"
    if reason.contains("allowed in data streams") {
        return Some(format!("{index} is a data stream, where no document can change: name another index"));
    }
    None
}

/// What it means when the whole request is answered with anything but 200.
fn of_whole(answer: &HttpAnswer) -> WriteError {
    let (address, status, after) = (&answer.address, answer.status, answer.retry_after);
    let error = ServerError::of_body(&answer.body);
    let message = format!("{address} answered {status}: {}", error.summary());
    match (status, &*error.kind) {
        (429, _) => WriteError::Overloaded { message, after },
        (413, _) => {
            WriteError::Split { message: format!("{address} answered 413: the request is larger than its http.max_content_length") }
        }
        (400, _) => WriteError::Split { message },
        (401, _) => WriteError::Misconfigured { remedy: credentials_refused(address) },
        (_, "cluster_block_exception") => WriteError::Unavailable { reason: "blocked", message, after },
        (403, _) => WriteError::Misconfigured { remedy: not_allowed(&error, answer) },
        (404, "index_not_found_exception") => match &error.index {
            Some(index) => WriteError::IndexMissing { index: one_line(index) },
            None => WriteError::Unavailable { reason: short_word(status), message, after },
        },
        // Also where a proxy answers for a server that is away.
        (404, _) => WriteError::Unavailable { reason: short_word(status), message: format!("{message}: check url"), after },
        (405 | 406 | 410 | 411 | 415 | 431, _) => WriteError::Misconfigured { remedy: format!("{message}: check url") },
        _ => WriteError::Unavailable { reason: short_word(status), message, after },
    }
}

fn not_allowed(error: &ServerError<'_>, answer: &HttpAnswer) -> String {
    let rights = "give the user the right to index into and delete from it (and to create it, unless create_index = false)";
    format!("{} does not let us write: {}: {rights}", answer.address, error.summary())
}

fn unreadable(answer: &HttpAnswer, problem: &str) -> WriteError {
    // The problem may quote the answer, which may be anything.
    let problem = one_line(problem);
    let message = format!("the answer of {} cannot be used: {problem}: check url and any proxy before it", answer.address);
    WriteError::Unavailable { reason: "unreadable", message, after: answer.retry_after }
}

/// A status as a label of a metric.
fn short_word(status: u16) -> &'static str {
    match status {
        403 => "403",
        404 => "404",
        408 => "408",
        409 => "409",
        429 => "429",
        500 => "500",
        502 => "502",
        503 => "503",
        504 => "504",
        501 | 505.. => "5xx",
        _ => "status",
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
