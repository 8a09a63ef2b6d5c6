//! The best row so far for each place of the questions, and who answers whom in the end.
//!
//! A row that becomes visible at `from` is a candidate for the places of its key from the first
//! question at or after `from` on. While rows stream by in any order, each is offered to that first
//! place alone; at the end, one walk over a key's places carries the best row along. Where rows
//! also cease to be valid they are candidates for a run of places that ends somewhere: they are
//! offered to the nodes of a segment tree over the key's places that cover the run, and at the end
//! each place takes the best of the nodes above it. Neither needs the rows sorted, and the memory
//! is that of the questions.

use std::cmp::Ordering;
use std::ops::Range;

use lodestore_core::Result;
use lodestore_core::rows::RowStamp;
use lodestore_core::time::{EventTime, Micros};

use super::index::QuestionIndex;
use super::kept::{Address, KeptRows, NO_ROW, address};

/// How candidates are spread over the places of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each row is a candidate until the end of time: one offer, carried along.
    ToTheEnd,
    /// Rows may cease to be valid: offers to the nodes of a segment tree.
    OverRuns,
}

/// Whether the kept columns are all of the view's, so that they decide every tie (rule P3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TieColumns {
    /// All of the view's features are kept.
    All,
    /// Only some: a tie between rows that differ in them can't be decided by them.
    Some,
}

type Order = (EventTime, EventTime);

#[derive(Debug, Clone, Copy)]
struct Best {
    order: Order,
    address: Address,
    /// Rows of the same order had other values, and the kept columns don't say which wins.
    undecided: bool,
}

const NOTHING: Best = Best { order: (EventTime::MIN, EventTime::MIN), address: NO_ROW, undecided: false };

/// The best rows so far.
#[derive(Debug)]
pub(crate) struct Winners {
    spread: Spread,
    tie_columns: TieColumns,
    best: Vec<Best>,
    kept: KeptRows,
    wanted: usize,
}

/// Which row answers each question.
#[derive(Debug)]
pub(crate) struct Answers {
    /// For each question, the address of its row, or [`NO_ROW`].
    pub(crate) addresses: Vec<Address>,
    /// The rows.
    pub(crate) kept: KeptRows,
    /// Some answer depends on columns that were not kept.
    pub(crate) undecided: bool,
}

impl Winners {
    /// Returns winners without any row yet, for so many places.
    pub(crate) fn new(places: usize, spread: Spread, tie_columns: TieColumns) -> Self {
        let nodes = if spread == Spread::OverRuns { 2 * places } else { places };
        Self { spread, tie_columns, best: vec![NOTHING; nodes], kept: KeptRows::default(), wanted: 0 }
    }

    /// Offers the rows of a batch: each comes with its place in the batch, its stamp, the places of
    /// its key and those among them that it is a candidate for.
    pub(crate) fn offer_batch(
        &mut self,
        columns: Vec<arrow::array::ArrayRef>,
        rows: usize,
        candidates: impl Iterator<Item = (usize, RowStamp, Range<usize>, Range<usize>)>,
    ) -> Result<()> {
        let batch = self.kept.add(columns, rows);
        let mut taken = false;
        for (row, stamp, key, run) in candidates {
            if run.is_empty() {
                continue;
            }
            let offer = Best { order: stamp.order(), address: address(batch, row), undecided: false };
            match self.spread {
                Spread::ToTheEnd => taken |= self.offer(run.start, offer),
                Spread::OverRuns => for_each_node(&key, &run, |node| taken |= self.offer(node, offer)),
            }
        }
        if !taken {
            self.kept.forget_last(rows);
        } else if self.kept.is_sparse(self.wanted) {
            self.kept.compact(self.best.iter_mut().map(|best| &mut best.address))?;
        }
        Ok(())
    }

    fn offer(&mut self, node: usize, offer: Best) -> bool {
        let best = self.best[node];
        self.wanted += usize::from(best.address == NO_ROW);
        let (better, taken) = self.better(best, offer);
        self.best[node] = better;
        taken
    }

    /// Returns the better of two, and whether it is the second.
    fn better(&self, best: Best, offer: Best) -> (Best, bool) {
        if best.address == NO_ROW || offer.address == NO_ROW {
            return if offer.address == NO_ROW { (best, false) } else { (offer, true) };
        }
        match offer.order.cmp(&best.order) {
            Ordering::Less => (best, false),
            Ordering::Greater => (offer, true),
            Ordering::Equal if best.address == offer.address => (best, false),
            Ordering::Equal => {
                let values = self.kept.compare(offer.address, best.address);
                let differ = values.is_ne() && self.tie_columns == TieColumns::Some;
                let undecided = best.undecided || offer.undecided || differ;
                let (winner, taken) = if values.is_gt() { (offer, true) } else { (best, false) };
                (Best { undecided, ..winner }, taken)
            }
        }
    }

    /// Merges the winners of other rows over the same places.
    pub(crate) fn merge(&mut self, mut other: Self) {
        let moved_by = self.kept.append(std::mem::take(&mut other.kept));
        for (node, mut offer) in other.best.into_iter().enumerate() {
            if offer.address != NO_ROW {
                offer.address += address(moved_by, 0);
                self.offer(node, offer);
            }
        }
    }

    /// Returns who answers whom. A winner older than the TTL answers nobody: every other candidate
    /// is older still (rule P2).
    pub(crate) fn resolve(self, index: &QuestionIndex, ttl: Option<Micros>) -> Answers {
        let mut addresses = vec![NO_ROW; index.questions()];
        let mut any_undecided = false;
        for key in index.keys() {
            let mut carried = NOTHING;
            for place in key.clone() {
                let best = match self.spread {
                    Spread::ToTheEnd => {
                        carried = self.better(carried, self.best[place]).0;
                        carried
                    }
                    Spread::OverRuns => self.best_above(&key, place),
                };
                let too_old = || ttl.is_some_and(|ttl| best.order.0 < index.time(place).minus(ttl));
                if best.address != NO_ROW && !too_old() {
                    addresses[index.question(place)] = best.address;
                    any_undecided |= best.undecided;
                }
            }
        }
        Answers { addresses, kept: self.kept, undecided: any_undecided }
    }

    fn best_above(&self, key: &Range<usize>, place: usize) -> Best {
        let mut node = key.len() + (place - key.start);
        let mut best = NOTHING;
        while node >= 1 {
            best = self.better(best, self.best[2 * key.start + node]).0;
            node /= 2;
        }
        best
    }
}

/// Calls `visit` with each node of a key's segment tree that is wholly within a run of its places.
///
/// The tree of n places is the usual one of 2n nodes, its leaves at n + i and node i above 2i and
/// 2i + 1; the trees of all keys stand one after the other.
fn for_each_node(key: &Range<usize>, run: &Range<usize>, mut visit: impl FnMut(usize)) {
    let (root, places) = (2 * key.start, key.len());
    let (mut left, mut right) = (run.start - key.start + places, run.end - key.start + places);
    while left < right {
        if left % 2 == 1 {
            visit(root + left);
            left += 1;
        }
        if right % 2 == 1 {
            right -= 1;
            visit(root + right);
        }
        left /= 2;
        right /= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_run_are_above_its_places_and_no_others() {
        for places in 1..20_usize {
            let key = 5..5 + places;
            for start in key.clone() {
                for end in start..=key.end {
                    let mut above = vec![0; places];
                    for_each_node(&key, &(start..end), |node| {
                        for (place, count) in above.iter_mut().enumerate() {
                            let mut ancestor = places + place;
                            while ancestor >= 1 {
                                *count += usize::from(2 * key.start + ancestor == node);
                                ancestor /= 2;
                            }
                        }
                    });
                    let expected: Vec<usize> = key.clone().map(|p| usize::from((start..end).contains(&p))).collect();
                    assert_eq!(above, expected, "{places} places, {start}..{end}");
                }
            }
        }
    }
}
