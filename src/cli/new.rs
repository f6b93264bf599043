//! `rowmill new`: a transform to begin with, in a folder that needs nothing else of ours but this binary.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{DONE, WRONG, failed, say};

/// Every file of `transforms/templates` and `transforms/sdk`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// What to begin.
#[derive(Clone, Debug, Args)]
pub struct NewOptions {
    /// The folder to make; its last part is the transform's name
    name: PathBuf,
    /// The language to write in
    #[arg(long, value_enum)]
    lang: Lang,
}

/// The languages that have an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Rust
    Rust,
    /// Go
    Go,
    /// JavaScript
    Js,
    /// TypeScript
    Ts,
    /// Python
    Python,
    /// C
    C,
    /// Zig
    Zig,
}

impl Lang {
    /// The folder of its template.
    fn template(self) -> &'static str {
        match self {
            Lang::Rust => "rust",
            Lang::Go => "go",
            Lang::Js => "js",
            Lang::Ts => "ts",
            Lang::Python => "python",
            Lang::C => "c",
            Lang::Zig => "zig",
        }
    }

    /// The folder of its SDK.
    fn sdk(self) -> &'static str {
        match self {
            Lang::Ts => "js",
            lang => lang.template(),
        }
    }
}

/// Writes the folder, or nothing.
pub fn new(options: &NewOptions) -> u8 {
    let NewOptions { name: folder, lang } = options;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_name(name) {
        failed(format!("`{name}` cannot be a transform's name: small letters, digits and `-`, a letter first"));
        return WRONG;
    }
    if folder.exists() {
        failed(format!("{} is there already: choose another name, or remove it", folder.display()));
        return WRONG;
    }
    match write(folder, name, *lang) {
        Ok(()) => {
            let folder = folder.display();
            say(format_args!("{folder} is ready. Build it, and run it on its events:\n\n    cd {folder} && make test\n"));
            say("README.md there says how to go on.");
            DONE
        }
        Err(error) => failed(format!("{} cannot be written: {error}", folder.display())),
    }
}

fn write(folder: &Path, name: &str, lang: Lang) -> std::io::Result<()> {
    for (path, bytes) in files(lang) {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => fs::write(path, text.replace("{{name}}", name).replace("{{name_snake}}", &name.replace('-', "_")))?,
            Err(_) => fs::write(path, bytes)?,
        }
    }
    Ok(())
}

/// What a new folder holds: the language's template, the events that all templates share, and the SDK.
fn files(lang: Lang) -> impl Iterator<Item = (String, &'static [u8])> {
    let places = [
        (format!("templates/{}/", lang.template()), ""),
        ("templates/events/".to_owned(), "events/"),
        (format!("sdk/{}/", lang.sdk()), "sdk/"),
    ];
    FILES.iter().filter_map(move |(path, bytes)| {
        let place = places.iter().find_map(|(from, to)| Some(format!("{to}{}", path.strip_prefix(from.as_str())?)));
        place.map(|place| (place, *bytes))
    })
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 64 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Lang, files, is_name};

    #[test]
    fn every_language_has_what_a_new_folder_needs() {
        for lang in Lang::value_variants() {
            let files: Vec<String> = files(*lang).map(|(path, _)| path).collect();
            for needed in ["Makefile", "README.md", ".gitignore", "events/events.jsonl", "events/expected.jsonl", "sdk/README.md"] {
                assert!(files.iter().any(|file| file == needed), "{lang:?} lacks {needed}");
            }
        }
    }

    #[test]
    fn names_are_such_as_every_language_takes() {
        for (name, taken) in
            [("products", true), ("a-2", true), ("2a", false), ("", false), ("Products", false), ("a_b", false), ("ä", false)]
        {
            assert_eq!(is_name(name), taken, "{name}");
        }
    }
}
