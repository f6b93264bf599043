//! Rows that change their key, with values that Postgres does not send again: whatever the lanes do to each other, and
//! however often the loop is dropped in the middle, the documents end as the rows do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::crashes::{Chance, arrivals, fate, live};
use super::faults::named_documents;
use super::{Bench, Fate, MISSING, MemorySink, envelope, moved};
use crate::clock::Clock;
use crate::state::settings::Keep;

const SEEDS: u64 = 40;
const ROWS: u64 = 4;
const STEPS: u64 = 30;

#[tokio::test(start_paused = true)]
async fn a_settled_value_wins_over_a_provisional_one_that_was_written_and_never_committed() {
    let mut bench = moved(false);
    let later = bench.messages.split_off(1);
    let [create, update, delete] = later.try_into().unwrap();
    bench.run().await.unwrap();
    // Only the row as it was is known; the process dies with the new row written and not committed.
    let store = bench.store();
    *bench.sink.requests.lock().unwrap() = [Fate::AppliedAndLost].into();
    assert_eq!(live(&bench, &store, vec![vec![create.clone()]], Duration::from_secs(9)).await, None);
    assert!(bench.sink.bodies()["items/2"].contains("old"));
    // The next life reads the lanes the other way round.
    let again = vec![vec![update], vec![delete], vec![create]];
    assert!(live(&bench, &store, again, Duration::from_secs(9)).await.is_some());
    let documents = bench.sink.bodies();
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["items/2"]);
    assert!(documents["items/2"].contains("new"), "{documents:?}");
}

#[tokio::test(start_paused = true)]
async fn what_follows_in_a_tie_is_above_whichever_half_of_a_move_an_earlier_life_read_first() {
    let mut bench = moved(true);
    let tie = |operation: &str| {
        let mut told = envelope(operation, 300, 2, json!({"id": 2, "name": "c", "text": "own"}));
        // Later in the same transaction as the move.
        (told["source"]["lsn"], told["source"]["sequence"]) = (json!(301), json!("[\"310\",\"301\"]"));
        told
    };
    for message in &mut bench.messages {
        let text = String::from_utf8(message.value.clone().unwrap().to_vec()).unwrap();
        message.value = Some(text.replace("[\\\"299\\\",", "[\\\"310\\\",").into());
    }
    bench.put(1, json!({"id": 2}), Some(tie("d")), &[]);
    let [first, update, leaves, arrives, deleted] = <[crate::event::Message; 5]>::try_from(bench.messages.clone()).unwrap();
    let store = bench.store();
    assert!(live(&bench, &store, vec![vec![first]], Duration::from_secs(9)).await.is_some());
    // Settled when it was written, and not committed.
    *bench.sink.requests.lock().unwrap() = [Fate::AppliedAndLost].into();
    bench.batch_documents = 9;
    assert_eq!(live(&bench, &store, vec![vec![update.clone(), leaves.clone(), arrives.clone()]], Duration::from_secs(9)).await, None);
    assert!(bench.sink.bodies().contains_key("items/2"));
    // Provisional now, and deleted before the other half is read.
    let again = vec![vec![arrives], vec![deleted], vec![update], vec![leaves]];
    assert!(live(&bench, &store, again, Duration::from_secs(9)).await.is_some());
    assert_eq!(bench.sink.bodies(), BTreeMap::new());
}

/// A transaction that is open across the snapshot has positions below the snapshot's, and its versions count from what
/// its lane has of the snapshot: where the new key's lane has nothing of it, the halves have different versions.
#[tokio::test(start_paused = true)]
async fn a_row_moves_to_a_lane_that_the_snapshot_left_empty() {
    let told = |operation: &str, snapshot: &str, lsn: u64, id: u64, text: &str| {
        let mut told = envelope(operation, lsn, id, json!({"id": id, "text": text}));
        (told["source"]["snapshot"], told["source"]["sequence"]) = (json!(snapshot), json!(format!("[null,\"{lsn}\"]")));
        told
    };
    for delete_first in [true, false] {
        let mut bench = Bench::new(Keep::Rows, MemorySink::default());
        let (from, to) = (json!({"id": 1}), json!({"id": 2}));
        bench.put(0, from.clone(), Some(told("r", "last", 500, 1, "long")), &[]);
        let delete = (0, from.clone(), told("d", "false", 400, 1, ""), ("__debezium.newkey", to.clone()));
        let create = (1, to, told("c", "false", 400, 2, MISSING), ("__debezium.oldkey", from));
        let order = if delete_first { [delete, create] } else { [create, delete] };
        for (partition, key, told, header) in order {
            bench.put(partition, key, Some(told), &[header]);
        }
        bench.run().await.unwrap();
        let expected = BTreeMap::from([("items/2".to_owned(), json!({"id": 2, "text": "long"}).to_string())]);
        assert_eq!(bench.sink.bodies(), expected, "delete first: {delete_first}");
    }
}

/// What the database holds: id → name and long text.
type Table = BTreeMap<u64, (u64, String)>;

/// Changes the table by chance, and puts what Debezium tells of it into the lane of each key.
fn history(chance: &Chance, bench: &mut Bench) -> Table {
    let mut table = Table::new();
    let row = |id: u64, name: u64, text: &str| json!({"id": id, "name": name, "text": text});
    let put = |bench: &mut Bench, operation: &str, lsn: u64, id: u64, row: Value, headers: &[(&str, Value)]| {
        bench.put(i32::try_from(id % 2).unwrap(), json!({"id": id}), Some(envelope(operation, lsn, id, row)), headers);
    };
    for step in 1..=STEPS {
        let lsn = step * 100;
        let id = 1 + chance.below(ROWS) * 10;
        // A row moves once at most, to the key beside it, which is in the other lane.
        let id = if table.contains_key(&id) { id } else { id + 1 };
        let Some((name, text)) = table.get(&id).cloned() else {
            let id = if table.keys().any(|known| known / 10 == id / 10) { continue } else { id - 1 };
            if bench.messages.iter().any(|message| message.key.as_deref() == Some(json!({"id": id + 1}).to_string().as_bytes())) {
                continue;
            }
            table.insert(id, (0, format!("first {step}")));
            put(bench, "c", lsn, id, row(id, 0, &format!("first {step}")), &[]);
            continue;
        };
        match chance.below(5) {
            0 | 1 => {
                table.insert(id, (step, text));
                put(bench, "u", lsn, id, row(id, step, MISSING), &[]);
            }
            2 => {
                let text = format!("set {step}");
                put(bench, "u", lsn, id, row(id, name, &text), &[]);
                table.insert(id, (name, text));
            }
            3 if id % 10 == 1 => {
                table.remove(&id);
                put(bench, "d", lsn, id, Value::Null, &[("__debezium.newkey", json!({"id": id + 1}))]);
                put(bench, "c", lsn, id + 1, row(id + 1, step, MISSING), &[("__debezium.oldkey", json!({"id": id}))]);
                table.insert(id + 1, (step, text));
            }
            _ => {
                table.remove(&id);
                put(bench, "d", lsn, id, Value::Null, &[]);
            }
        }
    }
    table
}

async fn simulate(seed: u64) {
    let chance = Chance(Clock::simulated(seed, 1_790_000_000_000));
    let mut bench = Bench::new(Keep::Rows, MemorySink::default());
    let table = history(&chance, &mut bench);
    let mut store = bench.store();
    for _ in 0..4 {
        bench.batch_documents = 1 + chance.below(6) as usize;
        *bench.sink.requests.lock().unwrap() = (0..chance.below(30)).map(|_| fate(&chance)).collect();
        let unread = bench.unread(&store);
        live(&bench, &store, arrivals(&chance, &unread), Duration::from_millis(1 + chance.below(3_000))).await;
        if chance.one_in(2) {
            drop(store);
            store = bench.store();
        }
    }
    bench.sink.requests.lock().unwrap().clear();
    let unread = bench.unread(&store);
    assert!(live(&bench, &store, arrivals(&chance, &unread), Duration::from_secs(3600)).await.is_some(), "seed {seed}");
    let documents: BTreeMap<String, Value> =
        bench.sink.bodies().into_iter().map(|(id, body)| (id, serde_json::from_str(&body).unwrap())).collect();
    let expected: BTreeMap<String, Value> =
        table.iter().map(|(id, (name, text))| (format!("items/{id}"), json!({"id": id, "name": name, "text": text}))).collect();
    assert_eq!(documents, expected, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn out_of_line_values_survive_a_move_in_any_order_and_any_life() {
    let seeds = std::env::var("ROWMILL_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        simulate(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_known_yet_is_awaited_over_two_moves() {
    let mut bench = Bench::new(Keep::Rows, MemorySink::default());
    let row = |id: u64, text: &str| json!({"id": id, "text": text});
    let key = |id: u64| json!({"id": id});
    let mut put = |partition, operation, lsn, id, row, headers: &[(&str, Value)]| {
        bench.put(partition, key(id), Some(envelope(operation, lsn, id, row)), headers);
    };
    // From 1 to 2 to 3; the lane of 2 and 3 is read to its end before that of 1.
    put(0, "c", 200, 2, row(2, MISSING), &[("__debezium.oldkey", key(1))]);
    put(0, "d", 300, 2, Value::Null, &[("__debezium.newkey", key(3))]);
    put(0, "c", 300, 3, row(3, MISSING), &[("__debezium.oldkey", key(2))]);
    put(1, "c", 100, 1, row(1, "long"), &[]);
    put(1, "d", 200, 1, Value::Null, &[("__debezium.newkey", key(2))]);
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies(), BTreeMap::from([("items/3".to_owned(), row(3, "long").to_string())]));
}

#[tokio::test(start_paused = true)]
async fn a_provisional_document_that_goes_and_comes_back_in_one_transaction_is_there() {
    let mut bench = Bench::new(Keep::Rows, MemorySink::default());
    bench.guest = Some(named_documents);
    let row = |names: &[&str]| json!({"id": 2, "documents": names, "text": MISSING});
    let (from, to) = (json!({"id": 1}), json!({"id": 2}));
    // What it was before its move is never read, so the text stays provisional.
    bench.put(0, to.clone(), Some(envelope("c", 200, 2, row(&["a"]))), &[("__debezium.oldkey", from)]);
    for (place, names) in [(1, &[] as &[&str]), (2, &["a"])] {
        let mut event = envelope("u", 1, 2, row(names));
        // Below the end of the last commit, so that only the second part tells the changes of a transaction apart.
        event["source"]["lsn"] = json!(300 + place);
        event["source"]["sequence"] = json!(json!(["400", null]).to_string());
        bench.put(0, to.clone(), Some(event), &[]);
    }
    bench.run().await.unwrap();
    assert_eq!(bench.sink.bodies().keys().collect::<Vec<_>>(), ["items/a"]);
}
