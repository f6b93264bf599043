//! What an event costs, printed.

use std::hint::black_box;

use serde_json::value::RawValue;

use super::{FORMS, decoder, recorded};
use crate::event::Message;
use crate::source::decode::LaneMemory;

/// Rounds are timed in parts, and the fastest part counts: the others shared the machine with somebody.
const PARTS: usize = 20;

/// Prints what an event costs; `ROWMILL_DECODE_ROUNDS=2000` with an optimised build gives figures worth reading.
#[test]
fn decode_speed() {
    let rounds = std::env::var("ROWMILL_DECODE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for form in FORMS {
        let rows = |table: &str| recorded(form).into_iter().filter(|message| message.lane.contains(table)).collect::<Vec<_>>();
        measure(&format!("{form} stock"), &rows(".stock"), rounds);
        let small = rows(".products").into_iter().filter(|message| message.size_bytes() < 9_000).collect::<Vec<_>>();
        measure(&format!("{form} products"), &small, rounds);
    }
    let row = r#"{"id":4711,"customer_name":"Ada Lovelace","email":"user4711@example.com","status":"paid","total_cents":123456,
        "addr_street":"711 Main Street","addr_city":"Lisbon","addr_zip":"04711","notes":null,"version":1,"updated_at":1790000000000}"#;
    let source = r#""version":"3.7.0.Final","ts_ms":1790000000000,"snapshot":"false","db":"shop","sequence":"[\"24000000\",\"24000136\"]",
        "ts_us":1790000000000000,"ts_ns":1790000000000000000,"txId":700,"lsn":24000136,"xmin":null,"origin":null,"origin_lsn":null"#;
    let envelope = super::postgres(source, &format!(r#""before":null,"after":{row},"transaction":null,"op":"u","ts_ms":1790000000005"#));
    measure("made envelope", &[super::message(Some(r#"{"id":4711}"#), Some(&envelope), &[])], rounds * 40);
}

fn measure(name: &str, messages: &[Message], rounds: usize) {
    let (mut decoder, mut lane) = (decoder(), LaneMemory::default());
    let decoding = fastest(messages, rounds, |message| {
        let _ = black_box(decoder.decode(black_box(message), &mut lane));
    });
    let checking = fastest(messages, rounds, |message| {
        let value = message.value.as_deref().unwrap_or(b"null");
        let _ = black_box(serde_json::from_slice::<&RawValue>(black_box(value)));
    });
    let bytes = messages.iter().map(|message| message.value.as_ref().map_or(0, |value| value.len())).sum::<usize>() / messages.len();
    println!("{name}: {decoding} ns per event of {bytes} bytes (serde_json alone checks it in {checking} ns)");
}

fn fastest(messages: &[Message], rounds: usize, mut work: impl FnMut(&Message)) -> u64 {
    let mut part = || {
        let start = cpu_ns();
        (0..rounds).flat_map(|_| messages).for_each(&mut work);
        (cpu_ns() - start) / (rounds * messages.len()) as u64
    };
    (0..PARTS).map(|_| part()).min().unwrap_or(0)
}

/// Time of this thread on a processor (Linux, in steps of some milliseconds); 0 elsewhere.
fn cpu_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}
