use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::sink::{Sink, SinkContext, SinkSettings};

/// Settings of the embedded sink.
#[derive(Clone, Debug)]
pub struct EmbeddedSinkSettings {}

/// Reads `[pipelines.….sink.embedded]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    let _ = section;
    Box::new(EmbeddedSinkSettings {})
}

#[async_trait]
impl SinkSettings for EmbeddedSinkSettings {
    fn index(&self) -> Option<&str> {
        None
    }

    async fn open(&self, _context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        Err(Failure::bug("not built yet"))
    }
}
