//! Code replaced while its pipeline runs.
//!
//! New code is compiled apart, checked against the world, initialised, and tried on changes that the present code took. Only then does the
//! loop change over, between two batches; until then, and where any of this fails, the present code serves on.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;

use crate::error::Failure;
use crate::event::Change;
use crate::limits;
use crate::metrics::Metrics;
use crate::pipeline::compare::Comparison;
use crate::pipeline::shadow::Shadow;
use crate::pipeline::shelf::ServedModule;
use crate::pipeline::status::{CommandError, ModuleStatus, Replaced, ShadowReport};
use crate::pipeline::supervised::Pipeline;
use crate::transform::settings::TransformSettings;
use crate::transform::{Component, Engine, KeyValues, MemoryStore, Transform, TransformMetrics, Transformer};

/// New code on its way to the loop.
pub struct Swap {
    /// Ready to serve.
    pub transformer: Transformer,
    /// Told when it does.
    pub done: oneshot::Sender<()>,
}

impl Pipeline {
    /// Has these bytes serve in place of the present module. `from` is `file`, `upload` or `rollback`.
    pub(super) async fn replace_module(&self, bytes: Vec<u8>, from: &str) -> Result<Replaced, CommandError> {
        let _one_at_a_time = self.replacing.lock().await;
        let replaced = self.try_replace(bytes, from).await;
        let result = if replaced.is_ok() { "replaced" } else { "refused" };
        self.transform_metrics.count_reload(result);
        match &replaced {
            Ok(Replaced { module, trial }) => {
                let (tried, changed) = (trial.changes, trial.documents_changed);
                tracing::info!(pipeline = self.plan.name, hash = module.hash, from, tried, changed, "another module serves");
            }
            Err(error) => tracing::warn!(pipeline = self.plan.name, from, "the module was not replaced: {error}"),
        }
        replaced
    }

    async fn try_replace(&self, bytes: Vec<u8>, from: &str) -> Result<Replaced, CommandError> {
        let settings = self.transform_settings()?;
        let configured = match from {
            "file" => Component::hash_of(&bytes),
            _ => self.configured_hash(settings)?,
        };
        let trial = self.trial(settings)?;
        let metrics = self.transform_metrics.clone();
        let settings = settings.clone();
        // Compiling takes seconds of all cores: not a matter for a thread that drives other tasks.
        let trying = tokio::task::spawn_blocking(move || {
            let (component, compared) = trial.run(&bytes)?;
            let transform = Transform::start(&component, &settings, &metrics).map_err(|failure| failure.message)?;
            Ok((transform, bytes, compared))
        });
        let tried: Result<(Transform, Vec<u8>, Comparison), String> = trying.await.map_err(|error| bug(&error))?;
        let (transform, bytes, trial) = tried.map_err(CommandError::Refused)?;
        let component = transform.component().clone();
        let module = ServedModule { hash: component.hash().to_owned(), from: from.to_owned(), since_ms: self.common.clock.now_ms() };
        self.shelf.serves(module, &bytes, &configured).map_err(CommandError::Failed)?;
        if self.hand_over(transform).await {
            self.note_module(&component);
        } else {
            // The next run of the loop takes what the shelf says.
            self.control.send_modify(|control| control.restarts += 1);
        }
        Ok(Replaced { module: self.serving(component.hash()).await?, trial })
    }

    /// The module once it serves.
    async fn serving(&self, hash: &str) -> Result<ModuleStatus, CommandError> {
        for _ in 0..limits::PAUSE_CHECKS_MAX {
            let present = self.module.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(present) = present.filter(|present| present.hash == hash) {
                return Ok(present);
            }
            tokio::time::sleep(limits::PAUSE_CHECK_INTERVAL).await;
        }
        Err(CommandError::Conflict("the pipeline does not run yet: the module serves as soon as it does".to_owned()))
    }

    /// Goes back to the module that served before the present one.
    pub(super) async fn roll_back(&self) -> Result<Replaced, CommandError> {
        self.transform_settings()?;
        let present = self.module.lock().unwrap_or_else(PoisonError::into_inner).clone().map(|module| module.hash).unwrap_or_default();
        let before = self.shelf.before(&present).map_err(CommandError::Failed)?;
        let before = before.ok_or_else(|| CommandError::Conflict("no module served before this one".to_owned()))?;
        self.replace_module(before, "rollback").await
    }

    /// Runs these bytes beside the module that serves, in place of the shadow before.
    pub(super) async fn start_shadow(&self, bytes: Vec<u8>) -> Result<ShadowReport, CommandError> {
        let settings = self.transform_settings()?.clone();
        let (trial, clock) = (self.trial(&settings)?, self.common.clock.clone());
        let metrics = Metrics::detached_as(&format!("{} (shadow)", self.plan.name));
        let starting = tokio::task::spawn_blocking(move || {
            let (component, _) = trial.run(&bytes).map_err(CommandError::Refused)?;
            let transform = Transform::start(&component, &settings, &TransformMetrics::declare(&metrics));
            let transform = transform.map_err(|failure| CommandError::Refused(failure.message))?;
            let store = MemoryStore::new(settings.store_bytes);
            Shadow::start(transform, store, bytes, &clock).map_err(CommandError::Failed)
        });
        let shadow = starting.await.map_err(|error| bug(&error))??;
        let report = shadow.report();
        tracing::info!(pipeline = self.plan.name, hash = report.hash, "a shadow runs beside the module");
        self.shadow.set(Some(shadow));
        Ok(report)
    }

    /// What the shadow has seen.
    pub(super) fn shadow_report(&self) -> Result<ShadowReport, CommandError> {
        self.shadow.report().ok_or_else(|| self.no_shadow())
    }

    /// Ends the shadow; its last report.
    pub(super) fn end_shadow(&self) -> Result<ShadowReport, CommandError> {
        self.shadow.set(None).map(|shadow| shadow.report()).ok_or_else(|| self.no_shadow())
    }

    /// Has the shadow's module serve, as if it had been uploaded.
    pub(super) async fn serve_shadow(&self) -> Result<Replaced, CommandError> {
        let bytes = self.shadow.module().ok_or_else(|| self.no_shadow())?;
        let replaced = self.replace_module(bytes, "upload").await?;
        self.shadow.end_of(&replaced.module.hash);
        Ok(replaced)
    }

    fn no_shadow(&self) -> CommandError {
        CommandError::Conflict(format!("pipeline {} has no shadow: start one with PUT …/module?shadow=true", self.plan.name))
    }

    fn trial(&self, settings: &TransformSettings) -> Result<Trial, CommandError> {
        Ok(Trial {
            engine: self.common.engine.clone(),
            settings: settings.clone(),
            present: self.component.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            recent: self.recent.good(),
            // As of the last commit: what a trial writes over it goes with it.
            store: self.guest_store(&self.open_state()?),
        })
    }

    /// Looks at the configured file for ever, and has it serve when it has changed.
    pub(super) async fn watch_module(&self) {
        let Ok(settings) = self.transform_settings() else { return };
        let signature = || std::fs::metadata(&settings.module).ok().map(|file| (file.modified().ok(), file.len()));
        let (mut seen, mut judged) = (signature(), signature());
        loop {
            tokio::time::sleep(limits::MODULE_WATCH_INTERVAL).await;
            let now = signature();
            // Twice the same: whoever writes it has finished.
            let is_settled = now == std::mem::replace(&mut seen, now);
            if now.is_none() || now == judged || !is_settled {
                continue;
            }
            judged = now;
            let Ok(bytes) = Component::read(settings) else { continue };
            if self.shelf.configured().ok().flatten().is_none_or(|known| known != Component::hash_of(&bytes)) {
                // What was wrong with it has been said.
                let _ = self.replace_module(bytes, "file").await;
            }
        }
    }

    /// Whether the loop took it.
    async fn hand_over(&self, transform: Transform) -> bool {
        let swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(swaps) = swaps else { return false };
        let (done, is_done) = oneshot::channel();
        swaps.send(Swap { transformer: Transformer::Guest(Box::new(transform)), done }).await.is_ok() && is_done.await.is_ok()
    }

    fn configured_hash(&self, settings: &TransformSettings) -> Result<String, CommandError> {
        let known = self.shelf.configured().map_err(CommandError::Failed)?;
        known.map_or_else(|| Component::read(settings).map(|bytes| Component::hash_of(&bytes)).map_err(CommandError::Failed), Ok)
    }

    pub(super) fn transform_settings(&self) -> Result<&TransformSettings, CommandError> {
        let none = || CommandError::Conflict(format!("pipeline {} has no transform: its rows are its documents", self.plan.name));
        self.plan.transform.as_ref().ok_or_else(none)
    }
}

/// What new code must pass before it serves.
struct Trial {
    engine: Engine,
    settings: TransformSettings,
    /// The code that serves, where there is some.
    present: Option<Component>,
    recent: Vec<Change>,
    store: Arc<dyn KeyValues>,
}

impl Trial {
    /// Compiles and checks the bytes, and runs them on the last changes; says how their documents differ from what the present code makes
    /// of the same changes. Blocks.
    fn run(&self, bytes: &[u8]) -> Result<(Component, Comparison), String> {
        let component = Component::new(&self.engine, bytes, self.settings.world).map_err(|unfit| format!("the module {unfit}"))?;
        let outcomes = |component: &Component| Transform::trial(component, &self.settings, &self.recent, &self.store);
        let new = outcomes(&component)?;
        // It serves; what it fails on here is no reason against the new one.
        let present = self.present.as_ref().and_then(|present| outcomes(present).ok()).unwrap_or_default();
        let compared = Comparison::of(&self.recent, &present, &new);
        Ok((component, compared))
    }
}

fn bug(error: &tokio::task::JoinError) -> CommandError {
    CommandError::Failed(Failure::bug(format!("trying the module ended: {error}")))
}
