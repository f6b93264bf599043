use async_trait::async_trait;

use crate::error::Failure;
use crate::settings::Section;
use crate::source::{Source, SourceContext, SourceSettings};

/// Settings of the file source.
#[derive(Clone, Debug)]
pub struct FileSourceSettings {}

/// Reads `[pipelines.….source.file]`.
pub fn read(section: &Section<'_>) -> Box<dyn SourceSettings> {
    let _ = section;
    Box::new(FileSourceSettings {})
}

#[async_trait]
impl SourceSettings for FileSourceSettings {
    async fn open(&self, _context: SourceContext) -> Result<Box<dyn Source>, Failure> {
        Err(Failure::bug("not built yet"))
    }
}
