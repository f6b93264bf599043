use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::source::{Source, SourceContext, SourceSettings};

/// Settings of the kafka source.
#[derive(Clone, Debug)]
pub struct KafkaSourceSettings {}

/// Reads `[pipelines.….source.kafka]`.
pub fn read(section: &Section<'_>) -> Box<dyn SourceSettings> {
    let _ = section;
    Box::new(KafkaSourceSettings {})
}

#[async_trait]
impl SourceSettings for KafkaSourceSettings {
    async fn open(&self, _context: SourceContext) -> Result<Box<dyn Source>, Failure> {
        Err(Failure::bug("not built yet"))
    }
}
