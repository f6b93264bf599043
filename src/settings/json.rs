//! A part of the configuration as JSON, for whoever it is handed to as it stands.

use toml_edit::{Item, TableLike, Value};

use super::{Setting, Source, resolve};

/// Any item as JSON, with `env:` and `file:` resolved in every string of it; none where a problem was noted.
pub(super) fn of_item(source: &Source<'_>, name: &str, item: &Item) -> Option<serde_json::Value> {
    match item {
        Item::Value(value) => of_value(source, name, value),
        Item::Table(table) => of_table(source, name, table),
        Item::ArrayOfTables(tables) => of_list(tables.iter().map(|table| of_table(source, name, table))),
        Item::None => None,
    }
}

fn of_table(source: &Source<'_>, name: &str, table: &dyn TableLike) -> Option<serde_json::Value> {
    let fields = table.iter().map(|(key, item)| (key.to_owned(), of_item(source, &format!("{name}.{key}"), item)));
    // All are read before any is found wanting, so that every problem is noted.
    let fields: Vec<_> = fields.collect();
    let fields: Option<serde_json::Map<_, _>> = fields.into_iter().map(|(key, value)| Some((key, value?))).collect();
    fields.map(Into::into)
}

fn of_list(values: impl Iterator<Item = Option<serde_json::Value>>) -> Option<serde_json::Value> {
    let values: Vec<_> = values.collect();
    values.into_iter().collect::<Option<Vec<_>>>().map(Into::into)
}

fn of_value(source: &Source<'_>, name: &str, value: &Value) -> Option<serde_json::Value> {
    let problem = |problem: &str| {
        source.problem(value.span(), format!("{name}: {problem}"));
        None
    };
    match value {
        Value::String(text) => resolve(source, text.value()).map_or_else(|why| problem(&why), |text| Some(text.into())),
        Value::Integer(number) => Some((*number.value()).into()),
        Value::Float(number) => match serde_json::Number::from_f64(*number.value()) {
            Some(number) => Some(number.into()),
            None => problem("JSON has no word for this number: write it as a text"),
        },
        Value::Boolean(truth) => Some((*truth.value()).into()),
        Value::Datetime(_) => problem("JSON has no dates: write it as a text"),
        Value::Array(array) => of_list(array.iter().map(|value| of_value(source, name, value))),
        Value::InlineTable(table) => of_table(source, name, table),
    }
}

/// Notes every value of an item that came to `json`, each under its own key.
pub(super) fn note(source: &Source<'_>, name: &str, item: &Item, json: &serde_json::Value) {
    let Some(table) = item.as_table_like().filter(|table| !table.is_empty()) else {
        let setting = match item.as_str() {
            Some(text) => Setting::text(text, json.as_str().unwrap_or_default(), false),
            None => Setting::written(&written(item), json.to_string()),
        };
        source.note(name.to_owned(), setting);
        return;
    };
    for (key, item) in table.iter() {
        if let Some(json) = json.get(key) {
            note(source, &format!("{name}.{}", bare(key)), item, json);
        }
    }
}

/// An item on one line, as it was written but for comments and blanks: references stay references.
pub(super) fn written(item: &Item) -> String {
    match item {
        Item::Value(value) => written_value(value),
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|table| written_table(table));
            format!("[{}]", tables.collect::<Vec<_>>().join(", "))
        }
        Item::Table(table) => written_table(table),
        Item::None => String::new(),
    }
}

fn written_value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.value()),
        Value::Array(values) => format!("[{}]", values.iter().map(written_value).collect::<Vec<_>>().join(", ")),
        Value::InlineTable(table) => written_table(table),
        plain => plain.clone().decorated("", "").to_string(),
    }
}

fn written_table(table: &dyn TableLike) -> String {
    let fields: Vec<String> = table.iter().map(|(key, item)| format!("{} = {}", bare(key), written(item))).collect();
    if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
}

/// A key, in quotes where it would otherwise look like several.
fn bare(key: &str) -> String {
    let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { key.to_owned() } else { format!("{key:?}") }
}
