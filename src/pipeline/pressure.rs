//! How much a sink is asked for at a time: less when it says that it is too much, or does not answer in time; slowly more when it does.
//!
//! Additive increase, multiplicative decrease, as TCP does it. First the number of requests goes down, to one; then their size. They come
//! back in the opposite order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::Gauge;
use tokio::sync::Notify;

use crate::limits;

/// The present bounds of one sink's requests.
pub struct Pressure {
    inner: Mutex<Inner>,
    /// Told when there may be room for another request.
    room: Notify,
    gauge: Gauge,
}

#[derive(Debug)]
struct Inner {
    /// Most requests at a time, ever.
    max: f64,
    /// Most at present; whole ones count.
    limit: f64,
    /// How much of a full request is sent at present.
    share: f64,
    in_flight: usize,
    /// Raised with each decrease: what was sent before it says nothing about the bounds after it.
    decreases: u64,
}

/// A request that may be sent.
pub struct Permit<'p> {
    pressure: &'p Pressure,
    decreases: u64,
}

impl Pressure {
    /// Begins with all that the sink takes; `gauge` shows the number of requests at a time.
    pub fn new(requests_max: usize, gauge: Gauge) -> Self {
        let max = requests_max.max(1) as f64;
        gauge.set(max);
        let inner = Inner { max, limit: max, share: 1.0, in_flight: 0, decreases: 0 };
        Self { inner: Mutex::new(inner), room: Notify::new(), gauge }
    }

    /// Waits until another request may be sent.
    pub async fn permit(&self) -> Permit<'_> {
        loop {
            let room = self.room.notified();
            if let Some(permit) = self.try_permit() {
                return permit;
            }
            room.await;
        }
    }

    /// How much of a full request may be sent now: above 0, at most 1.
    pub fn share(&self) -> f64 {
        self.lock().share
    }

    fn try_permit(&self) -> Option<Permit<'_>> {
        let mut inner = self.lock();
        if inner.in_flight as f64 + 1.0 > inner.limit.max(1.0) {
            return None;
        }
        inner.in_flight += 1;
        Some(Permit { pressure: self, decreases: inner.decreases })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The sink took it.
    pub fn answered(self) {
        let mut inner = self.pressure.lock();
        if inner.share < 1.0 {
            inner.share = (inner.share + limits::SINK_SHARE_STEP).min(1.0);
        } else {
            inner.limit = (inner.limit + 1.0 / inner.limit).min(inner.max);
        }
        self.pressure.gauge.set(inner.limit.floor());
    }

    /// The sink has too much to do. Requests that were sent together are one piece of news.
    pub fn overloaded(self) {
        let mut inner = self.pressure.lock();
        if self.decreases != inner.decreases {
            return;
        }
        inner.decreases += 1;
        if inner.limit >= 2.0 {
            inner.limit = (inner.limit / 2.0).floor();
        } else {
            inner.limit = 1.0;
            inner.share = (inner.share / 2.0).max(limits::SINK_SHARE_MIN);
        }
        self.pressure.gauge.set(inner.limit.floor());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pressure.lock().in_flight -= 1;
        // All of them: the bound may have grown by more than the one that is given back.
        self.pressure.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{Gauge, Permit, Pressure};

    fn pressure(requests_max: usize) -> Pressure {
        Pressure::new(requests_max, Gauge::new("limit", "limit").unwrap())
    }

    fn all(pressure: &Pressure) -> Vec<Permit<'_>> {
        std::iter::from_fn(|| pressure.try_permit()).collect()
    }

    #[test]
    fn requests_that_are_too_much_together_halve_the_bound_once_and_answers_raise_it_one_by_one() {
        let pressure = pressure(8);
        let at_once = |pressure: &Pressure| all(pressure).len();
        assert_eq!(at_once(&pressure), 8);
        all(&pressure).into_iter().for_each(Permit::overloaded);
        assert_eq!((at_once(&pressure), pressure.gauge.get()), (4, 4.0));
        pressure.try_permit().unwrap().overloaded();
        assert_eq!(at_once(&pressure), 2);
        let mut seen = Vec::new();
        for _ in 0..20 {
            pressure.try_permit().unwrap().answered();
            seen.push(at_once(&pressure));
        }
        assert_eq!(seen.first(), Some(&2), "one good answer is not yet room for another request");
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[1] - pair[0] <= 1), "{seen:?}");
        assert!(seen.last().is_some_and(|last| (5..=8).contains(last)), "{seen:?}");
        (0..100).for_each(|_| pressure.try_permit().unwrap().answered());
        assert_eq!(at_once(&pressure), 8, "and never more than the sink takes");
    }

    #[test]
    fn one_request_that_is_still_too_much_gets_smaller_and_grows_again_before_there_are_more() {
        let pressure = pressure(2);
        let overload = || pressure.try_permit().unwrap().overloaded();
        overload();
        assert_eq!((all(&pressure).len(), pressure.share()), (1, 1.0));
        (0..3).for_each(|_| overload());
        assert_eq!((all(&pressure).len(), pressure.share()), (1, 0.125));
        (0..50).for_each(|_| overload());
        assert!(pressure.share() > 0.0);
        while pressure.share() < 1.0 {
            assert_eq!(all(&pressure).len(), 1);
            pressure.try_permit().unwrap().answered();
        }
        (0..2).for_each(|_| pressure.try_permit().unwrap().answered());
        assert_eq!(all(&pressure).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_room_gets_it() {
        let pressure = pressure(1);
        let first = pressure.permit().await;
        let waiting = pressure.permit();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        waiting.await.answered();
    }
}
