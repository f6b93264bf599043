//! `wasi:config`: the fields of `transform.config`, each as text.

use serde_json::Value;

use crate::transform::host::Guest;
use crate::transform::world::wasi::config::store::{Error, Host};

/// The top-level fields in their order: a text as it is, anything else as JSON text.
#[derive(Debug, Default)]
pub struct ConfigFields(Vec<(String, String)>);

impl ConfigFields {
    /// The fields of an object; of anything else, none.
    pub fn of(config: &Value) -> Self {
        let fields = config.as_object().into_iter().flatten();
        Self(fields.map(|(name, value)| (name.clone(), text(value))).collect())
    }

    fn get(&self, key: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }
}

impl Host for Guest {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        Ok(self.config.get(&key))
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.config.0.clone())
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::ConfigFields;

    #[test]
    fn fields_are_texts() {
        let fields = ConfigFields::of(&serde_json::json!({"currency": "EUR", "limit": 3, "tags": ["a"], "none": null}));
        for (key, expected) in
            [("currency", Some("EUR")), ("limit", Some("3")), ("tags", Some("[\"a\"]")), ("none", Some("null")), ("x", None)]
        {
            assert_eq!(fields.get(key).as_deref(), expected, "{key}");
        }
        assert_eq!(ConfigFields::of(&serde_json::json!([1])).get("0"), None);
    }
}
