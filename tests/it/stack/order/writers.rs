//! Seeded scripts for psql: transactions of several writers, made to meet on the same rows.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Keys are numbers from here on; few enough that writers meet, enough for every partition.
pub const KEYS: u64 = 24;
/// The tables written to, all with the same columns. `places` has `(area, id)` as its key, the others `id`.
pub const TABLES: [&str; 3] = ["items", "places", "whole"];

/// What one writer sends. What fails (a key that is taken, a deadlock) is taken back alone: psql sets a savepoint before each statement.
pub fn script(seed: u64, writer: u64, transactions: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed ^ (writer << 32));
    let mut script = "\\set ON_ERROR_ROLLBACK on\nSET deadlock_timeout = '50ms';\n".to_owned();
    for transaction in 0..transactions {
        script += "BEGIN;\n";
        for step in 0..random.random_range(1..=4) {
            let table = TABLES[random.random_range(0..TABLES.len())];
            let mark = format!("{seed}.{writer}.{transaction}.{step}");
            script += &statements(&mut random, table, &mark);
            writeln!(script, "SELECT pg_sleep({});", f64::from(random.random_range(0..6_u32)) / 1000.0).unwrap();
        }
        script += if random.random_range(0..10) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" };
    }
    script
}

/// Something that a transaction does to rows of a table; `mark` makes its values unlike all others.
fn statements(random: &mut StdRng, table: &str, mark: &str) -> String {
    let (row, other) = (random.random_range(0..KEYS), random.random_range(0..KEYS));
    let (is_row, is_other) = (is(table, row), is(table, other));
    let name = format!("UPDATE {table} SET name = '{mark}', count = count + 1 WHERE");
    let body = format!("UPDATE {table} SET body = {} WHERE", long(mark));
    let insert = |key: u64, mark: &str| insert(table, key, mark);
    let to_key = |key: u64| format!("UPDATE {table} SET {} WHERE", set(table, key));
    match random.random_range(0..11) {
        0 | 1 => format!("{};\n", insert(row, mark)),
        2 => format!("{name} {is_row};\n"),
        3 => format!("{body} {is_row};\n{name} {is_row};\n"),
        4 => format!("{name} {is_row};\nUPDATE {table} SET name = '{mark} again' WHERE {is_row};\n"),
        5 => format!("DELETE FROM {table} WHERE {is_row};\n"),
        6 => format!("DELETE FROM {table} WHERE {is_row};\n{};\n", insert(row, mark)),
        7 => format!("DELETE FROM {table} WHERE {is_other};\n{} {is_row};\n{name} {is_other};\n", to_key(other)),
        8 => format!("{} {is_row};\n{} {is_other};\n", to_key(other), to_key(row)),
        9 => format!("SAVEPOINT mine;\n{body} {is_row};\nDELETE FROM {table} WHERE {is_other};\nROLLBACK TO mine;\n{name} {is_row};\n"),
        _ => format!("{name} id % 5 = {};\n", row % 5),
    }
}

/// Makes the row of a key, or all of it anew.
pub fn insert(table: &str, key: u64, mark: &str) -> String {
    let (area, id) = area_and_id(table, key);
    let conflict = if table == "places" { "area, id" } else { "id" };
    format!(
        "INSERT INTO {table} (area, id, name, amount, count, body) \
         VALUES ('{area}', {id}, '{mark}', {key}1234567890123456789.0100, 1, {}) \
         ON CONFLICT ({conflict}) DO UPDATE SET name = excluded.name, amount = excluded.amount + 0.0010, body = excluded.body",
        long(mark)
    )
}

/// A value that is stored out of line, so that an update of another column does not carry it.
fn long(mark: &str) -> String {
    format!("repeat('{mark} ', 400)")
}

/// The condition for the row of a key.
pub fn is(table: &str, key: u64) -> String {
    match area_and_id(table, key) {
        (area, id) if table == "places" => format!("area = '{area}' AND id = {id}"),
        (_, id) => format!("id = {id}"),
    }
}

/// What gives a row another key.
pub fn set(table: &str, key: u64) -> String {
    is(table, key).replace(" AND", ",")
}

fn area_and_id(table: &str, key: u64) -> (char, u64) {
    let area = ['a', 'b', 'c'][(key % 3) as usize];
    (area, if table == "places" { key / 3 } else { key })
}
