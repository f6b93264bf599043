//! From the tables of the file to a plan: defaults, bounds, and what this version cannot do yet.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::across;
use crate::config::{BatchSettings, PipelinePlan, Plan, ServerSettings};
use crate::settings::{Section, Source};
use crate::sink::SinkSettings;
use crate::source::decode::settings::Format;
use crate::transform::settings::{TransformSettings, World};
use crate::{aggregate, sink, source, state, transform};

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// A bulk request of this many is 5 MiB at 1 KiB a document.
const BATCH_DOCUMENTS_DEFAULT: u64 = 2_000;
/// Above this a batch is no faster, and what it holds in memory is.
const BATCH_DOCUMENTS_MAX: u64 = 1_000_000;
const BATCH_BYTES_DEFAULT: u64 = 5 << 20;
/// Elasticsearch's `http.max_content_length`.
const BATCH_BYTES_MAX: u64 = 100 << 20;
/// A pipeline's name stands in folder names, consumer groups and metrics' labels.
const NAME_BYTES_MAX: usize = 64;

const NOT_BUILT: &str = "is not built yet in this version";
const LEFT_OUT: &str = "is not part of this program: it was built without that feature";
/// What later versions will read.
const PIPELINE_TABLES_LATER: &[&str] = &["rows", "include"];
const SOURCES_LATER: &[&str] = &["postgres"];
const SINKS_LATER: &[&str] = &["redis", "mongodb", "webhook", "email"];
/// What a program built without some features does not read.
const SOURCES_LEFT_OUT: &[&str] = if cfg!(feature = "kafka") { &[] } else { &["kafka"] };
const SINKS_LEFT_OUT: &[&[&str]] = &[
    if cfg!(feature = "elasticsearch") { &[] } else { &["elasticsearch", "opensearch"] },
    if cfg!(feature = "embedded") { &[] } else { &["embedded"] },
    if cfg!(feature = "kafka") { &[] } else { &["kafka"] },
];

/// Reads the whole file; the problems of `source` say whether the plan may be used.
pub(super) fn plan(source: &Source<'_>, root: &Section<'_>) -> Plan {
    let server = server(&root.section("server"));
    let state = state::settings::read(&root.section("state"));
    let tables = root.section("pipelines");
    let names = tables.names();
    if names.is_empty() {
        source.problem(None, "there is no pipeline: add [pipelines.NAME.source.…] and [pipelines.NAME.sink.…]");
    }
    let mut pipelines = Vec::new();
    for name in names {
        if !is_name(&name) {
            tables.problem(&name, format!("is not a good name: use letters, digits, - and _, at most {NAME_BYTES_MAX}"));
        }
        pipelines.extend(pipeline(&name, &tables.section(&name)));
    }
    for (name, message) in across::problems(&pipelines) {
        tables.problem(name, message);
    }
    let mut settings = source.settings();
    settings.retain(|key, _| !key.starts_with("pipelines."));
    Plan { file: None, server, state, pipelines: pipelines.into_iter().map(Arc::new).collect(), settings }
}

fn server(section: &Section<'_>) -> ServerSettings {
    let listen = match section.string("listen").as_deref() {
        None => Some(LISTEN_DEFAULT),
        Some("off") => None,
        Some(text) => address(text).or_else(|| {
            section.problem("listen", "must be an address with a port, such as \"127.0.0.1:8080\", or \"off\"");
            None
        }),
    };
    section.comes_to("listen", format!("\"{LISTEN_DEFAULT}\""), listen.map_or_else(|| "off".to_owned(), |address| address.to_string()));
    let token_given = !section.present(&["token"]).is_empty();
    let token = section.secret("token");
    if let Some(address) = listen.filter(|address| !address.ip().is_loopback() && !token_given) {
        let remedy =
            "without a token anyone who reaches it could drive the pipelines: set server.token = \"env:NAME\", or listen on 127.0.0.1";
        section.problem("listen", format!("is {address}, beyond this machine, and {remedy}"));
    }
    ServerSettings {
        listen,
        token,
        hosts: section.strings("hosts").unwrap_or_default(),
        drain_timeout: section.duration("drain_timeout", DRAIN_TIMEOUT_DEFAULT),
    }
}

/// None when there is no telling what its source or its sink is.
fn pipeline(name: &str, section: &Section<'_>) -> Option<PipelinePlan> {
    section.refuse(PIPELINE_TABLES_LATER, NOT_BUILT);
    let sources = section.section("source");
    let decode = source::decode::settings::read(&sources.section("decode"));
    sources.refuse(SOURCES_LATER, NOT_BUILT);
    sources.refuse(SOURCES_LEFT_OUT, LEFT_OUT);
    let source = chosen(section, "source", &sources, source::KINDS, &["decode"]);

    let sinks = section.section("sink");
    sinks.refuse(SINKS_LATER, NOT_BUILT);
    SINKS_LEFT_OUT.iter().for_each(|kinds| sinks.refuse(kinds, LEFT_OUT));
    let sink = chosen(section, "sink", &sinks, sink::KINDS, &[]);

    let keep = state::settings::read_keep(&section.section("state"));
    let dead_letters_section = section.section("dead_letters");
    let dead_letters = state::settings::read_dead_letters(&dead_letters_section);
    let dead_letters_sink = dead_letters_sink(&dead_letters_section);
    let (transform_section, aggregate_section, window_section) =
        (section.section("transform"), section.section("aggregate"), section.section("window"));
    let is_log = decode.format == Format::Json;
    let aggregate = aggregate::settings::read(&aggregate_section, &window_section, is_log, transform_section.is_present());
    if aggregate.is_some()
        && let Some((kind, sink)) = &sink
        && sink.index().is_some_and(|index| index.contains('{'))
    {
        sinks.section(kind).problem("index", "must be a name without { }: rows of windows are of no table");
    }
    let world = if aggregate.is_some() { World::Aggregate } else { World::Transform };
    let (batch, transform) = (batch(&section.section("batch")), transform(&transform_section, world));
    let ((source_kind, source), (sink_kind, sink)) = (source?, sink?);
    Some(PipelinePlan {
        name: name.to_owned(),
        source_kind,
        source,
        decode,
        transform,
        aggregate: aggregate.map(Arc::new),
        keep,
        dead_letters,
        dead_letters_sink,
        batch,
        sink_kind,
        sink,
        settings: section.settings(),
    })
}

fn dead_letters_sink(section: &Section<'_>) -> Option<Box<dyn SinkSettings>> {
    let sinks = section.section("sink");
    if !sinks.is_present() {
        return None;
    }
    sinks.refuse(SINKS_LATER, NOT_BUILT);
    SINKS_LEFT_OUT.iter().for_each(|kinds| sinks.refuse(kinds, LEFT_OUT));
    let (_, sink) = chosen(section, "sink", &sinks, sink::KINDS, &[])?;
    if sink.index().is_none_or(|index| index.contains('{')) {
        section.problem("sink", "must name the topic or index that dead letters are sent to, without { }");
    }
    Some(sink)
}

/// The kind that stands in `tables`, and its settings. Exactly one must.
fn chosen<S: ?Sized>(
    pipeline: &Section<'_>,
    what: &str,
    tables: &Section<'_>,
    kinds: &[(&'static str, fn(&Section<'_>) -> Box<S>)],
    others: &[&str],
) -> Option<(&'static str, Box<S>)> {
    let words: Vec<&'static str> = kinds.iter().map(|(kind, _)| *kind).collect();
    let present = tables.present(&words);
    for second in present.iter().skip(1) {
        tables.problem(second, format!("is one {what} too many: a pipeline has one of {}", present.join(", ")));
    }
    let Some(first) = present.first() else {
        // A table that is no kind we know has been reported, or will be: that is the one mistake.
        if tables.is_empty_but_for(others) {
            pipeline
                .problem(what, format!("is missing: add a table {}.{what}.KIND with KIND one of {}", pipeline.path(), words.join(", ")));
        }
        return None;
    };
    let read = |(kind, read): &(&'static str, fn(&Section<'_>) -> Box<S>)| (*kind, read(&tables.section(kind)));
    let mut settings: Vec<_> = kinds.iter().filter(|(kind, _)| present.contains(kind)).map(read).collect();
    pipeline.note_kind(what, first);
    settings.iter().position(|(kind, _)| kind == first).map(|place| settings.swap_remove(place))
}

fn batch(section: &Section<'_>) -> BatchSettings {
    let max_documents = section.integer("max_documents", BATCH_DOCUMENTS_DEFAULT, 1..BATCH_DOCUMENTS_MAX + 1);
    let mut max_bytes = section.size("max_bytes", BATCH_BYTES_DEFAULT);
    if !(1..=BATCH_BYTES_MAX).contains(&max_bytes) {
        section.problem("max_bytes", format!("must be from 1 byte to {}", bytesize::ByteSize(BATCH_BYTES_MAX)));
        max_bytes = BATCH_BYTES_DEFAULT;
    }
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    BatchSettings {
        max_documents: whole(max_documents),
        max_bytes: whole(max_bytes),
        max_wait: section.duration("max_wait", Duration::ZERO),
    }
}

fn transform(section: &Section<'_>, world: World) -> Option<TransformSettings> {
    if !section.is_present() {
        return None;
    }
    let transform = transform::settings::read(section, world);
    let module = &transform.module;
    if module != &PathBuf::new() && !module.is_file() {
        section.problem("module", format!("names {}, and there is no such file: build the module first", module.display()));
    }
    Some(transform)
}

/// `localhost` is taken for the address it stands for; other names would have to be looked up.
fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    }
}

fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good)
}
