//! The loop that takes connections, with the bounds that `axum::serve` leaves out.

use std::sync::Arc;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::{Api, router};
use crate::limits;

/// Answers until it is dropped, which also ends the connections.
pub async fn serve(listener: TcpListener, api: Api) {
    let service = TowerToHyperService::new(router(api));
    let places = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Never closed, so that this is only a wait: further connections queue in the kernel.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                connections.spawn(async move {
                    answer(stream, service).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: those in use must end first.
                tracing::warn!("cannot take a connection: {error}");
                tokio::time::sleep(limits::HTTP_ACCEPT_RETRY_DELAY).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(stream: TcpStream, service: TowerToHyperService<axum::Router>) {
    // Answers are small: each leaves at once.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::HTTP_HEADER_TIMEOUT);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a connection ended: {error}");
    }
}
