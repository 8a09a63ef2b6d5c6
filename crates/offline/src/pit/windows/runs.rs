//! States of runs of events, for aggregates that nothing can be taken off of.

use std::ops::Range;

use lodestore_core::Result;
use lodestore_core::aggregation::{Aggregate, State};
use lodestore_core::windows::{BoundAggregations, Events};

/// Events are added to a state one by one in runs up to this long, and merged in blocks of as many beyond.
const BLOCK: usize = 32;

/// Merged states of blocks of a key's events, in a segment tree.
pub(super) struct Runs<'a> {
    bound: &'a BoundAggregations,
    events: &'a Events,
    aggregation: usize,
    key: Range<usize>,
    tree: Vec<State>,
}

impl<'a> Runs<'a> {
    /// Returns the runs of a key's events; `longest` is the longest that will be asked for.
    pub(super) fn new(
        bound: &'a BoundAggregations,
        events: &'a Events,
        aggregation: usize,
        key: Range<usize>,
        longest: usize,
    ) -> Result<Self> {
        let blocks = if longest <= 2 * BLOCK { 0 } else { key.len() / BLOCK };
        let mut runs = Self { bound, events, aggregation, key, tree: Vec::with_capacity(2 * blocks) };
        runs.tree.resize(blocks, runs.aggregate().empty());
        for block in 0..blocks {
            let mut state = runs.aggregate().empty();
            runs.add(&mut state, block * BLOCK..(block + 1) * BLOCK)?;
            runs.tree.push(state);
        }
        for node in (1..blocks).rev() {
            let mut merged = runs.tree[2 * node].clone();
            runs.aggregate().merge(&mut merged, &runs.tree[2 * node + 1])?;
            runs.tree[node] = merged;
        }
        Ok(runs)
    }

    fn aggregate(&self) -> &'a Aggregate {
        &self.bound.as_slice()[self.aggregation].aggregate
    }

    fn add(&self, state: &mut State, run: Range<usize>) -> Result<()> {
        let run = self.key.start + run.start..self.key.start + run.end;
        run.into_iter().try_for_each(|event| self.events.update(self.bound, self.aggregation, state, event))
    }

    /// Returns the state of a run of the key's events.
    pub(super) fn of(&self, run: &Range<usize>) -> Result<State> {
        let mut state = self.aggregate().empty();
        let (first, end) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if self.tree.is_empty() || first >= end {
            self.add(&mut state, run.clone())?;
            return Ok(state);
        }
        self.add(&mut state, run.start..first * BLOCK)?;
        self.add(&mut state, end * BLOCK..run.end)?;
        let blocks = self.tree.len() / 2;
        let (mut left, mut right) = (first + blocks, end + blocks);
        while left < right {
            if left % 2 == 1 {
                self.aggregate().merge(&mut state, &self.tree[left])?;
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.aggregate().merge(&mut state, &self.tree[right])?;
            }
            left /= 2;
            right /= 2;
        }
        Ok(state)
    }
}
