//! One module that is many: a test writes another name into its bytes, and has another module. The row is the document. Names that
//! begin with `init`, `trap` or `loop` go wrong that way; `half` makes documents that show it was there, and traps at every other row.

use rowmill_transform::{Action, Change, Component, Document, Output};

/// What stands in the module, to be found and replaced by another name of the same length.
static NAME: &str = "the-name-of-this-module";

/// Kept from being known to the compiler: the bytes are what counts.
fn name() -> &'static str {
    std::hint::black_box(NAME)
}

/// See the crate.
pub struct Named;

impl Component for Named {
    fn init(_: &str) -> Result<(), String> {
        if name().starts_with("init") { Err("this one never starts".to_owned()) } else { Ok(()) }
    }

    fn transform(changes: &[Change]) -> Result<Vec<Output>, String> {
        let name = name();
        if name.starts_with("trap") {
            std::process::abort();
        }
        if name.starts_with("half") && changes.iter().any(|change| change.version().first % 2 == 0) {
            std::process::abort();
        }
        while name.starts_with("loop") {
            std::hint::black_box(name);
        }
        let rows = changes.iter().zip(0..).filter_map(|(change, place)| Some((change.after_text()?, place)));
        let documents = rows.map(|(row, change)| {
            let document = match row.strip_prefix('{') {
                Some(rest) if name.starts_with("half") => Document::from_text(format!("{{\"by\":\"{name}\",{rest}")),
                _ => Document::from_text(row),
            };
            Output { change, action: Action::Index(document) }
        });
        Ok(documents.collect())
    }
}

rowmill_transform::export!(Named);
