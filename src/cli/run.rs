//! `rowmill run`: the pipelines of a configuration, until they are told to end.

use std::path::Path;
use std::sync::Arc;

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{DONE, FAILED, INTERRUPTED, failed, load};
use crate::api;
use crate::clock::Clock;
use crate::config::{Plan, ServerSettings};
use crate::limits;
use crate::pipeline::{Ending, Pipelines};

/// Runs until the pipelines end or a signal comes.
pub async fn run(config: &Path, until_caught_up: bool) -> u8 {
    match load(config) {
        Ok(plan) => run_plan(plan, until_caught_up, None).await,
        Err(wrong) => wrong,
    }
}

/// Runs a checked plan; the demo logs what is searched for on its page.
pub async fn run_plan(plan: Plan, until_caught_up: bool, search_log: Option<api::SearchLog>) -> u8 {
    let server = plan.server.clone();
    // What ends by itself, and the demo, end with their terminal. Listened to from the start, since it ends who does not.
    let is_reloaded = plan.file.is_some() && !until_caught_up;
    let hangup = is_reloaded.then(|| signal(SignalKind::hangup()).ok()).flatten();
    let listener = match listen(&server).await {
        Ok(listener) => listener,
        Err(message) => return failed(message),
    };
    let registry = Registry::new();
    let pipelines = match Pipelines::start(plan, &registry, &Clock::system(), until_caught_up) {
        Ok(pipelines) => Arc::new(pipelines),
        Err(failure) => return failed(failure),
    };
    let serving = listener.map(|listener| {
        if let Ok(address) = listener.local_addr() {
            tracing::info!("listening on http://{address}");
        }
        let api = api::Api::new(pipelines.clone(), registry, pipelines.server()).with_search_log(search_log);
        tokio::spawn(api::serve(listener, api))
    });
    let reloading = hangup.map(|hangup| tokio::spawn(reload_at(hangup, pipelines.clone())));
    let exit = wait(&pipelines).await;
    pipelines.leave(limits::RUNTIME_SHUTDOWN_TIMEOUT).await;
    serving.into_iter().chain(reloading).for_each(|task| task.abort());
    exit
}

async fn listen(server: &ServerSettings) -> Result<Option<TcpListener>, String> {
    let Some(address) = server.listen else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|error| format!("cannot listen on {address}: {error}; set another server.listen, or \"off\""))
}

/// Has the configuration read again at every SIGHUP, one after the other.
async fn reload_at(mut hangup: Signal, pipelines: Arc<Pipelines>) {
    while hangup.recv().await.is_some() {
        // What comes of it is in the log.
        let _ = pipelines.reload(false).await;
    }
}

/// Waits for the end of all pipelines, or for a signal and then for the drain.
async fn wait(pipelines: &Pipelines) -> u8 {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return failed("signals cannot be listened to");
    };
    let ended = pipelines.ended();
    tokio::pin!(ended);
    let exit = tokio::select! {
        ending = &mut ended => return exit_of(ending),
        _ = terminate.recv() => DONE,
        _ = interrupt.recv() => INTERRUPTED,
    };
    tracing::info!("draining: what is at work is finished or left unsettled");
    let drain_timeout = pipelines.server().borrow().drain_timeout;
    pipelines.drain();
    tokio::select! {
        ending = &mut ended => match ending {
            Ending::Failed(_) => exit_of(ending),
            _ => exit,
        },
        () = tokio::time::sleep(drain_timeout) => {
            tracing::warn!("the drain took longer than server.drain_timeout: what is at work is left unsettled and read again next time");
            exit
        }
        _ = terminate.recv() => exit,
        _ = interrupt.recv() => INTERRUPTED,
    }
}

fn exit_of(ending: Ending) -> u8 {
    match ending {
        Ending::CaughtUp | Ending::Drained => DONE,
        Ending::Failed(failures) => {
            for (pipeline, failure) in failures {
                failed(format!("pipeline {pipeline}: {failure}"));
            }
            FAILED
        }
    }
}
