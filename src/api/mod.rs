//! Room: api.
use std::sync::Arc;
pub struct Api;
impl Api { pub fn new(_: Arc<dyn crate::pipeline::status::Pipelines>, _: prometheus::Registry, _: &crate::config::ServerSettings) -> Self { Self } }
pub async fn serve(_: tokio::net::TcpListener, _: Api) {}
