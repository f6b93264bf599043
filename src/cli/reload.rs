//! `rowmill reload`: has a running instance read its configuration again.

use std::path::Path;

use serde_json::Value;

use super::running::{exchange, reachable};
use super::{DONE, FAILED, failed, load, say};

/// Prints what is different, and has it serve unless only the plan was asked for.
pub async fn reload(config: &Path, is_dry_run: bool) -> u8 {
    let plan = match load(config) {
        Ok(plan) => plan,
        Err(wrong) => return wrong,
    };
    let Some(address) = plan.server.listen.map(reachable) else {
        return failed("the configuration says that the instance does not listen: send it SIGHUP instead");
    };
    let asked = |method| exchange(&plan.server, address, method, "/admin/reload");
    // The plan says which file the instance reads: it must be this one.
    let planned = asked("GET").await;
    let answer = match planned {
        Ok((_, planned)) if planned.get("file").is_some() && text(&planned, "file") != Some(&canonical(config)) => {
            let other = text(&planned, "file").unwrap_or_default().to_owned();
            return failed(format!("the instance at {address} runs on {other}: name that file, or see server.listen"));
        }
        Ok((true, _)) if !is_dry_run => asked("POST").await,
        planned => planned,
    };
    match answer {
        Err(error) => {
            failed(format!("no running instance answers at {address} ({error}): start it, or send it SIGHUP where it listens elsewhere"))
        }
        Ok((is_good, answer)) => show(is_good, &answer),
    }
}

fn show(is_good: bool, answer: &Value) -> u8 {
    text(answer, "text").unwrap_or_default().lines().for_each(say);
    if is_good {
        eprintln!("rowmill: {}", text(answer, "result").unwrap_or_default());
        return DONE;
    }
    let problems = answer.get("problems").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let problems: Vec<&str> = problems.collect();
    if problems.len() > 1 {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
    }
    failed(text(answer, "error").unwrap_or("the instance gave no reason"));
    FAILED
}

fn text<'a>(answer: &'a Value, key: &str) -> Option<&'a str> {
    answer.get(key).and_then(Value::as_str)
}

fn canonical(path: &Path) -> String {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
