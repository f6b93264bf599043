//! Doing it.

use crate::index;
use crate::mode::{Mode, Request};
use rowmill_transform::{Action, Document, DocumentRef, Message, Output, log, metrics};
use std::cell::Cell;
use std::hint::black_box;

const MEBIBYTE: usize = 1024 * 1024;

/// Does it, and puts what comes of it.
pub fn act(mode: Mode, request: &Request, place: u32, row: &str, outputs: &mut Vec<Output>) {
    let count = |default| request.count.unwrap_or(default);
    let bytes = |default| request.bytes.unwrap_or(default);
    match mode {
        Mode::Reject => outputs.push(reject(place, "the row asked for it".to_owned())),
        Mode::LongReason => outputs.push(reject(place, "x".repeat(bytes(16 * MEBIBYTE)))),
        Mode::Trap => trap(),
        Mode::TrapOnNth => on_nth(count(100), || outputs.push(index(place, Document::from_text(row)))),
        Mode::Panic => panic!("the row asked for a panic"),
        Mode::Exit => std::process::exit(0),
        Mode::Recursion => drop(black_box(recurse(0))),
        Mode::Loop => endless(),
        Mode::Sleep => sleep(),
        Mode::Memory => eat_memory(),
        Mode::Huge => outputs.push(index(place, Document::from_text(body(bytes(1024 * MEBIBYTE))))),
        Mode::Many => (0..count(1_000_000)).for_each(|id| outputs.push(index(place, Document::from_text("{}").id(id)))),
        Mode::Amplify => amplify(place, count(4096), bytes(MEBIBYTE), outputs),
        Mode::LogFlood => (0..count(100_000)).for_each(|line| log::info(format!("line {line}"))),
        Mode::LongLog => log::info("x".repeat(bytes(16 * MEBIBYTE))),
        Mode::PrintFlood => (0..count(100_000)).for_each(|line| {
            println!("out {line}");
            eprintln!("error {line}");
        }),
        Mode::MetricFlood => (0..count(100_000)).for_each(|name| metrics::count(&format!("name_{name}"), 1)),
        Mode::OddMetrics => odd_metrics(),
        Mode::Spy => outputs.push(index(place, Document::from_text(spy(count(80))))),
        Mode::Count => outputs.push(index(place, Document::from_text(format!(r#"{{"calls":{}}}"#, calls())))),
        _ => answer(mode, request, place, row, outputs),
    }
    let harmless = [Mode::LogFlood, Mode::LongLog, Mode::PrintFlood, Mode::MetricFlood, Mode::OddMetrics];
    if harmless.contains(&mode) {
        outputs.push(index(place, Document::from_text(row)));
    }
}

/// Where only the answer is bad.
fn answer(mode: Mode, request: &Request, place: u32, row: &str, outputs: &mut Vec<Output>) {
    let text = |body: &str| index(place, Document::from_text(body));
    let document = || Document::from_text(row);
    let depth = request.count.unwrap_or(100_000);
    match mode {
        Mode::BadJson => outputs.push(text(r#"{"id":1,"#)),
        Mode::InvalidUtf8 => outputs.push(index(place, Document::from_text(no_utf8()))),
        Mode::NotObject => outputs.push(text("[1]")),
        Mode::EmptyBody => outputs.push(text("")),
        Mode::Injection => outputs.push(text("{}\n{\"delete\":{\"_index\":\"other\",\"_id\":\"1\"}}\n")),
        Mode::Newlines => outputs.push(text("{\n  \"id\": 1,\r\n  \"text\": \"two\\nlines\"\n}\n")),
        Mode::DeepJson => outputs.push(text(&format!(r#"{{"deep":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)))),
        Mode::TwiceNamed => outputs.push(text(r#"{"a":1,"a":2}"#)),
        Mode::WrongChange => outputs.push(index(1_000_000, document())),
        Mode::OtherChange => outputs.push(index(place.wrapping_sub(1), document())),
        Mode::SameId => outputs.extend([1, 2].map(|_| index(place, document().id("same")))),
        Mode::LongId => outputs.push(index(place, document().id("x".repeat(request.bytes.unwrap_or(10 * 1024))))),
        Mode::EmptyId => outputs.push(index(place, document().id(""))),
        Mode::OddId => outputs.push(index(place, document().id("a\nb\0c\"d"))),
        Mode::OddIndex => outputs.push(index(place, document().index("../_all"))),
        Mode::DeleteOther => outputs.push(Output { change: place, action: Action::Delete(DocumentRef::of_row().id(1)) }),
        Mode::Emit => outputs.extend(message().map(|message| Output { change: place, action: Action::Emit(message) })),
        // What is left: modes of `init`, and `not_in_company` when alone.
        _ => outputs.push(index(place, document())),
    }
}

fn reject(change: u32, reason: String) -> Output {
    Output { change, action: Action::Reject(reason) }
}

fn message() -> Option<Message> {
    Message::new("__consumer_offsets", "x").ok()
}

fn body(bytes: usize) -> String {
    let mut body = String::with_capacity(bytes + 16);
    body.push_str(r#"{"x":""#);
    body.extend(std::iter::repeat_n('x', bytes));
    body.push_str(r#""}"#);
    body
}

/// All bodies are one text. What the host copies out is `count` times as much as there is.
fn amplify(place: u32, count: usize, bytes: usize, outputs: &mut Vec<Output>) {
    let shared = body(bytes).leak();
    for id in 0..count {
        // SAFETY: none. Freeing these is a double free, which only a guest that means harm would do; it is the host's
        // part to stop it before, and this module's memory is its own.
        let body = unsafe { String::from_raw_parts(shared.as_mut_ptr(), shared.len(), shared.len()) };
        outputs.push(index(place, Document::from_text(body).id(id)));
    }
}

fn no_utf8() -> String {
    // SAFETY: none, as in `amplify`: only what is handed out as text decides, and that is checked by the host.
    unsafe { String::from_utf8_unchecked(b"{\"x\":\"\xff\xc3\"}".to_vec()) }
}

/// Traps where this is the `nth` time, counted over the life of the instance.
fn on_nth(nth: usize, otherwise: impl FnOnce()) {
    thread_local! {
        static SEEN: Cell<usize> = const { Cell::new(0) };
    }
    SEEN.set(SEEN.get() + 1);
    if SEEN.get().is_multiple_of(nth) { trap() } else { otherwise() }
}

pub fn trap() -> ! {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

pub fn endless() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub fn eat_memory() -> ! {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; MEBIBYTE]));
    }
}

/// A guest that waits spends no fuel and passes no epoch.
pub fn sleep() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame.iter().sum::<u64>()
}

fn odd_metrics() {
    for name in ["", "UPPER", "with space", "quote\"", "line\nbreak", &"x".repeat(65), &"x".repeat(MEBIBYTE)] {
        metrics::count(name, u64::MAX);
        metrics::gauge(name, f64::NAN);
    }
    metrics::count("overflow", u64::MAX);
    metrics::count("overflow", u64::MAX);
    metrics::gauge("infinite", f64::INFINITY);
    metrics::gauge("not_a_number", f64::NAN);
}

/// What of the machine can be seen, with someone listening at `port`. The clock is no secret, only noted.
fn spy(port: usize) -> String {
    let files: Vec<String> = ["/", ".", "/etc/passwd", "/proc/self/environ"]
        .into_iter()
        .filter(|path| std::fs::metadata(path).is_ok() || std::fs::read_dir(path).is_ok())
        .map(|path| format!("\"{path}\""))
        .collect();
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    let written = std::fs::write("rowmill-was-here", "x").is_ok();
    let address = format!("127.0.0.1:{port}");
    let connected = std::net::TcpStream::connect(&address).is_ok();
    let sent = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", &address)).is_ok();
    let listening = std::net::TcpListener::bind("127.0.0.1:0").is_ok();
    let resolved = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 80)).is_ok();
    let typed = std::io::Read::read(&mut std::io::stdin(), &mut [0]).unwrap_or_default();
    let network = connected || sent || listening || resolved;
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).is_ok_and(|time| !time.is_zero());
    format!(
        r#"{{"files":[{}],"variables":{variables},"arguments":{arguments},"written":{written},"network":{network},"typed":{typed},"clock":{clock}}}"#,
        files.join(",")
    )
}

fn calls() -> u64 {
    thread_local! {
        static CALLS: Cell<u64> = const { Cell::new(0) };
    }
    CALLS.with(|calls| {
        calls.set(calls.get() + 1);
        calls.get()
    })
}
