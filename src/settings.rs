//! Reading one table of the configuration, with every problem noted at its line and none of them final.
//!
//! A room's `settings.rs` asks a [`Section`] for its keys by name; what nobody asked for is an unknown key, reported with
//! the nearest name that is known. So a connector's settings live with the connector, and the configuration room only
//! joins them. Reading never fails: the caller gets defaults, and the problems say whether the result may be used.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{Item, TableLike, Value};

pub use noted::{Setting, Settings};

mod json;
mod noted;

const LIST_OF_TEXTS: &str = "a list of texts, such as [\"a\", \"b\"]";

/// How an environment variable is looked up; a test supplies its own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One mistake in the configuration: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// One sentence with the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A text that must not be shown: passwords, keys, tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What all sections of one file share.
pub struct Source<'a> {
    text: &'a str,
    dir: PathBuf,
    environment: Environment<'a>,
    problems: RefCell<BTreeSet<Problem>>,
    known: RefCell<BTreeSet<String>>,
    noted: RefCell<Settings>,
}

impl<'a> Source<'a> {
    /// `dir` is what relative paths in the file are relative to.
    pub fn new(text: &'a str, dir: impl Into<PathBuf>, environment: Environment<'a>) -> Self {
        Self { text, dir: dir.into(), environment, problems: RefCell::default(), known: RefCell::default(), noted: RefCell::default() }
    }

    /// Notes a problem at a place of the file.
    pub fn problem(&self, span: Option<Range<usize>>, message: impl Into<String>) {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let line = 1 + self.text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count();
        self.problems.borrow_mut().insert(Problem { line, message: message.into() });
    }

    /// Every problem so far, in the order of lines.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.borrow().iter().cloned().collect()
    }

    /// Every key that was asked for (`state.dir`), for the test that holds the README against the code.
    pub fn known_keys(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }

    /// Every value that was read so far, by its key (`state.dir`), defaults among them.
    pub fn settings(&self) -> Settings {
        self.noted.borrow().clone()
    }

    fn note(&self, key: String, setting: Setting) {
        self.noted.borrow_mut().insert(key, setting);
    }
}

/// One table being read. When it is dropped, keys that nobody asked for become problems.
pub struct Section<'a> {
    source: &'a Source<'a>,
    path: String,
    table: Option<&'a dyn TableLike>,
    span: Option<Range<usize>>,
    asked: RefCell<Vec<String>>,
    /// Whether values are never shown, because some of them may be secrets.
    is_hidden: bool,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub fn root(source: &'a Source<'a>, table: &'a dyn TableLike) -> Self {
        Self { source, path: String::new(), table: Some(table), span: None, asked: RefCell::default(), is_hidden: false }
    }

    /// The table's path (`pipelines.products.batch`); empty for the whole file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the table stands in the file.
    pub fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether nothing stands in the table besides these keys.
    pub fn is_empty_but_for(&self, keys: &[&str]) -> bool {
        self.table.is_none_or(|table| table.iter().all(|(name, _)| keys.contains(&name)))
    }

    /// The names that stand in this table, all of them accepted: for tables whose keys the user chooses.
    pub fn names(&self) -> Vec<String> {
        let names: Vec<String> = self.table.into_iter().flat_map(|t| t.iter()).map(|(name, _)| name.to_owned()).collect();
        self.asked.borrow_mut().extend(names.iter().cloned());
        names
    }

    /// Which of `known` stand here. Used to choose a kind of source or sink by its table's name.
    pub fn present<'k>(&self, known: &[&'k str]) -> Vec<&'k str> {
        known.iter().copied().filter(|key| self.item(key).is_some()).collect()
    }

    /// Notes for each of these keys that stands here why it cannot be used (`is not built yet in this version`), which
    /// says more than that it is not known.
    pub fn refuse(&self, keys: &[&str], why: &str) {
        for key in keys.iter().filter(|key| self.table.is_some_and(|table| table.contains_key(key))) {
            self.asked.borrow_mut().push((*key).to_owned());
            self.problem(key, why);
        }
    }

    /// The table `key`; absent tables read as empty ones, so that defaults have one home.
    pub fn section(&self, key: &str) -> Section<'a> {
        let item = self.item(key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.source.problem(item.span(), format!("{} is a table: write [{}]", self.named(key), self.named(key)));
        }
        let span = self.key_span(key).or_else(|| item.and_then(Item::span)).or_else(|| self.span.clone());
        Section { source: self.source, path: self.named(key), table, span, asked: RefCell::default(), is_hidden: self.is_hidden }
    }

    /// A text.
    pub fn string(&self, key: &str) -> Option<String> {
        let (item, text) = self.text(key)?;
        match resolve(self.source, &text) {
            Ok(held) => {
                self.note(key, Setting::text(&text, &held, self.is_hidden));
                Some(held)
            }
            Err(problem) => {
                self.source.problem(item.span(), format!("{}: {problem}", self.named(key)));
                None
            }
        }
    }

    /// A text that must be there.
    pub fn required_string(&self, key: &str) -> String {
        if self.item(key).is_none() {
            self.missing(key);
        }
        self.string(key).unwrap_or_default()
    }

    /// A text that must not be shown, and may only stand as a reference to where it is kept.
    pub fn secret(&self, key: &str) -> Option<Secret> {
        let (item, text) = self.text(key)?;
        if !is_reference(&text) {
            let key = self.named(key);
            self.source
                .problem(item.span(), format!("{key} is a secret: write \"env:NAME\" or \"file:PATH\" instead of the secret itself"));
            return None;
        }
        let secret = self.string(key)?;
        if secret.is_empty() {
            self.source.problem(item.span(), format!("{} is empty: what {text} names holds no text", self.named(key)));
            return None;
        }
        Some(Secret(secret))
    }

    /// A list of texts; a single text counts as a list of one.
    pub fn strings(&self, key: &str) -> Option<Vec<String>> {
        let item = self.item(key)?;
        if item.is_str() {
            let texts = vec![self.string(key)?];
            self.comes_to(key, String::new(), format!("{texts:?}"));
            return Some(texts);
        }
        let Some(array) = item.as_array() else {
            self.wrong(key, item.span(), LIST_OF_TEXTS);
            return None;
        };
        let mut texts = Vec::new();
        for value in array {
            match value.as_str().map(|text| resolve(self.source, text)) {
                Some(Ok(text)) => texts.push(text),
                Some(Err(problem)) => self.source.problem(value.span(), format!("{}: {problem}", self.named(key))),
                None => self.wrong(key, value.span(), LIST_OF_TEXTS),
            }
        }
        self.note(key, Setting::written(&json::written(item), format!("{texts:?}")));
        Some(texts)
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str, default: bool) -> bool {
        let item = self.item(key);
        let value = item.map(|item| item.as_bool().ok_or_else(|| self.wrong(key, item.span(), "true or false")));
        let value = value.and_then(Result::ok).unwrap_or(default);
        self.comes_to(key, value.to_string(), value);
        value
    }

    /// A whole number within `range`; an end of [`u64::MAX`] means none.
    pub fn integer(&self, key: &str, default: u64, range: Range<u64>) -> u64 {
        let number = self.item(key).map_or(Some(default), |item| {
            let number = item.as_integer().and_then(|number| u64::try_from(number).ok()).filter(|number| range.contains(number));
            if number.is_none() {
                let expected = match range.end {
                    u64::MAX => format!("a whole number, {} or more", range.start),
                    end => format!("a whole number from {} to {}", range.start, end.saturating_sub(1)),
                };
                self.wrong(key, item.span(), &expected);
            }
            number
        });
        let number = number.unwrap_or(default);
        self.comes_to(key, number.to_string(), number);
        number
    }

    /// A duration as people write it: `"250ms"`, `"30s"`, `"7days"`.
    pub fn duration(&self, key: &str, default: Duration) -> Duration {
        let parsed = self.parsed(key, "a duration, such as \"250ms\", \"30s\" or \"7d\"", |text| humantime::parse_duration(text).ok());
        let duration = parsed.unwrap_or(default);
        let shown = humantime::format_duration(duration).to_string();
        self.comes_to(key, format!("{shown:?}"), shown);
        duration
    }

    /// A duration that may be left out.
    pub fn optional_duration(&self, key: &str) -> Option<Duration> {
        let is_given = self.item(key).is_some();
        if !is_given {
            self.comes_to(key, "none".to_owned(), "none");
        }
        is_given.then(|| self.duration(key, Duration::ZERO))
    }

    /// A size as people write it: `"8MiB"`, in bytes.
    pub fn size(&self, key: &str, default: u64) -> u64 {
        let parse = |text: &str| text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
        let bytes = self.parsed(key, "a size, such as \"512KiB\" or \"8MiB\"", parse).unwrap_or(default);
        self.comes_to(key, format!("\"{}\"", bytesize::ByteSize(bytes)), bytes);
        bytes
    }

    /// One of a few words.
    pub fn choice<T: Copy + PartialEq>(&self, key: &str, default: T, choices: &[(&str, T)]) -> T {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", words.join(", "));
        let parsed = self.parsed(key, &expected, |text| choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice));
        let chosen = parsed.unwrap_or(default);
        let word = choices.iter().find(|(_, choice)| *choice == chosen).map_or("", |(word, _)| word);
        self.comes_to(key, format!("{word:?}"), word);
        chosen
    }

    /// A path; a relative one is relative to the configuration file.
    pub fn path_to(&self, key: &str) -> Option<PathBuf> {
        self.string(key).map(|text| self.source.dir.join(text))
    }

    /// A path with a default; both are relative to the configuration file.
    pub fn path_or(&self, key: &str, default: &str) -> PathBuf {
        let path = self.path_to(key).unwrap_or_else(|| self.source.dir.join(default));
        self.comes_to(key, format!("{default:?}"), path.display());
        path
    }

    /// The contents of a file that is named as `file:PATH` or `PATH`.
    pub fn contents(&self, key: &str) -> Option<String> {
        let (item, text) = self.text(key)?;
        let reference = if is_reference(&text) { text } else { format!("file:{text}") };
        let contents =
            resolve(self.source, &reference).map_err(|problem| self.source.problem(item.span(), format!("{}: {problem}", self.named(key))));
        let contents = contents.ok()?;
        self.note(key, Setting::text(&reference, &contents, self.is_hidden));
        Some(contents)
    }

    /// A table of texts with names the user chooses; numbers and booleans are taken as text.
    pub fn string_map(&self, key: &str) -> Vec<(String, String)> {
        self.section(key).texts()
    }

    /// The same, for a table in which secrets may stand under names that we do not know: nothing in it is ever shown.
    pub fn hidden_string_map(&self, key: &str) -> Vec<(String, String)> {
        let mut section = self.section(key);
        section.is_hidden = true;
        section.texts()
    }

    /// Anything, as JSON; `env:` and `file:` are resolved in every string of it.
    pub fn json(&self, key: &str) -> Option<serde_json::Value> {
        let item = self.item(key)?;
        let value = json::of_item(self.source, &self.named(key), item)?;
        json::note(self.source, &self.named(key), item, &value);
        Some(value)
    }

    /// Notes which of several tables stands in the file, as if it were the value of a key.
    pub fn note_kind(&self, key: &str, kind: &str) {
        self.note(key, Setting::text(kind, kind, false));
    }

    /// Notes what a key comes to, whether it stands in the file or not: `64MiB`, `65536KiB` and a default of that are one value.
    pub fn comes_to(&self, key: &str, shown: String, held: impl fmt::Display) {
        let held = held.to_string();
        let noted = self.source.noted.borrow().get(&self.named(key)).cloned();
        let is_given = self.table.is_some_and(|table| table.contains_key(key));
        self.note(
            key,
            match noted.filter(|_| is_given) {
                Some(noted) => noted.holding(held),
                None if is_given => Setting::written(&shown, held),
                None => Setting::default_of(shown, held),
            },
        );
    }

    /// Every value read so far in this table and those below, by its key from here on.
    pub fn settings(&self) -> Settings {
        let inside = format!("{}.", self.path);
        let noted = self.source.noted.borrow();
        noted.iter().filter_map(|(key, setting)| Some((key.strip_prefix(&inside)?.to_owned(), setting.clone()))).collect()
    }

    /// Notes a problem of this key.
    pub fn problem(&self, key: &str, message: impl fmt::Display) {
        let span = self.key_span(key).or_else(|| self.span.clone());
        self.source.problem(span, format!("{} {message}", self.named(key)));
    }

    /// Notes that this key must be there.
    pub fn missing(&self, key: &str) {
        self.problem(key, "is missing: it has no default");
    }

    fn texts(&self) -> Vec<(String, String)> {
        let mut map = Vec::new();
        for name in self.names() {
            let plain = match self.table.and_then(|table| table.get(&name)).and_then(Item::as_value) {
                Some(Value::String(_)) => {
                    map.extend(self.string(&name).map(|text| (name, text)));
                    continue;
                }
                Some(Value::Integer(number)) => number.value().to_string(),
                Some(Value::Boolean(truth)) => truth.value().to_string(),
                Some(Value::Float(number)) => number.value().to_string(),
                _ => {
                    self.problem(&name, "must be a text, a number, true or false");
                    continue;
                }
            };
            self.note(&name, Setting::text(&plain, &plain, self.is_hidden));
            map.push((name, plain));
        }
        map
    }

    fn note(&self, key: &str, setting: Setting) {
        self.source.note(self.named(key), setting);
    }

    fn parsed<T>(&self, key: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let item = self.item(key)?;
        if !item.is_str() {
            self.wrong(key, item.span(), expected);
            return None;
        }
        // What cannot be looked up has been noted by `string`: one mistake, one problem.
        let parsed = parse(&self.string(key)?);
        if parsed.is_none() {
            self.wrong(key, item.span(), expected);
        }
        parsed
    }

    fn text(&self, key: &str) -> Option<(&'a Item, String)> {
        let item = self.item(key)?;
        match item.as_str() {
            Some(text) => Some((item, text.to_owned())),
            None => {
                self.wrong(key, item.span(), "a text");
                None
            }
        }
    }

    fn wrong(&self, key: &str, span: Option<Range<usize>>, expected: &str) {
        self.source.problem(span.or_else(|| self.key_span(key)), format!("{} must be {expected}", self.named(key)));
    }

    fn item(&self, key: &str) -> Option<&'a Item> {
        self.asked.borrow_mut().push(key.to_owned());
        self.source.known.borrow_mut().insert(self.named(key));
        self.table.and_then(|table| table.get(key)).filter(|item| !item.is_none())
    }

    fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.table.and_then(|table| table.get_key_value(key)).and_then(|(key, _)| key.span())
    }

    fn named(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let Some(table) = self.table else { return };
        let asked = self.asked.borrow();
        for (name, _) in table.iter().filter(|(name, _)| !asked.iter().any(|key| key == name)) {
            let remedy = match nearest(name, asked.iter().map(String::as_str)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "remove it".to_owned(),
            };
            self.source.problem(self.key_span(name), format!("{} is not a known key: {remedy}", self.named(name)));
        }
    }
}

/// The known name most like `name`, if any is like it.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// Whether a text stands for another one.
fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// `env:NAME` and `file:PATH` stand for what they name, without a last line break; everything else for itself.
fn resolve(source: &Source<'_>, text: &str) -> Result<String, String> {
    if let Some(name) = text.strip_prefix("env:") {
        return (source.environment)(name).ok_or_else(|| format!("the environment variable {name} is not set: set it before starting"));
    }
    let Some(path) = text.strip_prefix("file:") else { return Ok(text.to_owned()) };
    let path = source.dir.join(Path::new(path));
    let contents = std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let contents = contents.strip_suffix('\n').unwrap_or(&contents);
    Ok(contents.strip_suffix('\r').unwrap_or(contents).to_owned())
}

#[cfg(test)]
mod tests;
