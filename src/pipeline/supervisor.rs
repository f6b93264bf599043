//! All pipelines of a process: each in a task of its own, started, stopped and started again alone.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use prometheus::Registry;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{PipelinePlan, Plan};
use crate::error::{Failure, Kind};
use crate::limits;
use crate::metrics::Metrics;
use crate::pipeline::courier::Courier;
use crate::pipeline::deliver::Deliverer;
use crate::pipeline::document::IndexNames;
use crate::pipeline::guest_store::GuestStore;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::process::Processor;
use crate::pipeline::progress::Progress;
use crate::pipeline::recent::RecentChanges;
use crate::pipeline::reload::Swap;
use crate::pipeline::runner::{Control, Ended, Positions, Runner};
use crate::pipeline::shadow::ShadowPlace;
use crate::pipeline::shelf::{ServedModule, Shelf};
use crate::pipeline::status::{ModuleStatus, RunState};
use crate::sink::{Sink, SinkContext};
use crate::source::SourceContext;
use crate::source::decode::Decoder;
use crate::state::{PipelineState, StateError, Store};
use crate::transform::{Component, Engine, KeyValues, Transform, TransformMetrics, Transformer};

/// How all pipelines came to their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All have caught up, or their sources have ended.
    CaughtUp,
    /// They were told to end and did.
    Drained,
    /// These could not go on, each with its reason.
    Failed(Vec<(String, Failure)>),
}

/// The pipelines of a process.
pub struct Pipelines {
    pub(super) handles: Vec<Handle>,
    store: Arc<Store>,
}

pub(super) struct Handle {
    pub(super) pipeline: Arc<Pipeline>,
    task: Mutex<Option<JoinHandle<Result<Ended, Failure>>>>,
}

/// What outlives the restarts of one pipeline.
pub(super) struct Pipeline {
    pub(super) plan: PipelinePlan,
    pub(super) engine: Engine,
    store: Store,
    pub(super) clock: Clock,
    pub(super) metrics: PipelineMetrics,
    pub(super) transform_metrics: TransformMetrics,
    pub(super) progress: Arc<Progress>,
    pub(super) control: watch::Sender<Control>,
    pub(super) module: Mutex<Option<ModuleStatus>>,
    pub(super) shelf: Shelf,
    pub(super) recent: Arc<RecentChanges>,
    pub(super) shadow: Arc<ShadowPlace>,
    /// The code that serves.
    pub(super) component: Mutex<Option<Component>>,
    /// Where the present run of the loop takes new code.
    pub(super) swaps: Mutex<Option<mpsc::Sender<Swap>>>,
    /// Held while a module is replaced.
    pub(super) replacing: tokio::sync::Mutex<()>,
    pub(super) sink: tokio::sync::OnceCell<Arc<dyn Sink>>,
    dead_letters_sink: tokio::sync::OnceCell<Arc<dyn Sink>>,
    state_dir: std::path::PathBuf,
    until_caught_up: bool,
}

impl Pipelines {
    /// Opens the state and starts every pipeline of the plan. With `until_caught_up` each ends when it has read what was
    /// there when it started.
    pub fn start(plan: Plan, registry: &Registry, clock: &Clock, until_caught_up: bool) -> Result<Self, Failure> {
        let store = Store::open(&plan.state, clock)?;
        let engine = Engine::new(Some(&plan.state.dir.join("compiled")))?;
        let state_bytes = Metrics::new(registry.clone(), "").process_gauge("rowmill_state_bytes", "Bytes of the state on disk.");
        let handles = plan.pipelines.into_iter().map(|pipeline_plan| {
            let metrics = Metrics::new(registry.clone(), &pipeline_plan.name);
            let (control, receiver) = watch::channel(Control::default());
            let pipeline = Arc::new(Pipeline {
                engine: engine.clone(),
                store: store.clone(),
                clock: clock.clone(),
                metrics: PipelineMetrics::declare(&metrics),
                transform_metrics: TransformMetrics::declare(&metrics),
                progress: Arc::new(Progress::new(clock.clone())),
                control,
                module: Mutex::default(),
                shelf: Shelf::new(plan.state.dir.join("modules").join(&pipeline_plan.name)),
                recent: Arc::default(),
                shadow: Arc::default(),
                component: Mutex::default(),
                swaps: Mutex::default(),
                replacing: tokio::sync::Mutex::default(),
                sink: tokio::sync::OnceCell::new(),
                dead_letters_sink: tokio::sync::OnceCell::new(),
                state_dir: plan.state.dir.clone(),
                plan: pipeline_plan,
                until_caught_up,
            });
            let task = tokio::spawn(supervise(pipeline.clone(), receiver));
            Handle { pipeline, task: Mutex::new(Some(task)) }
        });
        let handles = handles.collect();
        let store = Arc::new(store);
        // It ends with the pipelines: an embedding program may open the state again.
        let measured = Arc::downgrade(&store);
        tokio::spawn(async move {
            while let Some(store) = measured.upgrade() {
                state_bytes.set(i64::try_from(store.size_bytes()).unwrap_or(i64::MAX));
                drop(store);
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        Ok(Self { handles, store })
    }

    /// Tells every pipeline to finish what is at work and end.
    pub fn drain(&self) {
        for handle in &self.handles {
            handle.pipeline.control.send_modify(|control| control.is_draining = true);
        }
    }

    /// Waits until every pipeline has ended.
    pub async fn ended(&self) -> Ending {
        let mut failures = Vec::new();
        let mut drained = false;
        for handle in &self.handles {
            let task = handle.task.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(task) = task else { continue };
            match task.await {
                Ok(Ok(ended)) => drained |= ended == Ended::Drained,
                Ok(Err(failure)) => failures.push((handle.pipeline.plan.name.clone(), failure)),
                Err(error) => failures.push((handle.pipeline.plan.name.clone(), Failure::bug(format!("the pipeline ended: {error}")))),
            }
        }
        // The last word of every pipeline is on disk before the process says that all is done.
        if let Err(error) = self.store.sync() {
            failures.push(("state".to_owned(), error.into()));
        }
        match failures.is_empty() {
            false => Ending::Failed(failures),
            true if drained => Ending::Drained,
            true => Ending::CaughtUp,
        }
    }
}

/// Runs one pipeline for the life of the process.
async fn supervise(pipeline: Arc<Pipeline>, control: watch::Receiver<Control>) -> Result<Ended, Failure> {
    tokio::select! {
        ended = run_again(&pipeline, control) => ended,
        () = pipeline.watch_module(), if !pipeline.until_caught_up && pipeline.plan.transform.is_some() => Err(Failure::bug("watching a file ended")),
    }
}

/// Runs the loop until there is nothing more to run.
async fn run_again(pipeline: &Arc<Pipeline>, mut control: watch::Receiver<Control>) -> Result<Ended, Failure> {
    let mut attempt: u32 = 0;
    loop {
        let started = pipeline.clock.instant();
        let Control { restarts, replays, .. } = *control.borrow_and_update();
        let ran = tokio::select! {
            ran = caught(run_once(pipeline, control.clone(), restarts)) => ran,
            // Connecting to what is down takes for ever; neither the end of the process nor a restart waits for it.
            ended = told_before_start(pipeline, control.clone(), restarts) => Ok(ended),
        };
        match ran {
            Ok(Ended::Restart) => {}
            Ok(ended) => {
                pipeline.progress.set_phase(RunState::Finished);
                // A source that has ended is no reason to close the search API over what it brought.
                let stays = ended == Ended::CaughtUp && !pipeline.until_caught_up;
                // Dead letters are replayed by a run that finds nothing else to do.
                if !stays || !told_to_run(&mut control, |control| control.restarts != restarts || control.replays != replays).await {
                    return Ok(ended);
                }
            }
            Err(failure) => {
                tracing::error!(pipeline = pipeline.plan.name, kind = failure.kind.as_str(), "{failure}");
                pipeline.progress.failed(&failure);
                if started.elapsed() > limits::RETRY_DELAY_MAX {
                    attempt = 0;
                }
                if failure.kind != Kind::Unavailable && pipeline.until_caught_up {
                    return Err(failure);
                }
                let delay = (failure.kind == Kind::Unavailable).then(|| pipeline.clock.jittered(backoff(attempt)));
                attempt += 1;
                if !stand_by(&mut control, restarts, delay).await {
                    return if failure.kind == Kind::Unavailable { Ok(Ended::Drained) } else { Err(failure) };
                }
            }
        }
    }
}

/// A run whose panic is a failure like others: it must not look as if the pipeline still ran.
async fn caught(run: impl Future<Output = Result<Ended, Failure>>) -> Result<Ended, Failure> {
    let ran = AssertUnwindSafe(run).catch_unwind().await;
    ran.unwrap_or_else(|_| Err(Failure::bug("the pipeline broke off: see the log for the panic, and report it")))
}

/// Waits for `delay` or for a restart (without a delay: for a restart alone), also for one that was asked for since the run
/// with `restarts` began. False: the process ends.
async fn stand_by(control: &mut watch::Receiver<Control>, restarts: u64, delay: Option<Duration>) -> bool {
    let told = told_to_run(control, |control| control.restarts != restarts);
    match delay {
        None => told.await,
        Some(delay) => tokio::time::timeout(delay, told).await.unwrap_or(true),
    }
}

/// Waits until `is_told` is so. False: the process ends.
async fn told_to_run(control: &mut watch::Receiver<Control>, is_told: impl Fn(&Control) -> bool) -> bool {
    let changed = control.wait_for(|control| control.is_draining || is_told(control)).await;
    changed.is_ok_and(|control| !control.is_draining)
}

/// Ends when the process drains, or a restart is asked for, while the pipeline has not got to its loop.
async fn told_before_start(pipeline: &Pipeline, mut control: watch::Receiver<Control>, restarts: u64) -> Ended {
    let told = control.wait_for(|control| control.is_draining || control.restarts != restarts).await;
    let ended = if told.is_ok_and(|control| !control.is_draining) { Ended::Restart } else { Ended::Drained };
    if pipeline.progress.is_looping() {
        std::future::pending::<()>().await;
    }
    ended
}

/// Opens everything and runs the loop.
async fn run_once(pipeline: &Pipeline, control: watch::Receiver<Control>, restarts: u64) -> Result<Ended, Failure> {
    pipeline.progress.starting();
    let plan = &pipeline.plan;
    let state = pipeline.open_state()?;
    let positions = Arc::new(Positions::new(state.positions()?));
    let transformer = pipeline.open_transformer().await?;
    let sink = pipeline.open_sink().await?;
    let indexes = IndexNames::new(plan.sink.index());
    let (clock, metrics, progress) = (pipeline.clock.clone(), pipeline.metrics.clone(), pipeline.progress.clone());
    let deliverer = Deliverer::new(sink.clone(), plan.batch.clone(), clock.clone(), metrics.clone(), progress.clone());
    deliverer.prepare(indexes.fixed()).await?;
    let courier = pipeline.open_courier().await?;
    let context = SourceContext { pipeline: plan.name.clone(), positions: positions.clone(), clock: clock.clone() };
    let source = plan.source.open(context).await?;
    let ends = if pipeline.until_caught_up { Some(source.ends().await?) } else { None };
    let processor = Processor {
        store: pipeline.guest_store(&state),
        state,
        transformer,
        recent: pipeline.recent.clone(),
        shadow: pipeline.shadow.clone(),
        indexes,
        keep: plan.keep,
        wants_before: plan.transform.as_ref().is_some_and(|transform| transform.before),
        clock: clock.clone(),
        metrics: metrics.clone(),
        next_batch: 1,
    };
    let (swaps, taken) = mpsc::channel(1);
    *pipeline.swaps.lock().unwrap_or_else(PoisonError::into_inner) = Some(swaps);
    let runner = Runner {
        source,
        decoder: Decoder::new(plan.decode.clone()),
        processor,
        deliverer,
        courier,
        positions,
        batch: plan.batch.clone(),
        batches_in_flight: sink.requests_in_flight().clamp(1, limits::BATCHES_IN_FLIGHT_MAX),
        clock,
        metrics,
        progress,
        control,
        swaps: taken,
        restarts,
        ends,
    };
    tracing::info!(pipeline = plan.name, source = plan.source_kind, sink = plan.sink_kind, "the pipeline runs");
    let _looping = pipeline.progress.looping();
    runner.run().await
}

impl Pipeline {
    pub(super) fn open_state(&self) -> Result<PipelineState, StateError> {
        let state = self.store.pipeline(&self.plan.name, &self.plan.decode.version_unit())?;
        Ok(state.with_dead_letters(self.plan.dead_letters.clone()))
    }

    /// The guest's store, as `state` has it.
    pub(super) fn guest_store(&self, state: &PipelineState) -> Arc<dyn KeyValues> {
        let bytes_max = self.plan.transform.as_ref().map_or(0, |transform| transform.store_bytes);
        Arc::new(GuestStore { values: state.values().clone(), bytes_max })
    }

    async fn open_transformer(&self) -> Result<Transformer, Failure> {
        let Some(settings) = self.plan.transform.clone() else { return Ok(Transformer::Row) };
        let (bytes, from, configured) = self.first_module(&settings)?;
        let (engine, metrics) = (self.engine.clone(), self.transform_metrics.clone());
        // Compiling takes seconds of all cores: not a matter for a thread that drives other tasks.
        let loading = tokio::task::spawn_blocking(move || {
            let component = Component::new(&engine, &bytes).map_err(|unfit| unfit.of(&settings))?;
            Ok::<_, Failure>((Transform::start(&component, &settings, &metrics)?, bytes))
        });
        let (transform, bytes) = loading.await.map_err(|error| Failure::bug(format!("loading the module ended: {error}")))??;
        transform.announce();
        let component = transform.component();
        let module = ServedModule { hash: component.hash().to_owned(), from: from.to_owned(), since_ms: self.clock.now_ms() };
        self.shelf.serves(module, &bytes, &configured)?;
        self.note_module(component);
        Ok(Transformer::Guest(Box::new(transform)))
    }

    pub(super) fn note_module(&self, component: &Component) {
        *self.component.lock().unwrap_or_else(PoisonError::into_inner) = Some(component.clone());
        let mut module = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.plan.transform.as_ref().map(|settings| settings.module.display().to_string());
        *module = Some(ModuleStatus {
            hash: component.hash().to_owned(),
            version: module.as_ref().map_or(1, |module| module.version + 1),
            path: path.unwrap_or_default(),
            bytes: component.size_bytes() as u64,
            loaded_ms: self.clock.now_ms(),
        });
    }

    /// The sink is opened once for the life of the process: the search API holds on to it.
    async fn open_sink(&self) -> Result<Arc<dyn Sink>, Failure> {
        let dir = self.state_dir.join("sinks").join(&self.plan.name);
        let context = SinkContext { pipeline: self.plan.name.clone(), clock: self.clock.clone(), dir };
        self.sink.get_or_try_init(|| self.plan.sink.open(&context)).await.cloned()
    }

    async fn open_courier(&self) -> Result<Option<Courier>, Failure> {
        let (plan, Some(settings)) = (&self.plan, &self.plan.dead_letters_sink) else { return Ok(None) };
        let dir = self.state_dir.join("sinks").join(format!("{}.dead-letters", plan.name));
        let context = SinkContext { pipeline: plan.name.clone(), clock: self.clock.clone(), dir };
        let sink = self.dead_letters_sink.get_or_try_init(|| settings.open(&context)).await.cloned()?;
        let (metrics, progress) = (self.metrics.beside(), self.progress.clone());
        let deliverer = Deliverer::new(sink, plan.batch.clone(), self.clock.clone(), metrics, progress);
        let courier = Courier::new(deliverer, settings.index().unwrap_or_default(), &plan.name, plan.dead_letters.max_count > 0);
        courier.prepare().await?;
        Ok(Some(courier))
    }
}

fn backoff(attempt: u32) -> Duration {
    limits::RETRY_DELAY_FIRST.saturating_mul(2_u32.saturating_pow(attempt)).min(limits::RETRY_DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{Clock, Control, Duration, Ending, Kind, Pipelines, caught, stand_by};

    /// What a program that embeds us does from time to time.
    #[tokio::test(flavor = "multi_thread")]
    async fn pipelines_can_be_started_again_on_the_same_state_and_registry() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("events.jsonl"), "").unwrap();
        let text = "[pipelines.p.source.file]\npath = \"events.jsonl\"\n[pipelines.p.sink.file]\npath = \"out.jsonl\"\n";
        let registry = prometheus::Registry::new();
        for _ in 0..2 {
            let plan = crate::config::parse(text, dir.path(), &|_| None).unwrap();
            let pipelines = Pipelines::start(plan, &registry, &Clock::system(), true).unwrap();
            assert_eq!(pipelines.ended().await, Ending::CaughtUp);
        }
        let families = registry.gather();
        let lag = families.iter().find(|family| family.name() == "rowmill_lag_events").unwrap();
        assert_eq!(lag.get_metric().len(), 1, "the second takes the place of the first");
    }

    #[tokio::test]
    async fn a_panic_stops_its_pipeline_and_is_told() {
        let ran = caught(async { panic!("a mistake of ours") }).await;
        assert_eq!(ran.unwrap_err().kind, Kind::Bug);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_that_was_asked_for_while_the_run_ended_is_not_lost() {
        let (control, mut told) = watch::channel(Control::default());
        let restarts = told.borrow_and_update().restarts;
        control.send_modify(|control| control.restarts += 1);
        for delay in [None, Some(Duration::from_secs(3600))] {
            let stood_by = tokio::time::timeout(Duration::from_secs(1), stand_by(&mut told, restarts, delay)).await;
            assert_eq!(stood_by, Ok(true));
        }
        control.send_modify(|control| control.is_draining = true);
        assert!(!stand_by(&mut told, 1, None).await, "the end of the process comes first");
    }
}
