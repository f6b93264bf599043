//! What it does to its store.

use crate::act::trap;
use crate::mode::{Mode, Request};
use rowmill_transform::{Document, Result, reject, store};

const COUNTER: &str = "kept";
const MEBIBYTE: usize = 1024 * 1024;

/// Does it, and says in a document what came of it.
pub fn keep(mode: Mode, request: &Request) -> Result<Document> {
    let count = |default| request.count.unwrap_or(default);
    let bytes = |default| request.bytes.unwrap_or(default);
    let body = match mode {
        Mode::KeepTrap => {
            store::increment(COUNTER, 1)?;
            trap()
        }
        Mode::KeepReject => {
            store::increment(COUNTER, 1)?;
            return Err(reject("the row asked for it, after a write"));
        }
        Mode::KeepFlood => flood(count(100), bytes(MEBIBYTE)),
        Mode::KeepHuge => huge(bytes(2 * MEBIBYTE)),
        Mode::KeepFull => fill(bytes(64 * 1024))?,
        Mode::KeepList => list(count(2_500))?,
        Mode::KeepOpen => open(count(5_000)),
        _ => format!(r#"{{"kept":{}}}"#, store::increment(COUNTER, 1)?),
    };
    Ok(Document::from_text(body))
}

/// What is refused is taken for done.
fn flood(count: usize, bytes: usize) -> String {
    let value = vec![b'x'; bytes];
    (0..count).for_each(|key| drop(store::set(&format!("flood/{key}"), &value)));
    r#"{"written":true}"#.to_owned()
}

fn huge(bytes: usize) -> String {
    let text = "x".repeat(bytes);
    let said = [store::set(&text, ""), store::set("huge", &text), store::increment(&text, 1).map(drop), store::get(&text).map(drop)];
    let said = said.map(|said| serde_json::Value::from(said.map_or_else(|error| error.reason().to_owned(), |()| "done".to_owned())));
    serde_json::json!({ "said": said }).to_string()
}

/// Until it is full; then what is deleted makes room again.
fn fill(bytes: usize) -> Result<String> {
    let value = vec![b'x'; bytes];
    let full = (0..).find_map(|key: usize| store::set(&format!("full/{key}"), &value).err().map(|error| (key, error)));
    let (fits, error) = full.ok_or_else(|| reject("it is never full"))?;
    store::delete("full/0")?;
    let fits_again = store::set("full/again", &value).is_ok();
    for key in store::keys()?.iter().filter(|key| key.starts_with("full/")) {
        store::delete(key)?;
    }
    Ok(serde_json::json!({ "fits": fits, "said": error.reason(), "fits_again": fits_again }).to_string())
}

fn list(count: usize) -> Result<String> {
    for key in 0..count {
        store::set(&format!("list/{key}"), "")?;
    }
    let keys: std::collections::BTreeSet<String> = store::keys()?.into_iter().filter(|key| key.starts_with("list/")).collect();
    Ok(format!(r#"{{"keys":{}}}"#, keys.len()))
}

/// Other stores, and this one more often than there is need.
#[cfg(target_arch = "wasm32")]
fn open(count: usize) -> String {
    use rowmill_transform::bindings::wasi::keyvalue::store;
    let others = ["products", "Default", "../default", "default\0"].iter().filter(|name| store::open(name).is_ok()).count();
    let held: Vec<_> = (0..count).map_while(|_| store::open("").ok()).collect();
    format!(r#"{{"others":{others},"held":{}}}"#, held.len())
}

#[cfg(not(target_arch = "wasm32"))]
fn open(count: usize) -> String {
    format!(r#"{{"others":0,"held":{count}}}"#)
}
