//! All pipelines of a process: each on a thread of its own, started and stopped alone.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, BoxFuture, Shared, abortable};
use prometheus::{IntCounterVec, Registry};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::config::{PipelinePlan, Plan, ServerSettings};
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::pipeline::control::{Control, Ended};
use crate::pipeline::shelf::Shelf;
use crate::pipeline::supervised::{Pipeline, supervise};
use crate::sink::SinkContext;
use crate::state::Store;
use crate::transform::{COMPILED_DIR, Engine};

/// Why nothing is begun any more.
pub(super) const SHUTTING_DOWN: &str = "the process is shutting down: start it again first";

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
    serving: RwLock<Arc<Serving>>,
    pub(super) common: Arc<Common>,
    /// Held for writing while another configuration takes over, for reading by what would get in its way.
    pub(super) reloading: tokio::sync::RwLock<()>,
    pub(super) server: watch::Sender<ServerSettings>,
    pub(super) reloads: IntCounterVec,
    /// Of this the measuring of the state knows when the pipelines are gone.
    store: Arc<Store>,
}

/// What all pipelines share.
pub(super) struct Common {
    pub(super) store: Store,
    pub(super) engine: Engine,
    pub(super) registry: Registry,
    pub(super) clock: Clock,
    state_dir: PathBuf,
    pub(super) until_caught_up: bool,
}

/// The configuration that serves, and its pipelines.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) plan: Arc<Plan>,
    pub(super) since_ms: u64,
    pub(super) handles: Vec<Arc<Handle>>,
    pub(super) is_draining: bool,
}

/// A pipeline and what runs it.
pub(super) struct Handle {
    pub(super) pipeline: Arc<Pipeline>,
    task: OnceLock<(AbortHandle, Shared<BoxFuture<'static, Result<Ended, Failure>>>)>,
}

impl Pipelines {
    /// Opens the state and starts every pipeline of the plan. With `until_caught_up` each ends when it has read what was
    /// there when it started.
    pub fn start(plan: Plan, registry: &Registry, clock: &Clock, until_caught_up: bool) -> Result<Self, Failure> {
        let store = Store::open(&plan.state, clock)?;
        let engine = Engine::new(Some(&plan.state.dir.join(COMPILED_DIR)))?;
        let process = Metrics::new(registry.clone(), "");
        let state_bytes = process.process_gauge("rowmill_state_bytes", "Bytes of the state on disk.");
        let reloads = process.process_counters("rowmill_config_reloads_total", "Readings of a configuration anew.", &["result"]);
        ["applied", "unchanged", "refused"].iter().for_each(|result| drop(reloads.with_label_values(&[*result])));
        let common = Arc::new(Common {
            store: store.clone(),
            engine,
            registry: registry.clone(),
            clock: clock.clone(),
            state_dir: plan.state.dir.clone(),
            until_caught_up,
        });
        let start = |plan: &Arc<PipelinePlan>| {
            let handle = Handle::new(Pipeline::new(&common, plan.clone(), None, None));
            handle.start();
            Arc::new(handle)
        };
        let handles = plan.pipelines.iter().map(start).collect();
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
        let (server, _) = watch::channel(plan.server.clone());
        let serving = Serving { plan: Arc::new(plan), since_ms: clock.now_ms(), handles, is_draining: false };
        let serving = RwLock::new(Arc::new(serving));
        Ok(Self { serving, common, reloading: tokio::sync::RwLock::default(), server, reloads, store })
    }

    /// What the HTTP side is set to, now and whenever that changes.
    pub fn server(&self) -> watch::Receiver<ServerSettings> {
        self.server.subscribe()
    }

    /// What serves at this moment.
    pub(super) fn serving(&self) -> Arc<Serving> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has this serve, and starts what is not yet started of it; not where the process drains already.
    pub(super) fn serve(&self, plan: Arc<Plan>, handles: Vec<Arc<Handle>>) -> bool {
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        if serving.is_draining {
            return false;
        }
        for handle in handles.iter().filter(|handle| handle.task.get().is_none()) {
            if let Some(before) = serving.pipeline(&handle.pipeline.plan.name) {
                let is_paused = before.control.borrow().is_paused;
                handle.pipeline.control.send_modify(|control| control.is_paused = is_paused);
            }
            handle.start();
        }
        *serving = Arc::new(Serving { plan, since_ms: self.common.clock.now_ms(), handles, is_draining: false });
        true
    }

    /// Tells one pipeline, before another may take its place.
    pub(super) fn tell(&self, name: &str, change: impl FnOnce(&mut Control)) -> Option<Arc<Handle>> {
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        let handle = serving.handles.iter().find(|handle| handle.pipeline.plan.name == name)?;
        handle.pipeline.control.send_modify(change);
        Some(handle.clone())
    }

    /// Tells every pipeline to finish what is at work and end.
    pub fn drain(&self) {
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        for handle in &serving.handles {
            handle.pipeline.control.send_modify(|control| control.is_draining = true);
        }
        *serving = Arc::new(Serving { is_draining: true, ..(**serving).clone() });
    }

    /// Leaves what is at work, and waits for at most `longest` until no thread of a pipeline is left: none may use the state while the
    /// process ends around it.
    pub async fn leave(&self, longest: Duration) {
        let handles = self.serving().handles.clone();
        handles.iter().for_each(|handle| handle.abort());
        let all = futures::future::join_all(handles.iter().map(|handle| handle.ended()));
        let _ = tokio::time::timeout(longest, all).await;
    }

    /// Waits until every pipeline has ended.
    pub async fn ended(&self) -> Ending {
        loop {
            let serving = self.serving();
            for handle in &serving.handles {
                let _ = handle.ended().await;
            }
            // A reload ends pipelines to start them again, but none any more while the process drains.
            let _none_reloads = if self.serving().is_draining { None } else { Some(self.reloading.read().await) };
            if Arc::ptr_eq(&serving, &self.serving()) {
                return self.ending(&serving.handles).await;
            }
        }
    }

    async fn ending(&self, handles: &[Arc<Handle>]) -> Ending {
        let mut failures = Vec::new();
        let mut drained = false;
        for handle in handles {
            match handle.ended().await {
                Ok(ended) => drained |= ended == Ended::Drained,
                Err(failure) => failures.push((handle.pipeline.plan.name.clone(), failure)),
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

impl Common {
    /// What a sink of this pipeline is given.
    pub(super) fn sink_context(&self, pipeline: &str, folder: &str) -> SinkContext {
        SinkContext { pipeline: pipeline.to_owned(), clock: self.clock.clone(), dir: self.state_dir.join("sinks").join(folder) }
    }

    /// The modules of this pipeline.
    pub(super) fn shelf(&self, pipeline: &str) -> Shelf {
        Shelf::new(self.state_dir.join("modules").join(pipeline))
    }
}

impl Serving {
    /// The pipeline of that name.
    pub(super) fn pipeline(&self, name: &str) -> Option<&Arc<Pipeline>> {
        self.handles.iter().map(|handle| &handle.pipeline).find(|pipeline| pipeline.plan.name == name)
    }
}

impl Handle {
    pub(super) fn new(pipeline: Pipeline) -> Self {
        Self { pipeline: Arc::new(pipeline), task: OnceLock::new() }
    }

    /// Starts the pipeline, once.
    ///
    /// On a thread of its own: it works for milliseconds without a wait, and what it allocates is freed where it came from.
    fn start(&self) {
        self.task.get_or_init(|| {
            let (supervised, abort) = abortable(supervise(self.pipeline.clone(), self.pipeline.control.subscribe()));
            let (tell, told) = oneshot::channel();
            let runtime = tokio::runtime::Handle::current();
            let work = move || {
                let ended = runtime.block_on(supervised);
                // Nobody need wait for it.
                let _ = tell.send(ended);
            };
            let spawned = std::thread::Builder::new().name(self.pipeline.plan.name.clone()).spawn(work);
            let ended = async move {
                let broken = |why: &dyn std::fmt::Display| Err(Failure::bug(format!("the pipeline ended: {why}")));
                match (spawned, told.await) {
                    (Err(error), _) => Err(Failure::unavailable(format!("cannot start a thread for the pipeline: {error}"))),
                    (Ok(_), Ok(Ok(ended))) => ended,
                    (Ok(_), Ok(Err(Aborted))) => broken(&Aborted),
                    (Ok(_), Err(error)) => broken(&error),
                }
            };
            (abort, ended.boxed().shared())
        });
    }

    /// Waits for the end of the pipeline, and says how it came to it.
    pub(super) async fn ended(&self) -> Result<Ended, Failure> {
        match self.task.get() {
            Some((_, ended)) => ended.clone().await,
            None => Ok(Ended::Drained),
        }
    }

    fn abort(&self) {
        self.task.get().into_iter().for_each(|(abort, _)| abort.abort());
    }

    /// Ends the pipeline after the batches at work, without them where the sink is in trouble, or after `longest`: they are read again.
    pub(super) async fn stop(&self, longest: Duration) {
        self.pipeline.control.send_modify(|control| {
            control.is_draining = true;
            control.restarts += 1;
        });
        if tokio::time::timeout(longest, self.ended()).await.is_err() {
            tracing::warn!(pipeline = self.pipeline.plan.name, "the batches at work took too long: they are read again");
            self.abort();
            // It ends at its next wait.
            let _ = self.ended().await;
        }
    }
}

impl Drop for Handle {
    /// No thread outlives those who could stop it.
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Ending, Pipelines};

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
}
