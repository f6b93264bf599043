//! The one place where bytes of a message become text, and text is found to be JSON.

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::event::fields;
use crate::limits;

/// Kafka's serializers for schema registries put this byte before the number of the schema.
const REGISTRY_MARK: u8 = 0;

/// The bytes as text, shared; `part` is what a message calls them: "key" or "value".
pub(super) fn text(bytes: &Bytes, part: &str) -> Result<ByteString, String> {
    if bytes.first() == Some(&REGISTRY_MARK) {
        return Err(format!(
            "the message {part} is Avro or Protobuf of a schema registry: set the connector's {part}.converter to JsonConverter"
        ));
    }
    ByteString::try_from(bytes.clone()).map_err(|_| format!("the message {part} is not UTF-8 text"))
}

/// The JSON value that `text` is, without blanks around it. After this the text may be walked without checks.
pub(super) fn json<'a>(text: &'a str, part: &str) -> Result<&'a str, String> {
    let value: &RawValue = serde_json::from_str(text).map_err(|error| reason(text, part, &error))?;
    check_depth(value.get(), part)?;
    Ok(value.get())
}

/// Fails on text that is nested too deep for those who read it later.
pub(super) fn check_depth(json: &str, part: &str) -> Result<(), String> {
    // The exact depth costs a walk over the text, and hardly any message has so many brackets that it could be too deep.
    let count = |bytes: &[u8]| usize::from(bytes.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>());
    let brackets: usize = json.as_bytes().chunks(usize::from(u8::MAX)).map(count).sum();
    match limits::JSON_DEPTH_MAX {
        max if brackets > max && fields::depth(json) > max => Err(format!("the message {part} is nested deeper than {max} levels")),
        _ => Ok(()),
    }
}

/// What is wrong, without the text itself: reasons are logged.
pub(super) fn reason(text: &str, part: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        _ if text.trim().is_empty() => format!("the message {part} is empty"),
        Category::Eof => format!("the message {part} is JSON that ends too early, at line {line} column {column}"),
        _ => format!("the message {part} is not JSON from line {line} column {column} on"),
    }
}
