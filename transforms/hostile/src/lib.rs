//! A guest that does everything a guest should not, for the host's tests.
//!
//! A row's column `mode` says what it does to that row (see [`mode::Mode`]); without one, the row itself is the document.
//! `transform.config` may hold a `mode` too: it counts for the rows without, and for `init`. `bytes` and `count` (row, else
//! config) say how much, where it is about size.

mod act;
mod keep;
mod mode;

use mode::{Mode, Request};
use rowmill_transform::{Action, Change, Component, Document, Output};
use std::cell::RefCell;

/// See the crate.
pub struct Hostile;

thread_local! {
    static CONFIG: RefCell<Request> = const { RefCell::new(Request::NOTHING) };
}

impl Component for Hostile {
    fn init(config: &str) -> Result<(), String> {
        let request = Request::read(config)?;
        match request.mode {
            Some(Mode::InitError) => return Err("setting `mode`: this one asks for an error".to_owned()),
            Some(Mode::InitTrap) => act::trap(),
            Some(Mode::InitLoop) => act::endless(),
            Some(Mode::InitMemory) => act::eat_memory(),
            Some(Mode::InitSleep) => act::sleep(),
            Some(Mode::InitKeep) => {
                return Err(rowmill_transform::store::increment("init", 1).map_or_else(|error| error.to_string(), |_| "kept".to_owned()));
            }
            _ => {}
        }
        CONFIG.set(request);
        Ok(())
    }

    fn transform(changes: &[Change]) -> Result<Vec<Output>, String> {
        let config = CONFIG.with_borrow(|config| *config);
        let mut outputs = Vec::new();
        for (change, place) in changes.iter().zip(0..) {
            let Some(row) = change.after_text() else { continue };
            let request = Request::read(row)?.or(config);
            match request.mode {
                None | Some(Mode::Ok) => outputs.push(index(place, Document::from_text(row))),
                Some(Mode::BatchError) => return Err("this batch is not for me".to_owned()),
                Some(Mode::NotInCompany) if changes.len() > 1 => act::trap(),
                Some(mode) if mode.keeps() => outputs.push(match keep::keep(mode, &request) {
                    Ok(document) => index(place, document),
                    Err(error) => Output { change: place, action: Action::Reject(error.reason().to_owned()) },
                }),
                Some(mode) => act::act(mode, &request, place, row, &mut outputs),
            }
        }
        Ok(outputs)
    }
}

fn index(change: u32, document: Document) -> Output {
    Output { change, action: Action::Index(document) }
}

rowmill_transform::export!(Hostile);

#[cfg(test)]
mod tests {
    use super::*;
    use rowmill_transform::testing::{deleted, lines, row, run};

    #[test]
    fn a_row_without_mode_is_its_own_document() {
        let batch = [row("t", r#"{"id":1}"#), deleted("t", r#"{"id":1}"#), row("t", r#"{"id":2,"mode":"ok"}"#)];
        let expected = r#"{"change":0,"action":"index","body":{"id":1}}
{"change":2,"action":"index","body":{"id":2,"mode":"ok"}}
"#;
        assert_eq!(lines(&run::<Hostile>("{}", &batch)), expected);
    }

    #[test]
    fn the_configuration_counts_for_rows_without() {
        let batch = [row("t", r#"{"id":1}"#), row("t", r#"{"id":2,"mode":"ok"}"#)];
        let outputs = run::<Hostile>(r#"{"mode":"reject"}"#, &batch);
        assert!(matches!(outputs[0].action, Action::Reject(_)) && matches!(outputs[1].action, Action::Index(_)));
    }

    #[test]
    fn errors_are_errors() {
        assert!(Hostile::init(r#"{"mode":"init_error"}"#).is_err());
        assert!(Hostile::init(r#"{"mode":"no such"}"#).unwrap_err().contains("unknown variant"));
        Hostile::init("{}").unwrap();
        assert!(Hostile::transform(&[row("t", r#"{"mode":"batch_error"}"#)]).is_err());
    }

    #[test]
    fn what_needs_no_wasm_does_what_it_says() {
        let modes = [("wrong_change", 1), ("bad_json", 1), ("same_id", 2), ("many", 3), ("long_id", 1), ("emit", 1)];
        for (mode, count) in modes {
            let outputs = run::<Hostile>("", &[row("t", &format!(r#"{{"id":1,"mode":"{mode}","count":3}}"#))]);
            assert_eq!(outputs.len(), count, "{mode}");
        }
    }
}
