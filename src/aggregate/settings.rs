//! `[pipelines.….aggregate]` and `[pipelines.….window]`.

use std::time::Duration;

use crate::aggregate::Shape;
use crate::aggregate::fields::FieldMeasure;
use crate::limits::{TOP_MAX, WINDOWS_OF_AN_EVENT_MAX};
use crate::settings::Section;

/// What is counted, over which windows, and when it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateSettings {
    /// Which windows there are.
    pub shape: Shape,
    /// How long after its end a window still takes late events.
    pub grace_ms: u64,
    /// When rows are shown.
    pub emit: Emit,
    /// How often, at most.
    pub emit_every: Duration,
    /// Only the first so many keys of a window are shown; 0: all.
    pub top: usize,
    /// By what they are ranked.
    pub rank_by: RankBy,
    /// How long after its end a window is shown; none: for ever.
    pub retention_ms: Option<u64>,
    /// How long a lane that has given all it has must be silent before it holds nobody back.
    pub idle_after: Duration,
    /// What becomes of an event whose windows are all closed.
    pub late: Late,
    /// Whether events are only added: a log, whose keys tell of no rows. Otherwise a change of a row takes back what the row had added.
    pub append_only: bool,
    /// Whether sums are shown.
    pub shows_sum: bool,
    /// Whether the least and greatest weight are.
    pub extremes: bool,
    /// Whether the mean is.
    pub average: bool,
    /// Whether different values are counted.
    pub distinct: bool,
    /// How long a weight takes to fade to its half; none: there is no score.
    pub half_life_ms: Option<u64>,
    /// What a change counts for; none: the module says.
    pub measure: Option<FieldMeasure>,
}

/// When rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// As they change.
    Changes,
    /// Once, when their window is closed.
    Final,
}

/// By what keys are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankBy {
    /// How many measures.
    Count,
    /// Their weights.
    Sum,
    /// Their mean.
    Average,
    /// Different values.
    Distinct,
    /// Weights that fade.
    Score,
}

/// What becomes of an event that comes too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It is counted as late, and told of in the log.
    Report,
    /// It is a dead letter.
    DeadLetter,
}

impl AggregateSettings {
    /// What must stay as it is for what was counted before to keep its meaning.
    pub fn unit(&self) -> String {
        let shape = match self.shape {
            Shape::All => "all".to_owned(),
            Shape::Hopping { size_ms, hop_ms } => format!("size {size_ms} ms, hop {hop_ms} ms"),
            Shape::Session { gap_ms } => format!("gap {gap_ms} ms"),
        };
        let input = if self.append_only { "append only" } else { "rows" };
        let computed = [("extremes", self.extremes), ("distinct", self.distinct), ("score", self.half_life_ms.is_some())];
        let computed: String = computed.iter().filter(|(_, is)| *is).map(|(name, _)| format!(", {name}")).collect();
        format!("{shape}, {input}{computed}")
    }

    /// Whether the state remembers the bodies of documents (as hashes), so that one that is made again as it was is not written again. Where
    /// only what has changed is shown, and nothing else is in a document, that is known without: it costs two writes to the state for each
    /// document. After a start, what is open is written once again then.
    pub fn knows_bodies(&self) -> bool {
        self.top > 0 || self.measure.is_none()
    }

    /// Whether weights are counted one by one: only so the least is known when the present one goes.
    pub fn counts_weights(&self) -> bool {
        self.extremes && self.counts_values()
    }

    /// Whether different values are counted one by one.
    pub fn counts_distinct(&self) -> bool {
        self.distinct && self.counts_values()
    }

    fn counts_values(&self) -> bool {
        // A session holds its measures itself.
        !self.append_only && !matches!(self.shape, Shape::Session { .. })
    }

    /// When a window that ends at `end_ms` takes nothing any more.
    pub fn closes_at(&self, end_ms: u64) -> u64 {
        end_ms.saturating_add(self.grace_ms)
    }

    /// Counts and sums of such windows, shown as they change.
    pub fn plain(shape: Shape) -> Self {
        Self {
            shape,
            grace_ms: 0,
            emit: Emit::Changes,
            emit_every: Duration::ZERO,
            top: 0,
            rank_by: RankBy::Sum,
            retention_ms: None,
            idle_after: Duration::from_secs(5),
            late: Late::Report,
            append_only: false,
            shows_sum: true,
            extremes: false,
            average: false,
            distinct: false,
            half_life_ms: None,
            measure: None,
        }
    }

    /// Counts and sums of a whole table.
    #[cfg(test)]
    pub fn of_everything() -> Self {
        Self::plain(Shape::All)
    }
}

const COMPUTED: &[&str] = &["count", "sum", "min", "max", "average", "distinct", "score"];

/// Reads both tables; none where neither stands. `is_log`: the source's events are no rows of a table.
pub fn read(aggregate: &Section<'_>, window: &Section<'_>, is_log: bool, has_module: bool) -> Option<AggregateSettings> {
    let is_present = aggregate.is_present() || window.is_present();
    let append_only = aggregate.boolean("append_only", is_log);
    let measure = FieldMeasure::read(aggregate, append_only);
    match (&measure, has_module) {
        (Some(_), true) => aggregate.problem("key", "is one too many: the module says what a change counts for; remove one of the two"),
        (None, false) if is_present => aggregate.missing("key"),
        _ => {}
    }
    let asks_distinct = measure.as_ref().is_some_and(|measure| measure.distinct.is_some());
    let is_weighted = has_module || measure.as_ref().is_some_and(|measure| !measure.counts_one());
    let computed = computed(aggregate, is_weighted, asks_distinct);
    let asks = |name: &str| computed.iter().any(|computed| computed == name);
    if asks("distinct") && !asks_distinct && !has_module {
        aggregate.problem("compute", "names \"distinct\": say of what, as in distinct = \"user\"");
    }
    let half_life = aggregate.optional_duration("half_life");
    let half_life_ms = half_life.map(millis).filter(|_| asks("score"));
    match half_life {
        Some(Duration::ZERO) => aggregate.problem("half_life", "must not be 0"),
        Some(_) if !asks("score") => aggregate.problem("half_life", "is of the score: add \"score\" to compute"),
        None if asks("score") => aggregate.problem("compute", "names \"score\": say how fast it fades, as in half_life = \"10m\""),
        _ => {}
    }
    let shape = shape(window);
    let default_rank = if asks("score") { RankBy::Score } else { RankBy::Sum };
    let ranks = [
        ("count", RankBy::Count),
        ("sum", RankBy::Sum),
        ("average", RankBy::Average),
        ("distinct", RankBy::Distinct),
        ("score", RankBy::Score),
    ];
    let rank_by = window.choice("rank_by", default_rank, &ranks);
    let ranks_by_missing = matches!(rank_by, RankBy::Score if !asks("score")) || matches!(rank_by, RankBy::Distinct if !asks("distinct"));
    if ranks_by_missing {
        window.problem("rank_by", "names what is not computed: add it to aggregate.compute");
    }
    let top = usize::try_from(window.integer("top", 0, 0..TOP_MAX + 1)).unwrap_or(usize::MAX);
    if top > 0 && matches!(shape, Shape::Session { .. }) {
        window.problem("top", "ranks the keys of one window, and every session is a window of its own: leave it out");
    }
    let (grace_ms, retention_ms) = (millis(window.duration("grace", Duration::ZERO)), retention(window, shape));
    if retention_ms.is_some_and(|retention_ms| retention_ms < grace_ms) {
        window.problem("retention", "is shorter than the grace: a window would leave before it is closed; make it longer");
    }
    let settings = AggregateSettings {
        shape,
        grace_ms,
        emit: emit(window, shape),
        emit_every: window.duration("emit_every", Duration::from_secs(1)),
        top,
        rank_by,
        retention_ms,
        idle_after: window.duration("idle_after", Duration::from_secs(5)),
        late: window.choice("late", Late::Report, &[("report", Late::Report), ("dead_letter", Late::DeadLetter)]),
        append_only,
        shows_sum: asks("sum"),
        extremes: asks("min") || asks("max"),
        average: asks("average"),
        distinct: asks("distinct"),
        half_life_ms,
        measure,
    };
    is_present.then_some(settings)
}

fn computed(aggregate: &Section<'_>, is_weighted: bool, asks_distinct: bool) -> Vec<String> {
    let given = aggregate.strings("compute");
    for unknown in given.iter().flatten().filter(|name| !COMPUTED.contains(&name.as_str())) {
        aggregate.problem("compute", format!("names {unknown:?}: it may hold {}", COMPUTED.join(", ")));
    }
    let mut computed =
        given.unwrap_or_else(|| if is_weighted { vec!["count".to_owned(), "sum".to_owned()] } else { vec!["count".to_owned()] });
    if asks_distinct && !computed.iter().any(|name| name == "distinct") {
        computed.push("distinct".to_owned());
    }
    aggregate.comes_to("compute", format!("{computed:?}"), computed.join(", "));
    computed
}

fn shape(window: &Section<'_>) -> Shape {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        All,
        Tumbling,
        Hopping,
        Session,
    }
    let kinds = [("all", Kind::All), ("tumbling", Kind::Tumbling), ("hopping", Kind::Hopping), ("session", Kind::Session)];
    let kind = window.choice("kind", Kind::All, &kinds);
    let given = ["size", "hop", "gap"].map(|key| (key, window.optional_duration(key)));
    let length = |key: &str| {
        let length = given.iter().find(|(name, _)| *name == key).and_then(|(_, length)| *length);
        match length.map(millis) {
            None => window.missing(key),
            Some(0) => window.problem(key, "must be at least 1ms"),
            Some(_) => {}
        }
        length.map_or(1, millis).max(1)
    };
    let others = |wanted: &[&str]| {
        for (key, _) in given.iter().filter(|(key, length)| length.is_some() && !wanted.contains(key)) {
            window.problem(key, "is of another kind of window: change kind, or leave it out");
        }
    };
    match kind {
        Kind::All => {
            others(&[]);
            Shape::All
        }
        Kind::Tumbling => {
            others(&["size"]);
            let size_ms = length("size");
            Shape::Hopping { size_ms, hop_ms: size_ms }
        }
        Kind::Hopping => {
            others(&["size", "hop"]);
            let (size_ms, hop_ms) = (length("size"), length("hop"));
            if size_ms / hop_ms > WINDOWS_OF_AN_EVENT_MAX {
                window.problem("hop", format!("puts every event into more than {WINDOWS_OF_AN_EVENT_MAX} windows: make it longer"));
            }
            if hop_ms > size_ms {
                window.problem("hop", "leaves times that no window holds: make it at most the size");
            }
            Shape::Hopping { size_ms, hop_ms }
        }
        Kind::Session => {
            others(&["gap"]);
            Shape::Session { gap_ms: length("gap") }
        }
    }
}

fn emit(window: &Section<'_>, shape: Shape) -> Emit {
    let emit = window.choice("emit", Emit::Changes, &[("changes", Emit::Changes), ("final", Emit::Final)]);
    if emit == Emit::Final && shape == Shape::All {
        window.problem("emit", "is \"final\", and a window of kind \"all\" is never closed: choose another kind, or emit = \"changes\"");
    }
    emit
}

fn retention(window: &Section<'_>, shape: Shape) -> Option<u64> {
    let retention = window.optional_duration("retention");
    if retention.is_some() && shape == Shape::All {
        window.problem("retention", "is counted from the end of a window, and a window of kind \"all\" has none: leave it out");
    }
    retention.map(millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
