//! Dead letters: shown, played again, dropped.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use serde::Serialize;

use crate::api::Api;
use crate::api::answer::{Part, Refusal};
use crate::api::question::{self, Parameters};
use crate::limits;
use crate::pipeline::status::{DeadLetterStatus, LetterFilter, Replayed};

/// An object, so that more can be said later.
#[derive(Serialize)]
pub struct DeadLetterList {
    dead_letters: Vec<DeadLetterStatus>,
}

/// How many are gone.
#[derive(Serialize)]
pub struct Dropped {
    dropped: u64,
}

/// Pipeline and letter, as they stand in the path.
type Letter = Result<Path<(String, String)>, PathRejection>;

/// The newest dead letters that are meant, newest first; values cut.
pub async fn list(State(api): State<Api>, pipeline: Part, Query(parameters): Parameters) -> Result<Json<DeadLetterList>, Refusal> {
    let Path(name) = pipeline?;
    let (filter, limit) = question::dead_letters(&parameters).map_err(Refusal::bad_request)?;
    let letters = api.pipelines.dead_letters(&name, &filter, limit).await?;
    let shown = letters.into_iter().map(|letter| DeadLetterStatus::new(letter, limits::DEAD_LETTER_SHOWN_BYTES_MAX));
    Ok(Json(DeadLetterList { dead_letters: shown.collect() }))
}

/// One dead letter, whole.
pub async fn show(State(api): State<Api>, letter: Letter) -> Result<Json<DeadLetterStatus>, Refusal> {
    let (name, filter) = one(letter?)?;
    let mut letters = api.pipelines.dead_letters(&name, &filter, 1).await?;
    let letter = letters.pop().ok_or_else(|| no_such_letter(&name, &filter))?;
    Ok(Json(DeadLetterStatus::new(letter, usize::MAX)))
}

/// Plays one again.
pub async fn replay(State(api): State<Api>, letter: Letter) -> Result<Json<Replayed>, Refusal> {
    let (name, filter) = one(letter?)?;
    match api.pipelines.replay(&name, &filter).await? {
        nothing if nothing == Replayed::default() => Err(no_such_letter(&name, &filter)),
        replayed => Ok(Json(replayed)),
    }
}

/// Drops one.
pub async fn drop_one(State(api): State<Api>, letter: Letter) -> Result<Json<Dropped>, Refusal> {
    let (name, filter) = one(letter?)?;
    match api.pipelines.drop_dead_letters(&name, &filter).await? {
        0 => Err(no_such_letter(&name, &filter)),
        dropped => Ok(Json(Dropped { dropped })),
    }
}

/// Plays all that are meant again.
pub async fn replay_some(State(api): State<Api>, pipeline: Part, Query(parameters): Parameters) -> Result<Json<Replayed>, Refusal> {
    let Path(name) = pipeline?;
    let filter = question::letters_meant(&parameters).map_err(Refusal::bad_request)?;
    Ok(Json(api.pipelines.replay(&name, &filter).await?))
}

/// Drops all that are meant.
pub async fn drop_some(State(api): State<Api>, pipeline: Part, Query(parameters): Parameters) -> Result<Json<Dropped>, Refusal> {
    let Path(name) = pipeline?;
    let filter = question::letters_meant(&parameters).map_err(Refusal::bad_request)?;
    Ok(Json(Dropped { dropped: api.pipelines.drop_dead_letters(&name, &filter).await? }))
}

fn one(Path((pipeline, id)): Path<(String, String)>) -> Result<(String, LetterFilter), Refusal> {
    let id = id.parse().map_err(|_| Refusal::bad_request(format!("{id} is not the number of a dead letter: use an id from the list")))?;
    Ok((pipeline, LetterFilter { ids: vec![id], ..LetterFilter::default() }))
}

fn no_such_letter(pipeline: &str, filter: &LetterFilter) -> Refusal {
    let id = filter.ids.first().copied().unwrap_or_default();
    Refusal::not_found(format!("pipeline {pipeline} has no dead letter {id}: it was replayed or dropped, or never there"))
}
