//! What can be told of a module's bytes without compiling them.

use wasmparser::{Encoding, Parser, Payload};

/// What a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// What we run.
    Component,
    /// What a component is made of.
    CoreModule,
    /// Something else.
    #[default]
    Other,
}

/// What stands in a module, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Binary<'a> {
    /// By its first eight bytes.
    pub form: Form,
    /// The version in its own custom section `version` (`wasm-tools metadata add --version`).
    pub version: Option<&'a str>,
    /// Names that a core module exports.
    pub exports: Vec<&'a str>,
    /// Whether a core module says itself which world it is for, as `wit-bindgen` has it said.
    pub has_world: bool,
}

impl<'a> Binary<'a> {
    /// Reads the outermost module or component, up to where it is damaged: whoever compiles it says what is wrong.
    pub fn read(bytes: &'a [u8]) -> Self {
        let mut binary = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            match payload {
                Payload::Version { encoding, .. } if depth == 0 && binary.form == Form::Other => {
                    binary.form = if encoding == Encoding::Component { Form::Component } else { Form::CoreModule };
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if depth == 0 => match section.name() {
                    "version" => binary.version = std::str::from_utf8(section.data()).ok(),
                    name => binary.has_world |= name.starts_with("component-type"),
                },
                Payload::ExportSection(exports) if depth == 0 => {
                    binary.exports = exports.into_iter().map_while(Result::ok).map(|export| export.name).collect();
                }
                _ => {}
            }
        }
        binary
    }
}

#[cfg(test)]
mod tests {
    use super::{Binary, Form};

    #[test]
    fn the_first_bytes_say_what_it_is() {
        for (bytes, expected) in [
            (&b"\0asm\x0d\0\x01\0"[..], Form::Component),
            (b"\0asm\x01\0\0\0", Form::CoreModule),
            (b"\0asm\x02\0\0\0", Form::Other),
            (b"\x7fELF\x02\x01\x01\0", Form::Other),
            (b"\0asm", Form::Other),
            (b"", Form::Other),
        ] {
            assert_eq!(Binary::read(bytes).form, expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_outermost() {
        for (text, expected) in [
            ("(component)", None),
            ("(component (@custom \"name\" \"x\") (@custom \"version\" \"1.2.3\"))", Some("1.2.3")),
            ("(component (core module (@custom \"version\" \"9\")))", None),
            ("(component (core module (@custom \"version\" \"9\")) (@custom \"version\" \"2\"))", Some("2")),
            ("(module (@custom \"version\" \"3\"))", Some("3")),
        ] {
            assert_eq!(Binary::read(&wat::parse_str(text).unwrap()).version, expected, "{text}");
        }
        assert_eq!(Binary::read(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff").version, None);
    }

    #[test]
    fn a_core_module_tells_its_exports_and_its_world() {
        let bytes = wat::parse_str("(module (func (export \"init\")) (func (export \"transform\")))").unwrap();
        let binary = Binary::read(&bytes);
        assert_eq!((binary.exports, binary.has_world), (vec!["init", "transform"], false));
        let bytes = wat::parse_str("(module (@custom \"component-type:transform\" \"\"))").unwrap();
        assert!(Binary::read(&bytes).has_world);
    }
}
