//! The sink of a pipeline, opened when it is first needed, and held through its restarts.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Failure;
use crate::limits;
use crate::sink::search::Search;
use crate::sink::{Sink, SinkContext, SinkSettings};

/// A sink that is open, or is yet to be opened.
#[derive(Default)]
pub struct OpenSink(Mutex<Option<Opened>>);

struct Opened {
    sink: Arc<dyn Sink>,
    search: Option<Arc<dyn Search>>,
}

impl OpenSink {
    /// The sink, opened if it is not yet.
    pub async fn get_or_open(&self, settings: &dyn SinkSettings, context: &SinkContext) -> Result<Arc<dyn Sink>, Failure> {
        if let Some(opened) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(opened.sink.clone());
        }
        let sink = settings.open(context).await?;
        let opened = Opened { sink: sink.clone(), search: sink.search() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(sink)
    }

    /// Its search, where it is open and can be searched.
    pub fn search(&self) -> Option<Arc<dyn Search>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.search.clone()
    }

    /// Lets go of the sink, and waits for the searches under way: the next sink may need the same files.
    pub async fn close(&self) {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Opened { sink, search }) = opened else { return };
        let (left, searched) = (Arc::downgrade(&sink), search.as_ref().map(Arc::downgrade));
        drop((sink, search));
        for _ in 0..limits::PAUSE_CHECKS_MAX {
            if left.strong_count() == 0 && searched.as_ref().is_none_or(|searched| searched.strong_count() == 0) {
                return;
            }
            tokio::time::sleep(limits::PAUSE_CHECK_INTERVAL).await;
        }
    }
}
