//! One life of the process: the real loop on what there is, until its end or its death.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use rand::RngExt;
use tokio::sync::watch;

use super::database::Entry;
use super::sink::SimSink;
use super::source::SimSource;
use super::{Chance, check, coverage, module, trace};
use crate::clock::Clock;
use crate::config::BatchSettings;
use crate::event::Lane;
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::failpoint::{self, Failpoint, Killed};
use crate::pipeline::positions::Positions;
use crate::pipeline::runner::Runner;
use crate::pipeline::simulation::database::Step;
use crate::pipeline::tests::parts::Parts;
use crate::state::settings::Keep;
use crate::state::{Copied, LetterFilter, PipelineState, Store};
use crate::transform::Transformer;

/// How a life ends.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// When all is done.
    Never,
    /// At a failpoint, at this pass of it.
    At(Failpoint, u32),
    /// In the middle of whatever it waits for.
    After(Duration),
}

impl Death {
    /// One by chance.
    pub fn roll(chance: &Chance) -> Self {
        let mut chance = chance.lock().unwrap();
        match chance.random_range(0..10) {
            0 => Death::Never,
            1..4 => Death::After(Duration::from_millis(chance.random_range(0..3_000))),
            _ => {
                let point = Failpoint::ALL[chance.random_range(0..Failpoint::ALL.len())];
                let often = if point < Failpoint::TruncateStep { 20 } else { 4 };
                Death::At(point, chance.random_range(1..often))
            }
        }
    }
}

/// What a process finds when it starts.
pub struct Life<'a> {
    pub store: &'a Store,
    /// The name of its part of the state, which is a new one.
    pub name: String,
    /// What is in its state.
    pub found: &'a Copied,
    pub keep: Keep,
    /// Whether it plays all dead letters again that it finds.
    pub replays: bool,
    pub sink: Arc<SimSink>,
    pub log: Vec<Vec<Entry>>,
    pub history: Vec<Step>,
    pub chance: Chance,
}

/// What a life leaves behind.
pub struct Left {
    /// Its state, when the process is killed and the machine goes on.
    pub committed: Copied,
    /// Its state, when the machine loses its power.
    pub durable: Copied,
    pub state: PipelineState,
}

impl Life<'_> {
    /// Lives it.
    pub async fn live(self, death: Death) -> Left {
        let state = self.open();
        state.put_back(self.found);
        if self.replays && !state.mark_replays(&LetterFilter::default()).unwrap().ids.is_empty() {
            coverage::saw("letters replayed");
        }
        let durable = Arc::new(Mutex::new((self.found.clone(), positions_of(&state))));
        let (watched, synced) = (self.open(), durable.clone());
        let (_control, control) = watch::channel(Control::default());
        let runner = self.runner(control, durable.clone());
        live_out(runner, death, "died", move || *synced.lock().unwrap() = (watched.copy(), positions_of(&watched))).await;
        let durable = durable.lock().unwrap().0.clone();
        // Opened anew: as the next life finds it.
        Left { committed: state.copy(), durable, state: self.open() }
    }

    fn open(&self) -> PipelineState {
        self.store.pipeline(&self.name, "auto").unwrap()
    }

    fn runner(&self, control: watch::Receiver<Control>, durable: Arc<Mutex<(Copied, BTreeMap<Lane, u64>)>>) -> Runner {
        let state = self.open();
        let positions = Arc::new(Positions::new(state.positions().unwrap()));
        let (history, sink) = (self.history.clone(), self.sink.clone());
        let source = SimSource::new(self.log.clone(), positions.clone(), self.chance.clone(), move |settled| {
            let (_, durable) = &*durable.lock().unwrap();
            for (lane, position) in settled {
                assert!(durable.get(lane) >= Some(position), "{lane}: settled {position}, durable {durable:?}");
            }
            check::settled(&history, settled, &sink);
        });
        let mut chance = self.chance.lock().unwrap();
        let batch = BatchSettings {
            max_documents: chance.random_range(1..9),
            max_bytes: 1 << 20,
            max_wait: Duration::from_millis(chance.random_range(0..2) * 30),
        };
        let parts = Parts {
            source: Box::new(source),
            sink: self.sink.clone(),
            state,
            positions,
            transformer: Transformer::Keeping(module::transform),
            windows: None,
            index: "t",
            keep: self.keep,
            batch,
            clock: Clock::simulated(chance.random(), 1_790_000_000_000),
            batches_in_flight: chance.random_range(1..5),
            control,
        };
        parts.runner()
    }
}

/// Runs the loop to its end or its death, and tells `synced` when what is committed is durable. A death is seen as `deed` at its point.
pub async fn live_out(runner: Runner, death: Death, deed: &str, mut synced: impl FnMut() + 'static) {
    let kill = if let Death::At(point, pass) = death { Some((point, pass)) } else { None };
    failpoint::arm(kill, move |point| {
        if point == Failpoint::AfterSync {
            synced();
        }
    });
    let limit = if let Death::After(limit) = death { limit } else { Duration::from_hours(24) };
    let ran = AssertUnwindSafe(tokio::time::timeout(limit, runner.run())).catch_unwind().await;
    let died = failpoint::disarm();
    trace::say(|| format!("{death:?} ended at {died:?}"));
    match (ran, died) {
        (Err(panic), _) if !panic.is::<Killed>() => resume_unwind(panic),
        (_, Some(point)) => coverage::saw(format!("{deed} at {point:?}")),
        (Ok(Ok(ended)), None) => assert_eq!(ended, Ok(Ended::CaughtUp)),
        (Ok(Err(_)), None) => assert!(matches!(death, Death::After(_)), "it has not come to an end in a day"),
        (Err(_), None) => unreachable!("killed without a death"),
    }
}

fn positions_of(state: &PipelineState) -> BTreeMap<Lane, u64> {
    state.positions().unwrap().into_iter().map(|(lane, record)| (lane, record.position)).collect()
}
