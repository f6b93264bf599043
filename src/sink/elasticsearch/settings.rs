use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::sink::{Sink, SinkContext, SinkSettings};

/// Settings of the elasticsearch sink.
#[derive(Clone, Debug)]
pub struct ElasticsearchSinkSettings {}

/// Reads `[pipelines.….sink.elasticsearch]`.
pub fn read(section: &Section<'_>) -> Box<dyn SinkSettings> {
    let _ = section;
    Box::new(ElasticsearchSinkSettings {})
}

#[async_trait]
impl SinkSettings for ElasticsearchSinkSettings {
    fn index(&self) -> Option<&str> {
        None
    }

    async fn open(&self, _context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        Err(Failure::bug("not built yet"))
    }
}
