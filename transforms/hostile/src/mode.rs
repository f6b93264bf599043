//! What may be asked for.

use serde::Deserialize;

/// Each is the name in snake case.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The row is the document.
    Ok,
    /// Rejects the row: the one thing here that is good manners.
    Reject,
    /// Rejects with a reason of `bytes` (16 MiB).
    LongReason,
    /// Error for the whole batch.
    BatchError,

    /// Traps: `unreachable`.
    Trap,
    /// Traps when the batch has more changes than this one; alone, the row is the document.
    NotInCompany,
    /// Traps at every `count`-th (100th) change that this instance is given, whichever that is.
    TrapOnNth,
    /// Panics: logs, then traps.
    Panic,
    /// Ends its process.
    Exit,
    /// Recurses until the stack is full.
    Recursion,
    /// Loops for ever.
    Loop,
    /// Sleeps an hour in a host call, where no epoch reaches it.
    Sleep,
    /// Takes memory and writes to it until there is none.
    Memory,

    /// One body of `bytes` (1 GiB).
    Huge,
    /// `count` (1,000,000) small documents.
    Many,
    /// `count` (4,096) documents whose bodies are the same `bytes` (1 MiB): little memory here, gigabytes where they are copied.
    Amplify,

    /// A body that stops in the middle.
    BadJson,
    /// A body whose bytes are no UTF-8.
    InvalidUtf8,
    /// A body that is a list.
    NotObject,
    /// A body without a character.
    EmptyBody,
    /// A body that is no text of JSON but another line of a bulk request.
    Injection,
    /// A good body of several lines.
    Newlines,
    /// A good body with `count` (100,000) lists within each other.
    DeepJson,
    /// A good body that names a field twice.
    TwiceNamed,

    /// An output for change 1,000,000.
    WrongChange,
    /// An output for the change before this one (wraps round).
    OtherChange,
    /// Two documents with the same id.
    SameId,
    /// An id of `bytes` (10 KiB).
    LongId,
    /// An empty id.
    EmptyId,
    /// An id with a line break, a NUL and a quote.
    OddId,
    /// An index whose name is a path: `../_all`.
    OddIndex,
    /// Deletes the document with the id `1`, whoever wrote it.
    DeleteOther,
    /// A message to the topic `__consumer_offsets`.
    Emit,

    /// 100,000 (`count`) log lines.
    LogFlood,
    /// One log line of `bytes` (16 MiB).
    LongLog,
    /// 100,000 (`count`) lines to each of the standard streams.
    PrintFlood,
    /// 100,000 (`count`) counters with different names.
    MetricFlood,
    /// Counters and gauges with names and values nobody wants.
    OddMetrics,

    /// Looks for files, environment, network (someone listens at port `count`) and clock; the document says what it found.
    Spy,
    /// The document says how many batches this instance has seen.
    Count,

    /// Counts itself in its store; the document says how often.
    Keep,
    /// The same, and traps.
    KeepTrap,
    /// The same, and rejects the row.
    KeepReject,
    /// Writes `count` (100) values of `bytes` (1 MiB) to its store, whatever it answers.
    KeepFlood,
    /// A key and a value of `bytes` (2 MiB); the document says what its store said.
    KeepHuge,
    /// Fills its store with values of `bytes` (64 KiB), and empties it again; the document says how many there were.
    KeepFull,
    /// Sets `count` (2,500) keys; the document says how many of them are listed.
    KeepList,
    /// Opens stores of others, and its own `count` (5,000) times; the document says how many.
    KeepOpen,

    /// `init` answers an error.
    InitError,
    /// `init` traps.
    InitTrap,
    /// `init` loops.
    InitLoop,
    /// `init` takes all memory.
    InitMemory,
    /// `init` sleeps an hour.
    InitSleep,
    /// `init` counts in its store, and refuses the configuration with the answer.
    InitKeep,
}

impl Mode {
    /// Whether it is about the store.
    pub fn keeps(self) -> bool {
        use Mode::{Keep, KeepFlood, KeepFull, KeepHuge, KeepList, KeepOpen, KeepReject, KeepTrap};
        matches!(self, Keep | KeepTrap | KeepReject | KeepFlood | KeepHuge | KeepFull | KeepList | KeepOpen)
    }
}

/// What a row, or the configuration, asks for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Request {
    pub mode: Option<Mode>,
    pub bytes: Option<usize>,
    pub count: Option<usize>,
}

impl Request {
    pub const NOTHING: Request = Request { mode: None, bytes: None, count: None };

    /// Reads the text of an object; no text asks for nothing.
    pub fn read(text: &str) -> Result<Request, String> {
        if matches!(text, "" | "null") {
            return Ok(Request::NOTHING);
        }
        serde_json::from_str(text).map_err(|error| format!("hostile: {error}"))
    }

    /// Where this asks for nothing, `other` counts.
    pub fn or(self, other: Request) -> Request {
        Request { mode: self.mode.or(other.mode), bytes: self.bytes.or(other.bytes), count: self.count.or(other.count) }
    }
}
