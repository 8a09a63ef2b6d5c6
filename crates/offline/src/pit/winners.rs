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

use arrow::array::ArrayRef;
use lodestore_core::Result;
use lodestore_core::rows::RowStamp;

use super::index::QuestionIndex;
use super::kept::{KeptRows, address};
use super::nodes::{Best, NOTHING, Nodes, Order, TIED};
use super::pass::{Candidate, Visibility};

/// Where a row is: its address in a table of files, or its place among the kept rows.
pub(crate) type Address = u64;

/// Stands for no row.
pub(crate) const NO_ROW: Address = u64::MAX;

/// Up to so many rows of the same order as a place's best are listed, or one for each place.
const LISTED_TIES: usize = 1 << 20;

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

/// What decides between rows of the same order (rule P3).
#[derive(Debug)]
enum Ties {
    /// Their values, which are kept.
    Values(KeptRows, TieColumns),
    /// Nothing yet: rows of the same order as the best of a node at that time are listed.
    Listed(Vec<TiedRow>),
}

#[derive(Debug, Clone, Copy)]
struct TiedRow {
    node: u32,
    order: Order,
    row: Address,
}

/// The best rows so far.
#[derive(Debug)]
pub(crate) struct Winners {
    spread: Spread,
    best: Nodes,
    ties: Ties,
    wanted: usize,
}

/// Rows of which one wins a place: those of the same order.
#[derive(Debug)]
pub(crate) struct Contest {
    node: usize,
    /// The rows' addresses, ascending.
    pub(crate) rows: Vec<Address>,
}

/// Which row answers each question.
#[derive(Debug)]
pub(crate) struct Answers {
    /// For each place of the index, the address of the row that answers its question, or [`NO_ROW`].
    pub(crate) addresses: Vec<Address>,
    /// The rows, where they were kept.
    pub(crate) kept: KeptRows,
    /// Some answer depends on columns that were not kept.
    pub(crate) undecided: bool,
}

impl Winners {
    /// Returns winners without any row yet, for so many places, whose features will be kept.
    pub(crate) fn keeping(places: usize, spread: Spread, columns: TieColumns) -> Self {
        let nodes = if spread == Spread::OverRuns { 2 * places } else { places };
        let ties = Ties::Values(KeptRows::default(), columns);
        Self { spread, best: Nodes::new(nodes), ties, wanted: 0 }
    }

    /// Returns winners without any row yet, for so many places, known by their addresses alone. All rows
    /// must be candidates to the end of time.
    pub(crate) fn by_address(places: usize) -> Self {
        let ties = Ties::Listed(Vec::new());
        Self { spread: Spread::ToTheEnd, best: Nodes::new(places), ties, wanted: 0 }
    }

    /// Asks for the memory that an offer to a place will look at first.
    #[inline]
    pub(crate) fn prefetch(&self, place: usize) {
        self.best.prefetch(place);
    }

    /// Offers a row by its address.
    #[inline]
    pub(crate) fn offer_address(&mut self, place: usize, stamp: RowStamp, row: Address) {
        self.offer(place, Best { order: stamp.order(), address: row });
    }

    /// Offers rows of a batch whose features are kept.
    pub(crate) fn offer_batch(
        &mut self,
        columns: Vec<ArrayRef>,
        rows: usize,
        candidates: impl Iterator<Item = Candidate>,
    ) -> Result<()> {
        let Ties::Values(kept, _) = &mut self.ties else { return Ok(()) };
        let batch = kept.add(columns, rows);
        let mut taken = false;
        for Candidate { row, stamp, places, run } in candidates {
            let offer = Best { order: stamp.order(), address: address(batch, row) };
            match self.spread {
                Spread::ToTheEnd => taken |= self.offer(run.start, offer),
                Spread::OverRuns => for_each_node(&places, &run, |node| taken |= self.offer(node, offer)),
            }
        }
        let Ties::Values(kept, _) = &mut self.ties else { return Ok(()) };
        if !taken {
            kept.forget_last(rows);
        } else if kept.is_sparse(self.wanted) {
            kept.compact(self.best.addresses_mut(), NO_ROW, TIED)?;
        }
        Ok(())
    }

    #[inline]
    fn offer(&mut self, node: usize, offer: Best) -> bool {
        let best = self.best.get(node);
        if best.address == NO_ROW {
            self.wanted += 1;
            self.best.set(node, offer);
            return true;
        }
        match offer.order.cmp(&best.order) {
            Ordering::Less => false,
            Ordering::Greater => {
                self.best.set(node, offer);
                true
            }
            Ordering::Equal => self.offer_tied(node, best, offer),
        }
    }

    fn offer_tied(&mut self, node: usize, best: Best, offer: Best) -> bool {
        if best.row() == offer.row() {
            return false;
        }
        match &mut self.ties {
            Ties::Listed(listed) => {
                listed.push(TiedRow { node: node as u32, order: offer.order, row: offer.row() });
                *self.best.address_mut(node) |= TIED;
                false
            }
            Ties::Values(..) => {
                let (better, taken) = self.better(best, offer);
                self.best.set(node, better);
                taken
            }
        }
    }

    /// Returns the better of two, and whether it is the second.
    fn better(&self, best: Best, offer: Best) -> (Best, bool) {
        if best.address == NO_ROW || offer.address == NO_ROW {
            return if offer.address == NO_ROW { (best, false) } else { (offer, true) };
        }
        match offer.order.cmp(&best.order) {
            Ordering::Less => (best, false),
            Ordering::Greater => (offer, true),
            Ordering::Equal if best.row() == offer.row() => (best, false),
            Ordering::Equal => {
                // Listed ties are decided before winners are compared.
                let Ties::Values(kept, columns) = &self.ties else { return (best, false) };
                let values = kept.compare(offer.row(), best.row());
                let differ = values.is_ne() && *columns == TieColumns::Some;
                let undecided = if differ { TIED } else { (best.address | offer.address) & TIED };
                let (winner, taken) = if values.is_gt() { (offer, true) } else { (best, false) };
                (Best { address: winner.address | undecided, ..winner }, taken)
            }
        }
    }

    /// Merges the winners of other rows over the same places.
    pub(crate) fn merge(&mut self, other: Self) {
        let moved_by = match (&mut self.ties, other.ties) {
            (Ties::Values(kept, _), Ties::Values(others, _)) => address(kept.append(others), 0),
            (Ties::Listed(listed), Ties::Listed(others)) => {
                listed.extend(others);
                0
            }
            _ => 0,
        };
        for node in 0..other.best.len() {
            let offer = other.best.get(node);
            if offer.address != NO_ROW {
                self.offer(node, Best { address: offer.address + moved_by, ..offer });
                if offer.is_tied() && self.best.get(node).order == offer.order {
                    *self.best.address_mut(node) |= TIED;
                }
            }
        }
    }

    /// Returns whether so many rows are tied that listing them takes more memory than the winners.
    pub(crate) fn has_too_many_ties(&mut self) -> bool {
        let Ties::Listed(listed) = &mut self.ties else { return false };
        let most = LISTED_TIES.max(self.best.len());
        if listed.len() > most {
            listed.retain(|tied| self.best.get(tied.node as usize).order == tied.order);
        }
        listed.len() > most
    }

    /// Returns the ties that are still to be decided, each with all of its rows.
    pub(crate) fn contests(&mut self) -> Vec<Contest> {
        let Ties::Listed(listed) = &mut self.ties else { return Vec::new() };
        let mut listed = std::mem::take(listed);
        listed.retain(|tied| self.best.get(tied.node as usize).order == tied.order);
        listed.sort_unstable_by_key(|tied| (tied.node, tied.row));
        let contest = |tied: &[TiedRow]| {
            let node = tied[0].node as usize;
            let mut rows: Vec<Address> = tied.iter().map(|tied| tied.row).collect();
            rows.push(self.best.get(node).row());
            rows.sort_unstable();
            rows.dedup();
            Contest { node, rows }
        };
        listed.chunk_by(|a, b| a.node == b.node).map(contest).collect()
    }

    /// Decides a contest.
    pub(crate) fn decide(&mut self, contest: &Contest, winner: Address) {
        *self.best.address_mut(contest.node) = winner;
    }

    /// Returns who answers whom. A winner older than the TTL answers nobody: every other candidate
    /// is older still (rule P2).
    pub(crate) fn resolve(self, index: &QuestionIndex, visibility: Visibility) -> Answers {
        let mut addresses = vec![NO_ROW; index.places()];
        let mut undecided = false;
        for key in index.runs() {
            let mut carried = NOTHING;
            for place in key.clone() {
                let best = match self.spread {
                    Spread::ToTheEnd => {
                        carried = self.better(carried, self.best.get(place)).0;
                        carried
                    }
                    Spread::OverRuns => self.best_above(&key, place),
                };
                if best.address != NO_ROW && !visibility.is_too_old(best.order.0, index.time(place)) {
                    addresses[place] = best.row();
                    undecided |= best.is_tied();
                }
            }
        }
        let kept = match self.ties {
            Ties::Values(kept, _) => kept,
            Ties::Listed(_) => KeptRows::default(),
        };
        Answers { addresses, kept, undecided }
    }

    fn best_above(&self, key: &Range<usize>, place: usize) -> Best {
        let mut node = key.len() + (place - key.start);
        let mut best = NOTHING;
        while node >= 1 {
            best = self.better(best, self.best.get(2 * key.start + node)).0;
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
