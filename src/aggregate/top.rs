//! Who stands first in a window, kept as things change.
//!
//! Kept are somewhat more than are asked for, and the rank below which nothing is known. A key that falls out of those is not looked for
//! again until too few are left; then the window must be walked once ([`Top::is_complete`] says so).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use bytestring::ByteString;
use rust_decimal::Decimal;

/// Keys by rank, the first ones.
#[derive(Clone, Debug, Default)]
pub struct Top {
    size: usize,
    /// The greatest first; of those that are the same, the first by name.
    first: BTreeSet<(Reverse<Decimal>, ByteString)>,
    ranks: HashMap<ByteString, Decimal>,
    /// Keys that are not kept stand behind this.
    floor: Option<(Reverse<Decimal>, ByteString)>,
}

impl Top {
    /// Of a window without keys, for the first `size`.
    pub fn of(size: usize) -> Self {
        Self { size, ..Self::default() }
    }

    /// Notes the rank of a key; none: it is gone.
    pub fn set(&mut self, key: &ByteString, rank: Option<Decimal>) {
        if let Some(old) = self.ranks.remove(key) {
            self.first.remove(&(Reverse(old), key.clone()));
        }
        let Some(rank) = rank else { return };
        let place = (Reverse(rank), key.clone());
        if self.floor.as_ref().is_some_and(|floor| place > *floor) {
            return;
        }
        self.ranks.insert(key.clone(), rank);
        self.first.insert(place);
        if self.first.len() > self.kept_max() {
            while self.first.len() > self.kept_max() / 2 {
                let Some(last) = self.first.pop_last() else { break };
                self.ranks.remove(&last.1);
                self.floor = Some(last);
            }
        }
    }

    /// Whether the first ones are all here.
    pub fn is_complete(&self) -> bool {
        self.floor.is_none() || self.first.len() >= self.size
    }

    /// The first ones, in order.
    pub fn keys(&self) -> impl Iterator<Item = &ByteString> {
        self.first.iter().take(self.size).map(|(_, key)| key)
    }

    fn kept_max(&self) -> usize {
        4 * self.size + 64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytestring::ByteString;
    use rust_decimal::Decimal;

    use super::Top;

    proptest::proptest! {
        #[test]
        fn they_are_the_first_of_all(size in 1..5_usize, steps in proptest::collection::vec((0..120_u32, proptest::option::weighted(0.9, 0..50_i64)), 1..600)) {
            let mut top = Top::of(size);
            let mut all: BTreeMap<ByteString, Decimal> = BTreeMap::new();
            for (key, rank) in steps {
                let (key, rank) = (ByteString::from(format!("{key:03}")), rank.map(Decimal::from));
                match rank {
                    Some(rank) => _ = all.insert(key.clone(), rank),
                    None => _ = all.remove(&key),
                }
                top.set(&key, rank);
                if !top.is_complete() {
                    top = Top::of(size);
                    all.iter().for_each(|(key, rank)| top.set(key, Some(*rank)));
                    proptest::prop_assert!(top.is_complete());
                }
                let mut expected: Vec<_> = all.iter().map(|(key, rank)| (-*rank, key)).collect();
                expected.sort();
                let expected: Vec<_> = expected.into_iter().take(size).map(|(_, key)| key.clone()).collect();
                proptest::prop_assert_eq!(top.keys().cloned().collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn it_holds_little_and_seldom_has_to_look_again() {
        let mut top = Top::of(10);
        for number in 0..10_000_u32 {
            top.set(&ByteString::from(number.to_string()), Some(Decimal::from(number % 1_000)));
            assert!(top.is_complete() && top.first.len() <= top.kept_max() && top.ranks.len() == top.first.len());
        }
    }
}
