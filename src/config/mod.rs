//! From a file to a checked plan.
use crate::source::{SourceSettings, decode::settings::DecodeSettings};
use crate::sink::SinkSettings;
use crate::state::settings::{Keep, StateSettings};
use crate::transform::settings::TransformSettings;
pub struct Plan { pub server: ServerSettings, pub state: StateSettings, pub pipelines: Vec<PipelinePlan> }
pub struct PipelinePlan { pub name: String, pub source_kind: &'static str, pub source: Box<dyn SourceSettings>, pub decode: DecodeSettings, pub transform: Option<TransformSettings>, pub keep: Keep, pub batch: BatchSettings, pub sink_kind: &'static str, pub sink: Box<dyn SinkSettings> }
#[derive(Clone, Debug)]
pub struct BatchSettings { pub max_documents: usize, pub max_bytes: usize, pub max_wait: std::time::Duration }

#[derive(Clone)]
pub struct ServerSettings { pub listen: Option<std::net::SocketAddr>, pub drain_timeout: std::time::Duration }
pub fn load(_: &std::path::Path) -> Result<Plan, Vec<crate::settings::Problem>> { Err(vec![]) }
