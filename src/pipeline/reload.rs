//! Code replaced while its pipeline runs.
//!
//! New code is compiled apart, checked against the world, initialised, and tried on changes that the present code took. Only then does the
//! loop change over, between two batches; until then, and where any of this fails, the present code serves on.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::error::Failure;
use crate::event::Change;
use crate::limits;
use crate::metrics::Metrics;
use crate::pipeline::shelf::ServedModule;
use crate::pipeline::status::{CommandError, ModuleStatus};
use crate::pipeline::supervisor::Pipeline;
use crate::transform::settings::TransformSettings;
use crate::transform::{Component, Outcome, Transform, TransformMetrics};

/// New code on its way to the loop.
pub struct Swap {
    /// Ready to serve.
    pub transform: Box<Transform>,
    /// Told when it does.
    pub done: oneshot::Sender<()>,
}

/// The last changes that the present code took, for trying the next.
#[derive(Debug, Default)]
pub struct RecentChanges(Mutex<VecDeque<Change>>);

impl RecentChanges {
    /// Notes those of a batch that came to something.
    pub fn note(&self, changes: &[Change], outcomes: &[Outcome]) {
        let good = changes.iter().zip(outcomes).rev().filter(|(_, outcome)| outcome.is_ok());
        let mut bytes = 0;
        let small = good.take(limits::RECENT_CHANGES_MAX).take_while(|(change, _)| {
            bytes += change.after.as_ref().map_or(0, |row| row.len()) + change.before.as_ref().map_or(0, |row| row.len());
            bytes <= limits::RECENT_CHANGES_BYTES_MAX
        });
        let noted: Vec<Change> = small.map(|(change, _)| change.clone()).collect();
        if !noted.is_empty() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = noted.into_iter().rev().collect();
        }
    }

    fn get(&self) -> Vec<Change> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Pipeline {
    /// Has these bytes serve in place of the present module. `from` is `file`, `upload` or `rollback`.
    pub(super) async fn replace_module(&self, bytes: Vec<u8>, from: &str) -> Result<ModuleStatus, CommandError> {
        let _one_at_a_time = self.replacing.lock().await;
        let replaced = self.try_replace(bytes, from).await;
        let result = if replaced.is_ok() { "replaced" } else { "refused" };
        self.transform_metrics.count_reload(result);
        match &replaced {
            Ok(module) => tracing::info!(pipeline = self.plan.name, hash = module.hash, from, "another module serves"),
            Err(error) => tracing::warn!(pipeline = self.plan.name, from, "the module was not replaced: {error}"),
        }
        replaced
    }

    async fn try_replace(&self, bytes: Vec<u8>, from: &str) -> Result<ModuleStatus, CommandError> {
        let settings = self.transform_settings()?;
        let configured = match from {
            "file" => Component::hash_of(&bytes),
            _ => self.configured_hash(settings)?,
        };
        let (engine, metrics, settings) = (self.engine.clone(), self.transform_metrics.clone(), settings.clone());
        let recent = self.recent.get();
        // As of the last commit: what the trial writes over it goes with it.
        let store = self.guest_store(&self.open_state().map_err(|error| CommandError::Failed(error.into()))?);
        // Compiling takes seconds of all cores: not a matter for a thread that drives other tasks.
        let trying = tokio::task::spawn_blocking(move || {
            let component = Component::new(&engine, &bytes).map_err(|unfit| format!("the module {unfit}"))?;
            let trial = TransformMetrics::declare(&Metrics::detached());
            Transform::start(&component, &settings, &trial).map_err(|failure| failure.message)?.try_out(&recent, &store)?;
            let transform = Transform::start(&component, &settings, &metrics).map_err(|failure| failure.message)?;
            Ok((transform, bytes))
        });
        let tried: Result<(Transform, Vec<u8>), String> = trying.await.map_err(|error| bug(&error))?;
        let (transform, bytes) = tried.map_err(CommandError::Refused)?;
        let component = transform.component().clone();
        let module = ServedModule { hash: component.hash().to_owned(), from: from.to_owned(), since_ms: self.clock.now_ms() };
        self.shelf.serves(module, &bytes, &configured).map_err(CommandError::Failed)?;
        if self.hand_over(transform).await {
            self.note_module(&component);
        } else {
            // The next run of the loop takes what the shelf says.
            self.control.send_modify(|control| control.restarts += 1);
        }
        self.serving(component.hash()).await
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
    pub(super) async fn roll_back(&self) -> Result<ModuleStatus, CommandError> {
        self.transform_settings()?;
        let present = self.module.lock().unwrap_or_else(PoisonError::into_inner).clone().map(|module| module.hash).unwrap_or_default();
        let before = self.shelf.before(&present).map_err(CommandError::Failed)?;
        let before = before.ok_or_else(|| CommandError::Conflict("no module served before this one".to_owned()))?;
        self.replace_module(before, "rollback").await
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

    /// The module that a run of the loop begins with, and what makes it up.
    pub(super) fn first_module(&self, settings: &TransformSettings) -> Result<(Vec<u8>, &'static str, String), Failure> {
        let file = Component::read(settings)?;
        let configured = Component::hash_of(&file);
        Ok(match self.shelf.instead_of(&configured)? {
            Some(bytes) => (bytes, "upload", configured),
            None => (file, "file", configured),
        })
    }

    /// Whether the loop took it.
    async fn hand_over(&self, transform: Transform) -> bool {
        let swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(swaps) = swaps else { return false };
        let (done, is_done) = oneshot::channel();
        swaps.send(Swap { transform: Box::new(transform), done }).await.is_ok() && is_done.await.is_ok()
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

fn bug(error: &tokio::task::JoinError) -> CommandError {
    CommandError::Failed(Failure::bug(format!("trying the module ended: {error}")))
}
