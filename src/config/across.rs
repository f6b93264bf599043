//! What can only be seen when all pipelines lie side by side.

use std::collections::HashMap;

use crate::config::PipelinePlan;

/// Each pipeline that is in another's way, and what to say of it.
pub(super) fn problems(pipelines: &[PipelinePlan]) -> Vec<(&str, String)> {
    let claims = pipelines.iter().flat_map(|pipeline| {
        let dead_letters = pipeline.dead_letters_sink.as_ref().and_then(|sink| sink.claims());
        let claims = [pipeline.source.claims(), pipeline.sink.claims(), dead_letters];
        claims.into_iter().flatten().map(|claim| (pipeline.name.as_str(), claim))
    });
    shared(claims)
}

/// `claims` are (pipeline, what it must have for itself).
fn shared<'p>(claims: impl Iterator<Item = (&'p str, String)>) -> Vec<(&'p str, String)> {
    let mut first: HashMap<String, &str> = HashMap::new();
    let mut problems = Vec::new();
    for (pipeline, claim) in claims {
        match first.get(&claim) {
            Some(other) if *other != pipeline => {
                problems.push((pipeline, format!("uses {claim}, which {other} uses too: give each pipeline its own")));
            }
            _ => _ = first.insert(claim, pipeline),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn what_a_pipeline_must_have_for_itself_is_not_shared() {
        let claims = [("a", "file out.jsonl"), ("a", "group g"), ("b", "file b.jsonl"), ("c", "file out.jsonl"), ("d", "group g")];
        let problems = shared(claims.into_iter().map(|(pipeline, claim)| (pipeline, claim.to_owned())));
        assert_eq!(
            problems,
            [
                ("c", "uses file out.jsonl, which a uses too: give each pipeline its own".to_owned()),
                ("d", "uses group g, which a uses too: give each pipeline its own".to_owned()),
            ]
        );
    }
}
