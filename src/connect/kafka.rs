//! Kafka: where the brokers are, and what librdkafka is told besides.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::settings::{Secret, Section};

/// Properties whose values may only stand as a reference to where they are kept.
const SECRETS: &[&str] = &["sasl.password", "sasl.oauthbearer.client.secret", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"];

/// Properties that are ours everywhere, and what to do instead.
const OWNED: &[(&str, &str)] = &[("bootstrap.servers", "use `brokers`"), ("metadata.broker.list", "use `brokers`")];

/// How the brokers are reached.
#[derive(Clone, Debug)]
pub struct KafkaConnection {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// What librdkafka is told beside, by its names. All are redacted, since some are secrets.
    pub properties: Vec<(String, Secret)>,
}

impl KafkaConnection {
    /// Reads `brokers` and `properties`; `owned` are properties that the user may not set, each with what to do instead.
    pub fn read(section: &Section<'_>, owned: &[(&str, &str)]) -> Self {
        let table = section.section("properties");
        for name in table.names() {
            if let Some((_, remedy)) = OWNED.iter().chain(owned).find(|(owned, _)| *owned == name) {
                table.problem(&name, format!("cannot be set: {remedy}"));
            }
        }
        let mut properties: Vec<(String, Secret)> =
            SECRETS.iter().filter_map(|name| table.secret(name).map(|secret| ((*name).to_owned(), secret))).collect();
        let plain = section.hidden_string_map("properties").into_iter().filter(|(name, _)| !SECRETS.contains(&name.as_str()));
        properties.extend(plain.map(|(name, value)| (name, Secret::new(value))));
        Self { brokers: section.required_string("brokers"), properties }
    }

    /// What librdkafka is told for the pipeline of that name; the user's properties come after `defaults`.
    pub fn client_config(&self, pipeline: &str, defaults: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("client.id", format!("rowmill-{pipeline}"));
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value.reveal());
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }
}
