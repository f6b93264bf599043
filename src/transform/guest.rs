//! The user's module at work: batches in, an outcome for each change out, whatever the guest does.

use std::sync::Arc;

use tracing::{debug, warn};

use crate::aggregate::Row;
use crate::error::Failure;
use crate::event::Change;
use crate::limits::GUEST_BATCH_CHANGES_MAX;
use crate::metrics::Metrics;
use crate::transform::batch::Batch;
use crate::transform::component::Component;
use crate::transform::fault::{Fault, Reason};
use crate::transform::host::Given;
use crate::transform::instance::Instance;
use crate::transform::metrics::TransformMetrics;
use crate::transform::output::Gathered;
use crate::transform::overlay::{KeyValues, Overlay};
use crate::transform::settings::TransformSettings;
use crate::transform::thread::apart;
use crate::transform::{Outcome, Ran};

/// A component and its present instance.
pub struct Transform {
    component: Component,
    given: Arc<Given>,
    /// None after a fault, until the next call.
    instance: Option<Instance>,
    call_changes_max: usize,
}

/// What a call came to.
enum Called {
    /// An outcome for each change.
    Done(Vec<Outcome>),
    /// Some of its changes came to nothing, and it wrote to the store: for which of them is not known.
    Mixed,
    /// Nothing usable.
    Failed(Fault),
}

impl Transform {
    /// Makes the first instance, which runs `init`. The error says what a person must change. Blocks, as [`Transform::run`].
    pub fn start(component: &Component, settings: &TransformSettings, metrics: &TransformMetrics) -> Result<Self, Failure> {
        let given = Arc::new(Given::new(settings, metrics));
        given.log_lines.renew();
        let instance = apart(|| Instance::start(component, given.clone()))
            .map_err(|fault| Failure::misconfigured(format!("the module {} did not start: {fault}", settings.module.display())))?;
        Ok(Self { component: component.clone(), given, instance: Some(instance), call_changes_max: GUEST_BATCH_CHANGES_MAX })
    }

    /// The module.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Says in `rowmill_module_info` that this module serves from now on.
    pub fn announce(&self) {
        self.given.metrics.serving(self.component.short_hash(), self.component.version());
    }

    /// One outcome for each change, in order, and what they wrote to the store.
    ///
    /// A call that fails as a whole (a trap, no end in time, no memory, an error, an output for a foreign change) is made
    /// again change by change, and only those that fail alone are errors. That runs every change at most twice and waits
    /// for `timeout` once, and once more for each change that never ends; by halves, one endless change in a thousand
    /// would be waited for eleven times. The guest may so see a change twice, the second time in a new instance.
    ///
    /// A change that is an error has written nothing. A call that wrote, and came to an error for some of its changes, is
    /// made again in the same way: nothing else tells whose writes are whose.
    ///
    /// An error means that a guest that worked cannot be instantiated any more, or that `store` cannot be read: nothing is
    /// known of any change.
    ///
    /// Blocks for as long as the guest computes, from wherever it is called.
    pub fn run(&mut self, changes: &[Change], store: &Arc<dyn KeyValues>) -> Result<Ran, Failure> {
        apart(|| {
            self.given.store.begin(Overlay::new(store.clone()));
            let outcomes = self.run_batches(Batch::Changes(changes));
            let written = self.given.store.end().map(Overlay::into_written).unwrap_or_default();
            Ok(Ran { outcomes: outcomes?, written })
        })
    }

    /// One outcome for each row of a window, in order: its documents, or why there are none. Calls that fail are repeated, and errors are,
    /// as [`Transform::run`] says. Blocks.
    pub fn render(&mut self, rows: &[Row]) -> Result<Vec<Outcome>, Failure> {
        apart(|| self.run_batches(Batch::Rows(rows)))
    }

    /// Makes an instance and runs changes that earlier code took, as a trial: fails with the reason where a call gives nothing usable. A
    /// change that is rejected is none of that. Nothing of it is counted or kept. Blocks, as [`Transform::run`].
    pub fn trial(
        component: &Component,
        settings: &TransformSettings,
        changes: &[Change],
        store: &Arc<dyn KeyValues>,
    ) -> Result<Vec<Outcome>, String> {
        let uncounted = TransformMetrics::declare(&Metrics::detached());
        let mut transform = Self::start(component, settings, &uncounted).map_err(|failure| failure.message)?;
        apart(|| {
            transform.given.store.begin(Overlay::new(store.clone()));
            transform.try_batches(changes).map_err(|reason| format!("the module failed on a recent change: {reason}"))
        })
    }

    fn try_batches(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, String> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for batch in Batch::Changes(changes).calls(self.call_changes_max) {
            self.given.log_lines.renew();
            match self.call(batch).map_err(|failure| failure.message)? {
                Called::Done(done) => outcomes.extend(done),
                Called::Failed(fault) => return Err(fault.message),
                Called::Mixed => _ = self.run_each(batch, &mut outcomes).map_err(|failure| failure.message)?,
            }
        }
        Ok(outcomes)
    }

    fn run_batches(&mut self, whole: Batch<'_>) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::with_capacity(whole.len());
        for batch in whole.calls(self.call_changes_max) {
            self.given.log_lines.renew();
            self.run_batch(batch, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn run_batch(&mut self, batch: Batch<'_>, outcomes: &mut Vec<Outcome>) -> Result<(), Failure> {
        let reason = match self.call(batch)? {
            Called::Done(good) => {
                outcomes.extend(good);
                return Ok(());
            }
            Called::Failed(fault) if batch.len() == 1 => {
                outcomes.push(Err(self.told(fault)));
                return Ok(());
            }
            Called::Failed(fault) => Some(fault.reason),
            Called::Mixed => None,
        };
        let (pipeline, why) = (&**self.given.metrics.pipeline(), reason.map_or("it wrote, and rejected some", Reason::as_str));
        debug!(pipeline, why, changes = batch.len(), "a call of the guest cannot be used: its changes are tried one by one");
        let guilty = self.run_each(batch, outcomes)?;
        if let Some(reason @ (Reason::Timeout | Reason::Store)) = reason.filter(|_| guilty == 0) {
            self.call_less(batch.len(), reason);
        }
        Ok(())
    }

    /// A call for each change; says how many of them failed.
    fn run_each(&mut self, batch: Batch<'_>, outcomes: &mut Vec<Outcome>) -> Result<usize, Failure> {
        let mut guilty = 0;
        for change in batch.each() {
            match self.call(change)? {
                Called::Done(good) => outcomes.extend(good),
                Called::Mixed => return Err(Failure::bug("the writes of one change are not known to be its own")),
                Called::Failed(fault) => {
                    guilty += 1;
                    outcomes.push(Err(self.told(fault)));
                }
            }
        }
        Ok(guilty)
    }

    /// The reason of one change's fault. Where in the code it was goes to the log, within the guest's share of lines.
    fn told(&self, fault: Fault) -> String {
        if !fault.backtrace.is_empty() && self.given.log_lines.take() {
            let pipeline = &**self.given.metrics.pipeline();
            warn!(target: "rowmill::guest", pipeline, "{}\n    in {}", fault.message, fault.backtrace.join("\n    in "));
        }
        fault.message
    }

    /// A batch that is within its bounds change by change was only too long for them: the next ones are shorter.
    fn call_less(&mut self, changes: usize, reason: Reason) {
        self.call_changes_max = (changes / 2).max(1);
        let (pipeline, changes) = (&**self.given.metrics.pipeline(), self.call_changes_max);
        if reason == Reason::Timeout {
            warn!(pipeline, changes, "the guest is too slow for its batches: the next are shorter; raise transform.timeout to keep them");
        } else {
            warn!(pipeline, changes, "the guest writes too much to its store for its batches: the next are shorter");
        }
    }

    /// One call, of an instance made anew where the last one died.
    fn call(&mut self, batch: Batch<'_>) -> Result<Called, Failure> {
        let instance = match &mut self.instance {
            Some(instance) => instance,
            none => none.insert(
                Instance::start(&self.component, self.given.clone())
                    .map_err(|fault| Failure::unavailable(format!("the guest cannot be started again after a fault: {fault}")))?,
            ),
        };
        let store = &self.given.store;
        store.with(Overlay::begin_call);
        let called = instance.call(batch);
        let has_written_too_much = store.with(Overlay::end_call).unwrap_or(Ok(false))?;
        match called.and_then(|gathered| if has_written_too_much { Err(Fault::store()) } else { Ok(gathered) }) {
            Ok(mut gathered) => {
                batch.check_ids(&mut gathered.outcomes);
                let is_mixed = store.with(|store| store.has_written()) == Some(true) && gathered.outcomes.iter().any(Result::is_err);
                store.with(if is_mixed { Overlay::forget } else { Overlay::keep });
                if is_mixed && batch.len() > 1 {
                    instance.forget();
                    return Ok(Called::Mixed);
                }
                instance.succeed();
                Ok(Called::Done(self.counted(gathered)))
            }
            Err(fault) => {
                self.given.metrics.count_fault(fault.reason);
                store.with(Overlay::forget);
                instance.forget();
                if !fault.spares_the_instance() {
                    self.instance = None;
                }
                Ok(Called::Failed(fault))
            }
        }
    }

    fn counted(&self, gathered: Gathered) -> Vec<Outcome> {
        for _ in 0..gathered.unusable {
            self.given.metrics.count_fault(Reason::Output);
        }
        gathered.outcomes
    }
}
