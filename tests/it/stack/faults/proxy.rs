//! What lies between two processes: a TCP proxy that breaks things on demand, and counts what it broke.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What goes wrong. Each piece of data that comes by is struck, or by chance, so that some get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every piece is late.
    Latency(Duration),
    /// So many bytes a second.
    Bandwidth(u64),
    /// Connections are reset, in either direction.
    Reset,
    /// The request has reached the server, and its answer does not come: what was asked for is done, and nobody knows.
    CutAnswer,
    /// Half of a request reaches the server.
    CutRequest,
    /// Nobody listens, and who was connected is reset.
    Refuse,
    /// Connections stay open, and nothing ever comes through them again.
    BlackHole,
}

/// One in so many pieces is struck by a fault that ends its connection.
const STRIKES_ONE_IN: u32 = 4;
/// The most that is passed on in one piece.
const PIECE_BYTES: usize = 64 << 10;

/// Passes connections on. Ends them all when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped last: it ends all tasks.
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    target: watch::Sender<Option<SocketAddr>>,
    fault: watch::Sender<Fault>,
    injected: AtomicU64,
    chance: Mutex<StdRng>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Server,
    Client,
}

impl Proxy {
    /// A proxy that listens; it passes nothing on before it knows where to.
    pub fn listen(seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut chance = StdRng::seed_from_u64(seed);
        // Below the ports that the kernel gives to outgoing connections: it must get its own again after nobody listened.
        let listener = (0..100).find_map(|_| {
            let port = chance.random_range(20_000..32_000);
            runtime.block_on(TcpListener::bind(("127.0.0.1", port))).ok()
        });
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: watch::Sender::new(None),
            fault: watch::Sender::new(Fault::None),
            injected: AtomicU64::new(0),
            chance: Mutex::new(chance),
        });
        runtime.spawn(accept(listener, address, Arc::clone(&shared)));
        Self { address, shared, _runtime: runtime }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it passes connections on to.
    pub fn lead_to(&self, target: &str) {
        self.shared.target.send_replace(Some(target.parse().unwrap()));
    }

    /// From now on this goes wrong.
    pub fn inject(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// How often something went wrong so far.
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn count(&self) {
        self.injected.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this piece is struck.
    fn strikes(&self) -> bool {
        let strikes = self.chance.lock().unwrap().random_ratio(1, STRIKES_ONE_IN);
        if strikes {
            self.count();
        }
        strikes
    }

    async fn until_refused(&self) {
        let _ = self.fault.subscribe().wait_for(|fault| *fault == Fault::Refuse).await;
        self.count();
    }
}

async fn accept(first: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut told = shared.fault.subscribe();
    let mut listener = first;
    loop {
        let refused = loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.unwrap();
                    tokio::spawn(connect(client, Arc::clone(&shared)));
                }
                refused = told.wait_for(|fault| *fault == Fault::Refuse) => break refused.is_ok(),
            }
        };
        drop(listener);
        if !refused || told.wait_for(|fault| *fault != Fault::Refuse).await.is_err() {
            return;
        }
        listener = TcpListener::bind(address).await.unwrap();
    }
}

/// One connection, until one side closes it or a fault strikes.
async fn connect(mut client: TcpStream, shared: Arc<Shared>) {
    let Ok(target) = shared.target.subscribe().wait_for(Option::is_some).await.map(|target| *target) else { return };
    let Ok(mut server) = TcpStream::connect(target.unwrap()).await else { return };
    let end = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::select! {
            end = pass_on(from_client, to_server, Towards::Server, &shared) => end,
            end = pass_on(from_server, to_client, Towards::Client, &shared) => end,
            () = shared.until_refused() => End::Reset,
        }
    };
    if end == End::Reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn pass_on(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, towards: Towards, shared: &Shared) -> End {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let Ok(bytes @ 1..) = from.read(&mut piece).await else { return End::Closed };
        let fault = *shared.fault.borrow();
        match fault {
            Fault::Latency(late) => {
                shared.count();
                tokio::time::sleep(late).await;
            }
            Fault::Bandwidth(bytes_per_second) => {
                shared.count();
                tokio::time::sleep(Duration::from_millis(bytes as u64 * 1000 / bytes_per_second)).await;
            }
            Fault::Reset if shared.strikes() => return End::Reset,
            Fault::CutAnswer if towards == Towards::Client && shared.strikes() => return End::Closed,
            Fault::CutRequest if towards == Towards::Server && shared.strikes() => {
                let _ = to.write_all(&piece[..bytes / 2]).await;
                return End::Closed;
            }
            Fault::BlackHole => {
                shared.count();
                // Also when the fault is over: what was lost is missing.
                while from.read(&mut piece).await.is_ok_and(|bytes| bytes > 0) {}
                return End::Closed;
            }
            _ => {}
        }
        if to.write_all(&piece[..bytes]).await.is_err() {
            return End::Closed;
        }
    }
}
