//! What the HTTP API asks of the pipelines of a process.

use std::sync::Arc;

use async_trait::async_trait;

use crate::event::Message;
use crate::limits;
use crate::pipeline::status::{
    self, Command, CommandError, DeadLetter, LetterFilter, NotReloaded, PipelineStatus, Reload, Replaced, Replayed, RunState, ServedModule,
    ShadowReport,
};
use crate::pipeline::supervised::Pipeline;
use crate::pipeline::supervisor::{Handle, Pipelines, SHUTTING_DOWN};
use crate::pipeline::windows::WindowMetrics;
use crate::sink::search::Search;
use crate::state::Marked;

#[async_trait]
impl status::Pipelines for Pipelines {
    fn list(&self) -> Vec<PipelineStatus> {
        self.serving().handles.iter().map(|handle| handle.pipeline.status()).collect()
    }

    async fn command(&self, name: &str, command: Command) -> Result<(), CommandError> {
        if self.serving().is_draining {
            return Err(CommandError::Conflict(SHUTTING_DOWN.to_owned()));
        }
        let told = self.tell(name, |control| match command {
            Command::Pause => control.is_paused = true,
            Command::Resume => control.is_paused = false,
            Command::Restart => control.restarts += 1,
        });
        let handle = told.ok_or_else(|| CommandError::NotFound(name.to_owned()))?;
        if command == Command::Pause {
            for _ in 0..limits::PAUSE_CHECKS_MAX {
                if handle.pipeline.progress.is_at_rest() {
                    return Ok(());
                }
                tokio::time::sleep(limits::PAUSE_CHECK_INTERVAL).await;
            }
            return Err(CommandError::Conflict("the sink has not answered yet: the pipeline pauses as soon as it does".to_owned()));
        }
        Ok(())
    }

    async fn dead_letters(&self, name: &str, filter: &LetterFilter, limit: usize) -> Result<Vec<DeadLetter>, CommandError> {
        Ok(self.handle(name)?.pipeline.open_state()?.dead_letters(filter, limit)?)
    }

    async fn replay(&self, name: &str, filter: &LetterFilter) -> Result<Replayed, CommandError> {
        let handle = self.handle(name)?;
        let state = handle.pipeline.open_state()?;
        let Marked { ids, not_kept } = state.mark_replays(filter)?;
        handle.pipeline.control.send_modify(|control| control.replays += 1);
        let mut waiting = state.marked(&ids)?;
        for _ in 0..limits::PAUSE_CHECKS_MAX {
            if waiting == 0 || handle.pipeline.progress.is_held() {
                break;
            }
            tokio::time::sleep(limits::PAUSE_CHECK_INTERVAL).await;
            waiting = state.marked(&ids)?;
        }
        let kept = state.kept(&ids)?;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Ok(Replayed {
            replayed: count(ids.len() - kept),
            dead_again: count(kept.saturating_sub(waiting)),
            waiting: count(waiting),
            not_kept: count(not_kept),
        })
    }

    async fn drop_dead_letters(&self, name: &str, filter: &LetterFilter) -> Result<u64, CommandError> {
        Ok(self.handle(name)?.pipeline.open_state()?.drop_dead_letters(filter)?)
    }

    async fn replace_module(&self, name: &str, module: Vec<u8>) -> Result<Replaced, CommandError> {
        let _none_reloads = self.reloading.read().await;
        self.handle(name)?.pipeline.replace_module(module, "upload").await
    }

    async fn start_shadow(&self, name: &str, module: Vec<u8>) -> Result<ShadowReport, CommandError> {
        let _none_reloads = self.reloading.read().await;
        self.handle(name)?.pipeline.start_shadow(module).await
    }

    async fn shadow(&self, name: &str) -> Result<ShadowReport, CommandError> {
        self.handle(name)?.pipeline.shadow_report()
    }

    async fn end_shadow(&self, name: &str) -> Result<ShadowReport, CommandError> {
        self.handle(name)?.pipeline.end_shadow()
    }

    async fn serve_shadow(&self, name: &str) -> Result<Replaced, CommandError> {
        let _none_reloads = self.reloading.read().await;
        self.handle(name)?.pipeline.serve_shadow().await
    }

    async fn sample(&self, name: &str, limit: usize) -> Result<Vec<Message>, CommandError> {
        Ok(self.handle(name)?.pipeline.recent.events(limit))
    }

    async fn modules(&self, name: &str) -> Result<Vec<ServedModule>, CommandError> {
        self.handle(name)?.pipeline.shelf.served().map_err(CommandError::Failed)
    }

    async fn roll_back(&self, name: &str) -> Result<Replaced, CommandError> {
        let _none_reloads = self.reloading.read().await;
        self.handle(name)?.pipeline.roll_back().await
    }

    async fn reload(&self, is_dry_run: bool) -> Result<Reload, NotReloaded> {
        Pipelines::reload(self, is_dry_run).await
    }

    fn searches(&self) -> Vec<Arc<dyn Search>> {
        self.serving().handles.iter().filter_map(|handle| handle.pipeline.sink.search()).collect()
    }

    fn collections(&self) -> Vec<String> {
        let mut names: Vec<String> = self.searches().iter().flat_map(|search| search.collections()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Pipelines {
    fn handle(&self, name: &str) -> Result<Arc<Handle>, CommandError> {
        let serving = self.serving();
        let handle = serving.handles.iter().find(|handle| handle.pipeline.plan.name == name);
        handle.cloned().ok_or_else(|| CommandError::NotFound(name.to_owned()))
    }
}

impl Pipeline {
    fn status(&self) -> PipelineStatus {
        let snapshot = self.progress.snapshot();
        let remedy = (snapshot.state == RunState::Stopped).then(|| "mend what the reason says, then restart the pipeline".to_owned());
        PipelineStatus {
            name: self.plan.name.clone(),
            source: self.plan.source_kind.to_owned(),
            sink: self.plan.sink_kind.to_owned(),
            state: snapshot.state,
            reason: snapshot.reason,
            remedy,
            lanes: snapshot.lanes,
            lag_events: snapshot.lag_events,
            lag_seconds: snapshot.lag_seconds,
            rates: snapshot.rates,
            totals: self.metrics.totals(),
            module: self.module(),
            watermark_ms: self.window_metrics.as_ref().and_then(WindowMetrics::watermark_ms),
            last_error: snapshot.last_error,
            dead_letters: u64::try_from(self.metrics.dead_letters.get()).unwrap_or(0),
        }
    }
}
