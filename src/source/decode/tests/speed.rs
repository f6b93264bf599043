use std::hint::black_box;

use super::{FORMS, decoder, recorded};
use crate::event::Message;
use crate::source::decode::LaneMemory;

/// Prints what an event costs; `ROWMILL_DECODE_ROUNDS=2000` with an optimised build gives figures worth reading.
#[test]
fn decode_speed() {
    let rounds = std::env::var("ROWMILL_DECODE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for form in FORMS {
        let rows: Vec<Message> = recorded(form).into_iter().filter(|message| message.lane.contains(".stock")).collect();
        measure(form, &rows, rounds);
    }
    let row = r#"{"id":4711,"customer_name":"Ada Lovelace","email":"user4711@example.com","status":"paid","total_cents":123456,
        "addr_street":"711 Main Street","addr_city":"Lisbon","addr_zip":"04711","notes":null,"version":1,"updated_at":1790000000000}"#;
    let source = r#""version":"3.7.0.Final","ts_ms":1790000000000,"snapshot":"false","db":"shop","sequence":"[\"24000000\",\"24000136\"]",
        "ts_us":1790000000000000,"ts_ns":1790000000000000000,"txId":700,"lsn":24000136,"xmin":null,"origin":null,"origin_lsn":null"#;
    let envelope = super::postgres(source, &format!(r#""before":null,"after":{row},"transaction":null,"op":"u","ts_ms":1790000000005"#));
    measure("made envelope", &[super::message(Some(r#"{"id":4711}"#), Some(&envelope), &[])], rounds * 20);
}

fn measure(name: &str, messages: &[Message], rounds: usize) {
    let start = cpu_ns();
    for message in (0..rounds).flat_map(|_| messages) {
        let Some(value) = &message.value else { continue };
        let _ = black_box(serde_json::from_slice::<&serde_json::value::RawValue>(black_box(value)).map(|v| v.get().len()));
    }
    let raw = (cpu_ns() - start) / (rounds * messages.len()) as u64;
    println!("raw {raw}");
    let mut decoder = decoder();
    let mut lane = LaneMemory::default();
    let start = cpu_ns();
    for message in (0..rounds).flat_map(|_| messages) {
        let _ = black_box(decoder.decode(black_box(message), &mut lane));
    }
    let ns = (cpu_ns() - start) / (rounds * messages.len()) as u64;
    let bytes = messages.iter().map(|message| message.value.as_ref().map_or(0, |value| value.len())).sum::<usize>() / messages.len();
    println!("{name}: {ns} ns per event of {bytes} bytes");
}

/// Time of this thread on a processor (Linux), so that a busy machine gives the same figures; 0 elsewhere.
fn cpu_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0)
}
