use std::hint::black_box;

use tokio::time::Instant;

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
    let mut decoder = decoder();
    let mut lane = LaneMemory::default();
    let start = Instant::now();
    for message in (0..rounds).flat_map(|_| messages) {
        let _ = black_box(decoder.decode(black_box(message), &mut lane));
    }
    let ns = start.elapsed().as_nanos() / (rounds * messages.len()) as u128;
    let bytes = messages.iter().map(|message| message.value.as_ref().map_or(0, |value| value.len())).sum::<usize>() / messages.len();
    println!("{name}: {ns} ns per event of {bytes} bytes");
}
