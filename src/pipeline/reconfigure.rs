//! Another configuration for a process that runs: compared, prepared, and then applied as a whole or not at all.
//!
//! All that can be found out beforehand is found out while everything runs on: the file is read, connectors are made, modules compiled,
//! initialised and tried. Then the pipelines concerned stop after the batches at work and start anew on what the state holds, the others
//! take no notice. Where one of them does not start, those concerned change back. All that a pipeline knows is in the state and the
//! file, so that a process that is killed in the midst of this starts with what the file says.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::join_all;

use crate::config::{self, Changes, PipelinePlan, Plan};
use crate::error::Failure;
use crate::limits;
use crate::pipeline::guest_store::GuestStore;
use crate::pipeline::loaded::LoadedModule;
use crate::pipeline::status::{NotReloaded, Reload, ReloadResult};
use crate::pipeline::supervised::{Pipeline, dead_letters_folder};
use crate::pipeline::supervisor::{Handle, Pipelines, SHUTTING_DOWN, Serving};
use crate::state::Store;
use crate::transform::{Component, KeyValues, MemoryStore, Transform};

/// Modules by the pipeline that begins with them.
type Modules = HashMap<String, LoadedModule>;

/// What serves beside a module, to come back to it: its hash, and that of the configured file.
type Served = HashMap<String, (String, String)>;

impl Pipelines {
    /// Reads the configuration file again and has it serve as a whole, or, for a dry run, says what that would change.
    pub async fn reload(&self, is_dry_run: bool) -> Result<Reload, NotReloaded> {
        let reloaded = self.reload_or_plan(is_dry_run).await;
        if !is_dry_run {
            self.report(&reloaded);
        }
        reloaded
    }

    fn report(&self, reloaded: &Result<Reload, NotReloaded>) {
        let result = match reloaded {
            Ok(Reload { result: ReloadResult::Applied, .. }) => "applied",
            Ok(_) => "unchanged",
            Err(_) => "refused",
        };
        self.reloads.with_label_values(&[result]).inc();
        match reloaded {
            Ok(reload) => tracing::info!(file = reload.file, result, "the configuration was read again"),
            Err(refused) => {
                tracing::error!(result, "the configuration was read again: {refused}");
                if let NotReloaded::Refused { problems, .. } = refused
                    && problems.len() > 1
                {
                    problems.iter().for_each(|problem| tracing::error!("{problem}"));
                }
            }
        }
    }

    async fn reload_or_plan(&self, is_dry_run: bool) -> Result<Reload, NotReloaded> {
        let conflict = |reason: &str| Err(NotReloaded::Conflict(reason.to_owned()));
        // One at a time; a dry run holds up nobody.
        let _alone = if is_dry_run { None } else { Some(self.reloading.write().await) };
        let serving = self.serving();
        if serving.is_draining {
            return conflict(SHUTTING_DOWN);
        }
        if self.common.until_caught_up {
            return conflict("the process ends when it has caught up: start it again with the new configuration");
        }
        let Some(file) = serving.plan.file.clone() else { return conflict("the configuration did not come from a file") };
        let (before, store) = (serving.clone(), self.common.store.clone());
        let shown = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone()).display().to_string();
        let reading = tokio::task::spawn_blocking(move || {
            let plan = config::load(&file).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            let changes = changes(&store, &before, &plan)?;
            Ok((plan, changes))
        });
        let read: Result<(Plan, Changes), Vec<String>> = reading.await.unwrap_or_else(|error| Err(vec![error.to_string()]));
        let refused = |problems, changes| refused(&shown, problems, changes);
        let (plan, changes) = read.map_err(|problems| refused(problems, None))?;
        if !changes.obstacles.is_empty() {
            return Err(refused(changes.obstacles.clone(), Some(&changes)));
        }
        let text = changes.to_string();
        let compared_with_ms = serving.since_ms;
        let result = match () {
            () if is_dry_run => ReloadResult::Planned,
            () if changes.is_empty() => ReloadResult::Unchanged,
            () => {
                text.lines().for_each(|line| tracing::info!("reload: {line}"));
                match self.apply(&serving, plan, &changes).await {
                    Ok(()) => ReloadResult::Applied,
                    Err(problems) if problems.is_empty() => return conflict(SHUTTING_DOWN),
                    Err(problems) => return Err(refused(problems, Some(&changes))),
                }
            }
        };
        Ok(Reload { result, file: shown, compared_with_ms, plan: changes, text })
    }

    /// Has `plan` serve in place of what does, or leaves all as it was and says why; without a reason where the process drains.
    async fn apply(&self, before: &Serving, plan: Plan, changes: &Changes) -> Result<(), Vec<String>> {
        let modules = self.prepare(before, &plan, changes).await?;
        let concerned = changes.concerned();
        let (plan, old, served) = (Arc::new(plan), &before.plan, served(before, &concerned));
        let started = self.change_over(plan.clone(), &concerned, &before.handles, modules).await.ok_or_else(Vec::new)?;
        let Err((name, failure)) = self.prove(&started).await else {
            self.server.send_replace(plan.server.clone());
            gone(&before.handles, &plan);
            return Ok(());
        };
        let known: Vec<Arc<Handle>> = started.iter().chain(&before.handles).cloned().collect();
        let put_back = self.change_over(old.clone(), &concerned, &known, self.again(served).await).await.ok_or_else(Vec::new)?;
        gone(&started, old);
        let mut problems = vec![format!("pipelines.{name} was started and did not run, and all was put back: {failure}")];
        if let Err((name, failure)) = self.prove(&put_back).await {
            problems.push(format!("pipelines.{name} does not run on the old configuration either: {failure}"));
        }
        Err(problems)
    }

    /// Finds all that would keep what is new from starting, and loads and tries its modules.
    async fn prepare(&self, before: &Serving, plan: &Plan, changes: &Changes) -> Result<Modules, Vec<String>> {
        let (mut modules, mut problems) = (Modules::new(), Vec::new());
        let concerned = changes.concerned();
        for plan in plan.pipelines.iter().filter(|plan| concerned.contains(&plan.name)) {
            match self.try_pipeline(plan.clone(), before.pipeline(&plan.name)).await {
                Ok(module) => modules.extend(module.map(|module| (plan.name.clone(), module))),
                Err(failure) => problems.push(format!("pipelines.{}: {failure}", plan.name)),
            }
        }
        if problems.is_empty() { Ok(modules) } else { Err(problems) }
    }

    /// Makes everything of a pipeline that can be made while another one runs in its place. Gives its module, if it has one.
    async fn try_pipeline(&self, plan: Arc<PipelinePlan>, running: Option<&Arc<Pipeline>>) -> Result<Option<LoadedModule>, Failure> {
        let store = &self.common.store;
        if store.existing_pipeline(&plan.name)?.is_some() {
            store.pipeline(&plan.name, &plan.decode.version_unit())?;
        }
        let is_other = |table| running.is_none_or(|running| !config::is_same_table(&running.plan, &plan, table));
        if is_other("sink") {
            plan.sink.open(&self.common.sink_context(&plan.name, &plan.name)).await?;
        }
        if let Some(sink) = plan.dead_letters_sink.as_ref().filter(|_| is_other("dead_letters.sink")) {
            sink.open(&self.common.sink_context(&plan.name, &dead_letters_folder(&plan.name))).await?;
        }
        // What another source told is no measure for the code that is to read this one.
        let recent = running.filter(|_| !is_other("source")).map(|running| running.recent.good()).unwrap_or_default();
        let values = running.map(|running| Ok::<_, Failure>(running.open_state()?.values().clone())).transpose()?;
        let (engine, shelf, is_other_source) = (self.common.engine.clone(), self.common.shelf(&plan.name), is_other("source"));
        // Compiling takes seconds of all cores: not a matter for a thread that drives other tasks.
        let trying = tokio::task::spawn_blocking(move || {
            if is_other_source {
                plan.source.check(&plan.name)?;
            }
            let Some(settings) = &plan.transform else { return Ok(None) };
            let module = LoadedModule::first(&engine, &shelf, settings)?;
            // As of the last commit: what the trial writes goes with it.
            let store: Arc<dyn KeyValues> = match values {
                Some(values) => Arc::new(GuestStore { values, bytes_max: settings.store_bytes }),
                None => Arc::new(MemoryStore::new(settings.store_bytes)),
            };
            Transform::trial(&module.component, settings, &recent, &store).map_err(Failure::misconfigured)?;
            Ok(Some(module))
        });
        trying.await.unwrap_or_else(|error| Err(Failure::bug(format!("trying the pipeline ended: {error}"))))
    }

    /// Stops the pipelines `concerned` and starts those of `plan` in their place; `known` are those that ran under these names, the
    /// latest first. Gives what it started; none where the process drains.
    async fn change_over(
        &self,
        plan: Arc<Plan>,
        concerned: &BTreeSet<String>,
        known: &[Arc<Handle>],
        mut modules: Modules,
    ) -> Option<Vec<Arc<Handle>>> {
        let (leaving, staying): (Vec<_>, Vec<_>) =
            self.serving().handles.iter().cloned().partition(|handle| concerned.contains(&handle.pipeline.plan.name));
        let longest = self.server.borrow().drain_timeout;
        join_all(leaving.iter().map(|handle| handle.stop(longest))).await;
        let named = |name: &str| plan.pipelines.iter().find(|plan| plan.name == name);
        join_all(leaving.iter().map(|handle| close_sinks(&handle.pipeline, named(&handle.pipeline.plan.name)))).await;
        let (mut handles, mut started) = (Vec::new(), Vec::new());
        for plan in &plan.pipelines {
            let handle = match staying.iter().find(|handle| handle.pipeline.plan.name == plan.name) {
                Some(handle) => handle.clone(),
                None => {
                    let before = known.iter().find(|handle| handle.pipeline.plan.name == plan.name).map(|handle| &*handle.pipeline);
                    let pipeline = Pipeline::new(&self.common, plan.clone(), before, modules.remove(&plan.name));
                    let handle = Arc::new(Handle::new(pipeline));
                    started.push(handle.clone());
                    handle
                }
            };
            handles.push(handle);
        }
        self.serve(plan.clone(), handles).then_some(started)
    }

    /// Waits until each of these pipelines runs, or waits for what is down. The error is the first that cannot, and why.
    async fn prove(&self, started: &[Arc<Handle>]) -> Result<(), (String, Failure)> {
        let proofs = join_all(started.iter().map(|handle| async move {
            let mut begun = None;
            for _ in 0..limits::PAUSE_CHECKS_MAX {
                match handle.pipeline.progress.has_begun() {
                    Err(failure) => return Err((handle.pipeline.plan.name.clone(), failure)),
                    Ok(false) => begun = None,
                    Ok(true) => {
                        let since = *begun.get_or_insert_with(|| self.common.clock.instant());
                        if since.elapsed() >= limits::RELOAD_PROOF {
                            break;
                        }
                    }
                }
                tokio::time::sleep(limits::PAUSE_CHECK_INTERVAL).await;
            }
            Ok(())
        }));
        proofs.await.into_iter().collect()
    }

    /// The modules that served, loaded again.
    async fn again(&self, served: Served) -> Modules {
        let mut modules = Modules::new();
        for (name, (hash, configured)) in served {
            let (engine, shelf) = (self.common.engine.clone(), self.common.shelf(&name));
            let loading = tokio::task::spawn_blocking(move || LoadedModule::again(&engine, &shelf, &hash, configured));
            modules.extend(loading.await.ok().flatten().map(|module| (name, module)));
        }
        modules
    }
}

/// What is different in `plan`, also where the file does not say so. Blocks.
fn changes(store: &Store, before: &Serving, plan: &Plan) -> Result<Changes, Vec<String>> {
    let mut changes = Changes::between(&before.plan, plan);
    for plan in &plan.pipelines {
        if before.pipeline(&plan.name).is_none() && store.existing_pipeline(&plan.name).is_ok_and(|state| state.is_some()) {
            changes.note(&plan.name, "the state remembers a pipeline of this name: it goes on where that one stood");
        }
        let (Some(running), Some(settings)) = (before.pipeline(&plan.name), &plan.transform) else { continue };
        let is_same_path = running.plan.transform.as_ref().is_some_and(|transform| transform.module == settings.module);
        let Some(known) = running.shelf.configured().ok().flatten().filter(|_| is_same_path) else { continue };
        let bytes = Component::read(settings).map_err(|failure| vec![format!("pipelines.{}: {failure}", plan.name)])?;
        let hash = Component::hash_of(&bytes);
        if hash != known {
            changes.note_module(&plan.name, short(&known), short(&hash));
        }
    }
    Ok(changes)
}

/// What of these pipelines serves beside their modules.
fn served(before: &Serving, concerned: &BTreeSet<String>) -> Served {
    let pipelines = concerned.iter().filter_map(|name| Some((name, before.pipeline(name)?)));
    pipelines.filter_map(|(name, pipeline)| Some((name.clone(), (pipeline.module()?.hash, pipeline.shelf.configured().ok()??)))).collect()
}

/// Closes the sinks that `plan` does not go on with: the next one may need the same files.
async fn close_sinks(pipeline: &Pipeline, plan: Option<&Arc<PipelinePlan>>) {
    let stays = |table| plan.is_some_and(|plan| config::is_same_table(&pipeline.plan, plan, table));
    if !stays("sink") {
        pipeline.sink.close().await;
    }
    if !stays("dead_letters.sink") {
        pipeline.dead_letters_sink.close().await;
    }
}

/// Takes away the metrics of pipelines that `plan` does not have.
fn gone(handles: &[Arc<Handle>], plan: &Plan) {
    let gone = handles.iter().filter(|handle| plan.pipelines.iter().all(|plan| plan.name != handle.pipeline.plan.name));
    gone.for_each(|handle| handle.pipeline.declared.withdraw());
}

fn refused(file: &str, problems: Vec<String>, plan: Option<&Changes>) -> NotReloaded {
    let message = match problems.as_slice() {
        [problem] => format!("the old configuration serves: {problem}"),
        problems => format!("the old configuration serves: there are {} problems", problems.len()),
    };
    NotReloaded::Refused { message, file: file.to_owned(), problems, plan: plan.cloned().map(Box::new) }
}

fn short(hash: &str) -> String {
    hash.get(..12).unwrap_or(hash).to_owned()
}

#[cfg(test)]
mod tests;
