//! What can be told of a module's bytes without compiling them.

/// What every WebAssembly binary begins with.
const MAGIC: &[u8] = b"\0asm";
/// Version 1, layer 0: a core module.
const CORE: &[u8] = &[1, 0, 0, 0];
/// Version 13, layer 1: a component.
const COMPONENT: &[u8] = &[13, 0, 1, 0];
/// The section that tools write for people: a name and bytes.
const CUSTOM_SECTION: u8 = 0;

/// What a file is by its first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// What we run.
    Component,
    /// What a component is made of.
    CoreModule,
    /// Something else.
    Other,
}

/// Reads the first eight bytes.
pub fn form(bytes: &[u8]) -> Form {
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(COMPONENT) => Form::Component,
        Some(rest) if rest.starts_with(CORE) => Form::CoreModule,
        _ => Form::Other,
    }
}

/// The version in the component's own custom section `version` (`wasm-tools metadata add --version`).
pub fn version(bytes: &[u8]) -> Option<&str> {
    let mut rest = bytes.get(MAGIC.len() + COMPONENT.len()..)?;
    while let [id, tail @ ..] = rest {
        let (size, tail) = number(tail)?;
        let (section, tail) = tail.split_at_checked(size)?;
        rest = tail;
        if *id == CUSTOM_SECTION {
            let (size, section) = number(section)?;
            let (name, contents) = section.split_at_checked(size)?;
            if name == b"version" {
                return std::str::from_utf8(contents).ok();
            }
        }
    }
    None
}

/// A LEB128 number of at most 32 bits, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value: u64 = 0;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Form, form, version};

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
            assert_eq!(form(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_outermost_component() {
        for (text, expected) in [
            ("(component)", None),
            ("(component (@custom \"name\" \"x\") (@custom \"version\" \"1.2.3\"))", Some("1.2.3")),
            ("(component (core module (@custom \"version\" \"9\")))", None),
        ] {
            assert_eq!(version(&wat::parse_str(text).unwrap()), expected, "{text}");
        }
        assert_eq!(version(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff"), None);
        assert_eq!(version(b"\0asm\x0d\0\x01\0\0\x7f"), None);
    }
}
