//! The only time and the only chance.
//!
//! Everything that asks for the time of day or for a random number gets a [`Clock`]; monotonic time and timers are
//! tokio's, which a test can pause. So a seeded simulation replays a run exactly (the idea is SlateDB's; clippy's
//! `disallowed-methods` keeps it so).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

/// Time of day, monotonic time and randomness. Cheap to clone; clones share one stream of randomness.
#[derive(Clone, Debug)]
pub struct Clock {
    /// None: the system's time of day. Some: a simulated one, in step with tokio's (paused) timer.
    simulated: Option<(u64, Instant)>,
    chance: Arc<Mutex<StdRng>>,
}

impl Clock {
    /// The machine's clock and a random seed.
    pub fn system() -> Self {
        Self { simulated: None, chance: Arc::new(Mutex::new(rand::make_rng())) }
    }

    /// A clock that starts at `start_ms` and goes with tokio's timer, with chance from `seed`.
    pub fn simulated(seed: u64, start_ms: u64) -> Self {
        let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { simulated: Some((start_ms, Instant::now())), chance }
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    pub fn now_ms(&self) -> u64 {
        match self.simulated {
            Some((start_ms, at)) => start_ms + millis(at.elapsed()),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
        }
    }

    /// Monotonic time, for durations.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// A random number in `0.0..1.0`.
    pub fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// `delay`, made up to half shorter by chance, so that many who failed together do not come back together.
    pub fn jittered(&self, delay: Duration) -> Duration {
        delay.mul_f64(1.0 - 0.5 * self.chance())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
