//! One pipeline of a process: opened, run, and run again after what went wrong, until it is told to end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{mpsc, watch};

use crate::config::{self, PipelinePlan};
use crate::error::{Failure, Kind};
use crate::limits;
use crate::metrics::Metrics;
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::courier::Courier;
use crate::pipeline::deliver::Deliverer;
use crate::pipeline::document::IndexNames;
use crate::pipeline::guest_store::GuestStore;
use crate::pipeline::loaded::LoadedModule;
use crate::pipeline::metrics::PipelineMetrics;
use crate::pipeline::open_sink::OpenSink;
use crate::pipeline::positions::Positions;
use crate::pipeline::process::Processor;
use crate::pipeline::progress::Progress;
use crate::pipeline::recent::RecentChanges;
use crate::pipeline::reload::Swap;
use crate::pipeline::runner::Runner;
use crate::pipeline::shadow::ShadowPlace;
use crate::pipeline::shelf::{ServedModule, Shelf};
use crate::pipeline::status::{ModuleStatus, RunState};
use crate::pipeline::supervisor::Common;
use crate::pipeline::windows::{WindowMetrics, Windows};
use crate::sink::Sink;
use crate::source::SourceContext;
use crate::source::decode::Decoder;
use crate::state::{PipelineState, StateError};
use crate::transform::{Component, KeyValues, Transform, TransformMetrics, Transformer};

/// What outlives the restarts of one pipeline.
pub struct Pipeline {
    pub(super) plan: Arc<PipelinePlan>,
    pub(super) common: Arc<Common>,
    /// Where its metrics are declared.
    pub(super) declared: Metrics,
    pub(super) metrics: PipelineMetrics,
    pub(super) transform_metrics: TransformMetrics,
    pub(super) window_metrics: Option<WindowMetrics>,
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
    pub(super) sink: Arc<OpenSink>,
    pub(super) dead_letters_sink: Arc<OpenSink>,
    /// The module that the next run begins with, where it was loaded already.
    loaded: Mutex<Option<LoadedModule>>,
}

/// Runs one pipeline for the life of the process.
pub async fn supervise(pipeline: Arc<Pipeline>, control: watch::Receiver<Control>) -> Result<Ended, Failure> {
    tokio::select! {
        ended = run_again(&pipeline, control) => ended,
        () = pipeline.watch_module(), if !pipeline.common.until_caught_up && pipeline.plan.transform.is_some() => Err(Failure::bug("watching a file ended")),
    }
}

/// Runs the loop until there is nothing more to run.
async fn run_again(pipeline: &Arc<Pipeline>, mut control: watch::Receiver<Control>) -> Result<Ended, Failure> {
    let mut attempt: u32 = 0;
    loop {
        let started = pipeline.common.clock.instant();
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
                let stays = ended == Ended::CaughtUp && !pipeline.common.until_caught_up;
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
                if failure.kind != Kind::Unavailable && pipeline.common.until_caught_up {
                    return Err(failure);
                }
                let delay = (failure.kind == Kind::Unavailable).then(|| pipeline.common.clock.jittered(backoff(attempt)));
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
    let indexes = match &plan.aggregate {
        Some(_) => IndexNames::new(Some(&plan.index_of_windows())),
        None => IndexNames::new(plan.sink.index()),
    };
    let (clock, metrics, progress) = (pipeline.common.clock.clone(), pipeline.metrics.clone(), pipeline.progress.clone());
    let deliverer = Deliverer::new(sink.clone(), plan.batch.clone(), clock.clone(), metrics.clone(), progress.clone());
    deliverer.prepare(indexes.fixed()).await?;
    let courier = pipeline.open_courier().await?;
    let context = SourceContext { pipeline: plan.name.clone(), positions: positions.clone(), clock: clock.clone() };
    let source = plan.source.open(context).await?;
    let ends = if pipeline.common.until_caught_up { Some(source.ends().await?) } else { None };
    let windows = pipeline.open_windows(&state)?;
    let processor = Processor {
        windows,
        store: pipeline.guest_store(&state),
        state,
        transformer,
        recent: pipeline.recent.clone(),
        shadow: pipeline.shadow.clone(),
        indexes,
        keep: plan.keep,
        is_log: plan.aggregate.as_ref().is_some_and(|aggregate| aggregate.append_only) && plan.decode.version_unit() == "offset",
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
    /// A pipeline that is yet to be started. What `before` it counted, remembers of its module and has opened goes on where the plan
    /// leaves it as it is; `module` is what it begins with, where that is loaded already.
    pub(super) fn new(common: &Arc<Common>, plan: Arc<PipelinePlan>, before: Option<&Pipeline>, module: Option<LoadedModule>) -> Self {
        let declared = before.map_or_else(|| Metrics::new(common.registry.clone(), &plan.name), |before| before.declared.clone());
        let metrics = before.map_or_else(|| PipelineMetrics::declare(&declared), |before| before.metrics.clone());
        let transform_metrics = before.map_or_else(|| TransformMetrics::declare(&declared), |before| before.transform_metrics.clone());
        let is_paused = before.is_some_and(|before| before.control.borrow().is_paused);
        let same = |table| before.filter(|before| config::is_same_table(&before.plan, &plan, table));
        Self {
            window_metrics: plan.aggregate.is_some().then(|| WindowMetrics::declare(&declared)),
            metrics,
            transform_metrics,
            declared,
            progress: Arc::new(Progress::new(common.clock.clone())),
            control: watch::channel(Control { is_paused, ..Control::default() }).0,
            module: Mutex::new(before.and_then(Pipeline::module)),
            shelf: common.shelf(&plan.name),
            recent: same("source").map(|before| before.recent.clone()).unwrap_or_default(),
            shadow: same("transform").map(|before| before.shadow.clone()).unwrap_or_default(),
            component: Mutex::default(),
            swaps: Mutex::default(),
            replacing: tokio::sync::Mutex::default(),
            sink: same("sink").map(|before| before.sink.clone()).unwrap_or_default(),
            dead_letters_sink: same("dead_letters.sink").map(|before| before.dead_letters_sink.clone()).unwrap_or_default(),
            loaded: Mutex::new(module),
            common: common.clone(),
            plan,
        }
    }

    /// The module that serves.
    pub(super) fn module(&self) -> Option<ModuleStatus> {
        self.module.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn open_state(&self) -> Result<PipelineState, StateError> {
        let state = self.common.store.pipeline(&self.plan.name, &self.plan.decode.version_unit())?;
        Ok(state.with_dead_letters(self.plan.dead_letters.clone()))
    }

    /// The windows, as `state` has them.
    fn open_windows(&self, state: &PipelineState) -> Result<Option<Windows>, Failure> {
        let Some((settings, metrics)) = self.plan.aggregate.as_ref().zip(self.window_metrics.clone()) else { return Ok(None) };
        Ok(Some(Windows::open(settings, &self.plan.index_of_windows(), metrics, state)?))
    }

    /// The guest's store, as `state` has it.
    pub(super) fn guest_store(&self, state: &PipelineState) -> Arc<dyn KeyValues> {
        let bytes_max = self.plan.transform.as_ref().map_or(0, |transform| transform.store_bytes);
        Arc::new(GuestStore { values: state.values().clone(), bytes_max })
    }

    async fn open_transformer(&self) -> Result<Transformer, Failure> {
        let Some(settings) = self.plan.transform.clone() else {
            let measure = self.plan.aggregate.as_ref().and_then(|aggregate| aggregate.measure.clone());
            return Ok(measure.map_or(Transformer::Row, Transformer::Fields));
        };
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (engine, shelf, metrics) = (self.common.engine.clone(), self.shelf.clone(), self.transform_metrics.clone());
        // Compiling takes seconds of all cores: not a matter for a thread that drives other tasks.
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = loaded.map_or_else(|| LoadedModule::first(&engine, &shelf, &settings), Ok)?;
            Ok::<_, Failure>((Transform::start(&loaded.component, &settings, &metrics)?, loaded))
        });
        let (transform, loaded) = loading.await.map_err(|error| Failure::bug(format!("loading the module ended: {error}")))??;
        transform.announce();
        let component = transform.component();
        let module = ServedModule { hash: component.hash().to_owned(), from: loaded.from.to_owned(), since_ms: self.common.clock.now_ms() };
        self.shelf.serves(module, &loaded.bytes, &loaded.configured)?;
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
            loaded_ms: self.common.clock.now_ms(),
        });
    }

    /// The sink is opened once, and stays through restarts: the search API holds on to it.
    async fn open_sink(&self) -> Result<Arc<dyn Sink>, Failure> {
        self.sink.get_or_open(&*self.plan.sink, &self.common.sink_context(&self.plan.name, &self.plan.name)).await
    }

    async fn open_courier(&self) -> Result<Option<Courier>, Failure> {
        let (plan, Some(settings)) = (&self.plan, &self.plan.dead_letters_sink) else { return Ok(None) };
        let context = self.common.sink_context(&plan.name, &dead_letters_folder(&plan.name));
        let sink = self.dead_letters_sink.get_or_open(&**settings, &context).await?;
        let (metrics, progress) = (self.metrics.beside(), self.progress.clone());
        let deliverer = Deliverer::new(sink, plan.batch.clone(), self.common.clock.clone(), metrics, progress);
        let courier = Courier::new(deliverer, settings.index().unwrap_or_default(), &plan.name, plan.dead_letters.max_count > 0);
        courier.prepare().await?;
        Ok(Some(courier))
    }
}

/// Where the sink of a pipeline's dead letters has its files.
pub(super) fn dead_letters_folder(pipeline: &str) -> String {
    format!("{pipeline}.dead-letters")
}

fn backoff(attempt: u32) -> Duration {
    limits::RETRY_DELAY_FIRST.saturating_mul(2_u32.saturating_pow(attempt)).min(limits::RETRY_DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::{Control, Duration, Kind, caught, stand_by};

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
