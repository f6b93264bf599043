//! Every bound and time-out that is not a setting, each with its reason.

use std::time::Duration;

/// Elasticsearch and OpenSearch refuse a whole bulk request for one longer id.
pub const DOCUMENT_ID_BYTES_MAX: usize = 512;

/// A Kafka message above this is not worth a place in a batch (Elasticsearch's own `http.max_content_length` is 100 MiB).
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// How deep JSON may be nested: serde_json, which later rooms and most guests read with, gives up at the next level.
pub const JSON_DEPTH_MAX: usize = 127;

/// Names of tables and sources kept to be shared: more than any database has tables, so only nonsense ever fills it.
pub const NAMES_SHARED_MAX: usize = 10_000;

/// Forms of messages remembered: more than the tables most pipelines read at a time.
pub const FORMS_MAX: usize = 64;

/// Forms of one topic: creates, updates with and without the row before, deletes, each before and after a change of the table.
pub const FORMS_OF_TOPIC_MAX: usize = 8;

/// Bytes of a form: an event of a table of a thousand columns has some 200 KiB of schema.
pub const FORM_BYTES_MAX: usize = 256 << 10;

/// Forms learned in a row, none of use, before learning becomes rare.
pub const FORMS_IN_VAIN_MAX: usize = 64;

/// Messages of no known form that pay for learning one then: it takes about as long as decoding one in full.
pub const FORM_LEARN_COST: usize = 64;

/// How many such messages one of a known form stands for: it saves more than a learned form costs.
pub const FORM_LEARN_HITS: usize = 4;

/// Changes in one guest call: throughput is flat above 100, and a failing call is cheap to take apart below 1,000.
pub const GUEST_BATCH_CHANGES_MAX: usize = 1_000;

/// JSON text in one guest call: it is copied into the guest's memory (64 MiB by default), beside what the guest makes of it.
pub const GUEST_BATCH_BYTES_MAX: usize = 4 << 20;

/// Outputs a guest may give for one call.
pub const GUEST_OUTPUTS_MAX: usize = 100_000;

/// Log lines of one guest call that are passed on; the rest is counted.
pub const GUEST_LOG_LINES_MAX: u32 = 100;

/// Bytes of one guest log line.
pub const GUEST_LOG_LINE_BYTES_MAX: usize = 1_024;

/// Names of counters and gauges a guest may make: each is a time series.
pub const GUEST_METRIC_NAMES_MAX: usize = 100;

/// Last bytes of a guest's stderr kept for the reason of a trap (a panic's message stands there).
pub const GUEST_STDERR_BYTES_MAX: usize = 4_096;

/// Bytes of a panic's message in the reason of a dead letter.
pub const GUEST_LAST_WORDS_BYTES_MAX: usize = 512;

/// Functions of a guest's backtrace that are told.
pub const GUEST_FRAMES_MAX: usize = 16;

/// Bytes copied out of a guest for one call. Its own memory is no bound: a thousand outputs may point at one text.
pub const GUEST_OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Streams, timers and the like that a guest may hold open at the host.
pub const GUEST_RESOURCES_MAX: usize = 1_000;

/// Bytes of a key in a guest's store: room for two names of documents.
pub const GUEST_STORE_KEY_BYTES_MAX: usize = 1_024;

/// Bytes of a value in a guest's store: it is read and written whole, and held in memory until its batch is committed.
pub const GUEST_STORE_VALUE_BYTES_MAX: usize = 1 << 20;

/// What an entry of a guest's store counts besides its key and value: its place in memory, on disk and in the log.
pub const GUEST_STORE_ENTRY_BYTES: u64 = 64;

/// Writes to its store that a guest may make in one call: a hundred for each change of a full one.
pub const GUEST_STORE_WRITES_MAX: u32 = 100_000;

/// Bytes of them: four times what a call brings in.
pub const GUEST_STORE_WRITE_BYTES_MAX: u64 = 16 << 20;

/// Keys that one `get-many`, `set-many` or `delete-many` may name: no deadline can stop it in between, and it takes some 20 ms.
pub const GUEST_STORE_MANY_KEYS_MAX: usize = 10_000;

/// Bytes that one `get-many` may answer: the host holds them twice.
pub const GUEST_STORE_ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Keys of one page of `list-keys`.
pub const GUEST_STORE_PAGE_KEYS_MAX: usize = 1_000;

/// Random bytes a guest may ask for at once.
pub const GUEST_RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Core modules in one component (and their tables): componentize-py links some thirty.
pub const GUEST_CORE_INSTANCES_MAX: usize = 1_000;

/// Linear memories in one component: each reserves 4 GiB of addresses.
pub const GUEST_MEMORIES_MAX: usize = 100;

/// Compiled code kept on disk, for all modules; the least used goes first. Python's is 60 MiB before compression.
pub const COMPILED_BYTES_MAX: u64 = 512 << 20;

/// How often the epoch of the WASM engine moves on: the grain of a guest's deadline.
pub const EPOCH_TICK: Duration = Duration::from_millis(10);

/// Largest module accepted.
pub const MODULE_BYTES_MAX: usize = 256 << 20;

/// Modules of one pipeline that can be rolled back to, the present one included.
pub const MODULES_KEPT: usize = 5;

/// How often a module's file is looked at; it serves two looks after it was written.
pub const MODULE_WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Changes that new code is tried on before it serves.
pub const RECENT_CHANGES_MAX: usize = 64;

/// Bytes of them: they are held in memory.
pub const RECENT_CHANGES_BYTES_MAX: usize = 1 << 20;

/// Documents that differ with new code and are shown.
pub const DIFFERENCES_SHOWN_MAX: usize = 10;

/// Bytes of each of them.
pub const DIFFERENCE_BYTES_MAX: usize = 2 << 10;

/// Batches that wait for a shadow: one more than it works on, so that it is never idle while there are some.
pub const SHADOW_BATCHES_MAX: usize = 1;

/// Raw messages waiting between a source and its pipeline. One batch being filled while another is worked on.
pub const SOURCE_QUEUE_MESSAGES_MAX: usize = 4_000;

/// Bytes of the same queue.
pub const SOURCE_QUEUE_BYTES_MAX: usize = 4 << 20;

/// How long the reader of a source with a full queue just waits; then it pauses its partitions, which throws away what was
/// fetched ahead but lets it stay a member of its group for hours.
pub const SOURCE_PAUSE_AFTER: Duration = Duration::from_secs(2);

/// Longest wait for one message of Kafka: how late a stop or a resume may be noticed.
pub const KAFKA_POLL_WAIT: Duration = Duration::from_millis(100);

/// One question to a Kafka broker (metadata, offsets).
pub const KAFKA_QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the ends of all partitions are asked for: the grain of the lag while nothing is being read.
pub const KAFKA_WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// How often new topics and partitions are looked for.
pub const KAFKA_TOPICS_INTERVAL: Duration = Duration::from_secs(10);

/// How often in a row, a second apart, a position must lie beyond its partition's end to be believed: a broker that has
/// just become the leader may not know its end yet.
pub const KAFKA_BEYOND_END_CHECKS: u32 = 5;

/// How long a stopping pipeline waits for its consumer to leave the group.
pub const KAFKA_LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a file read in one go.
pub const FILE_READ_BYTES: usize = 1 << 20;

/// How often a followed file is looked at while it does not grow.
pub const FILE_FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Bulk requests of one pipeline in flight.
pub const SINK_REQUESTS_IN_FLIGHT_MAX: usize = 4;

/// How much of a full request comes back with each good answer, after a sink was overloaded by a single one.
pub const SINK_SHARE_STEP: f64 = 0.125;

/// The least part of a full request that is sent to an overloaded sink: some 80 documents of 5,000.
pub const SINK_SHARE_MIN: f64 = 1.0 / 64.0;

/// Batches that have been worked out but are not yet committed (their effects are held in memory): the most that a sink may
/// ask for by `requests_in_flight`.
pub const BATCHES_IN_FLIGHT_MAX: usize = 64;

/// First and longest wait between two tries of what is down.
pub const RETRY_DELAY_FIRST: Duration = Duration::from_millis(100);
/// See [`RETRY_DELAY_FIRST`].
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);

/// Longest wait that a server may ask for: longer ones are nonsense, or meant for people.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How long a pipeline may have events and apply none of them before it counts as waiting: a request to a search server
/// that is answered late ([`SINK_REQUEST_TIMEOUT`]) is no news yet.
pub const STALL_AFTER: Duration = Duration::from_secs(90);

/// One HTTP request to a search server: a bulk of 5 MiB takes seconds on a busy one.
pub const SINK_REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// An address of a search server that did not answer is left alone this long while others do: a restart takes 10–20 s.
pub const HTTP_NODE_REST: Duration = Duration::from_secs(10);

/// What an address that comes back is asked first, so that no bulk waits its whole time-out for one that still hangs.
pub const HTTP_PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Shorter bodies are not compressed: they fit one packet anyway.
pub const HTTP_GZIP_BYTES_MIN: usize = 1_024;

/// Elasticsearch and OpenSearch take no longer name of an index.
pub const INDEX_NAME_BYTES_MAX: usize = 255;

/// Names of indexes that are known to be there: a hundred times what Elasticsearch lets a node hold by default, so that only names of indexes
/// that are long gone fill it.
pub const INDEXES_KNOWN_MAX: usize = 100_000;

/// Bytes of a server's own words kept in a reason: enough for a mapping error, too short for a document.
pub const SERVER_REASON_BYTES_MAX: usize = 400;

/// How long what the sink has answered may wait to be committed with what it answers next: a row that changes often is written once for all of
/// them, and those in between find their places near each other. After a crash so much more is read again.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// Rows that wait so at most. They are held in memory, some 400 bytes each.
pub const COMMIT_ROWS_MAX: usize = 25_000;

/// How often committed state is made durable (fsync) and the source told: losing the last second of state only means
/// reading that second again.
pub const SETTLE_INTERVAL: Duration = Duration::from_millis(500);

/// Most dead letters that a pipeline may be set to keep: their numbers are held in memory.
pub const DEAD_LETTERS_MAX: u64 = 1_000_000;

/// Bytes of an event's value shown in a list of dead letters; one alone is shown whole.
pub const DEAD_LETTER_SHOWN_BYTES_MAX: usize = 64 << 10;

/// Bytes of a row's key, and of its table's name, kept in a dead letter beside the event.
pub const DEAD_LETTER_NAME_BYTES_MAX: usize = 4 << 10;

/// Keys deleted in one step of a truncate.
pub const TRUNCATE_STEP_KEYS_MAX: usize = 1_000;

/// Letters of one value in the plan of a reload: a line on a screen.
pub const SETTING_SHOWN_CHARACTERS_MAX: usize = 120;

/// A request body of the admin API that is not a module.
pub const HTTP_BODY_BYTES_MAX: usize = 1 << 20;

/// Letters of a search that the demo's page tells of: as many as its field takes.
pub const LOGGED_SEARCH_CHARS_MAX: usize = 500;

/// Searches on the demo's page that wait to be written to its log.
pub const LOGGED_SEARCHES_WAITING_MAX: usize = 1_000;

/// Documents of one page of the search API.
pub const SEARCH_LIMIT_MAX: usize = 1_000;

/// How deep a page of the search API may lie (Elasticsearch's `max_result_window`).
pub const SEARCH_WINDOW_MAX: usize = 10_000;

/// How often, and how many times, a pause looks whether the batches at work are done: 10 s in all, less than an HTTP client waits.
pub const PAUSE_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// See [`PAUSE_CHECK_INTERVAL`].
pub const PAUSE_CHECKS_MAX: u32 = 200;

/// How long a pipeline must run on another configuration to count as started: a source that cannot be read says so at its first reading.
pub const RELOAD_PROOF: Duration = Duration::from_millis(500);

/// How long the end of the process waits for blocking calls.
pub const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Connections to the HTTP API at a time: some dashboards and scrapers, and far below the usual 1,024 file descriptors.
pub const HTTP_CONNECTIONS_MAX: usize = 512;

/// How long the head of a request may take to arrive, and how long a connection may idle between two.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait when the system gives no connection.
pub const HTTP_ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Dead letters in one answer: with 64 KiB of value each that is 64 MiB at worst.
pub const DEAD_LETTERS_PAGE_MAX: usize = 1_000;

/// Bytes of the key of an aggregate: with its window it is the id of a document.
pub const AGGREGATE_KEY_BYTES_MAX: usize = 480;

/// Largest weight of one measure: with nine decimal places, ten million such add up exactly.
pub const WEIGHT_MAX: u64 = 1_000_000_000_000;

/// Keys of the top of a window: they are ranked, shown and compared as a whole.
pub const TOP_MAX: u64 = 10_000;

/// Hopping windows that one event falls into: each is another aggregate to be brought up to date.
pub const WINDOWS_OF_AN_EVENT_MAX: u64 = 1_000;

/// How far ahead of this machine's clock an event's time may lie: one that says it is next year would close all windows.
pub const EVENT_AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);

/// Largest event time: the last millisecond of the year 9999, which has a text.
pub const EVENT_TIME_MAX_MS: u64 = 253_402_300_799_999;

/// Measures that one change may come to: each is kept beside the row, to be taken back.
pub const MEASURES_OF_A_CHANGE_MAX: usize = 1_000;

/// Rows of windows that are shown, or deleted, in one step: what a sink takes in a request or two.
pub const WINDOW_STEP_ROWS_MAX: usize = 5_000;

/// Rows read into memory for each that had to be looked up: a process that asks for much knows all soon, one that asks for little reads little.
pub const READ_AHEAD_ROWS: usize = 200;

/// Rows read so for one batch: some 50 ms, for a large one as many as its look-ups take.
pub const READ_AHEAD_ROWS_MAX: usize = 50_000;

/// How long a partition that went, or has not come yet, may be on its way back to this process; so long no window is closed, for only who
/// has a partition shows what was counted from it. Some session timeouts of a consumer group.
pub const WINDOW_LANE_AWAY_MAX: Duration = Duration::from_secs(60);

/// Keys of one window that are remembered as changed since it was shown last; above that all of it is looked at.
pub const WINDOW_CHANGED_KEYS_MAX: usize = 50_000;
