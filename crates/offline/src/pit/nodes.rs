//! The best row of each node: of a place, or of a run of places.

use lodestore_core::time::EventTime;

use super::winners::{Address, NO_ROW};
use crate::prefetch::prefetch;

/// What orders rows before their values do.
pub(super) type Order = (EventTime, EventTime);

/// Set in the address of a row that has the same order as others, none of which is known to win.
pub(super) const TIED: Address = 1 << 63;

/// How many bytes the best row of a place takes, about.
pub(crate) const BYTES_A_PLACE: usize = size_of::<Best>();

#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    pub(super) order: Order,
    pub(super) address: Address,
}

pub(super) const NOTHING: Best = Best { order: (EventTime::MIN, EventTime::MIN), address: NO_ROW };

/// The best row of each node. Created times take memory only once some row has one.
#[derive(Debug)]
pub(super) struct Nodes {
    rows: Vec<(EventTime, Address)>,
    created: Vec<EventTime>,
}

impl Nodes {
    pub(super) fn new(count: usize) -> Self {
        Self { rows: vec![(NOTHING.order.0, NOTHING.address); count], created: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    pub(super) fn get(&self, node: usize) -> Best {
        let (event, address) = self.rows[node];
        Best { order: (event, self.created.get(node).copied().unwrap_or(EventTime::MIN)), address }
    }

    #[inline]
    pub(super) fn set(&mut self, node: usize, best: Best) {
        self.rows[node] = (best.order.0, best.address);
        if best.order.1 != EventTime::MIN || !self.created.is_empty() {
            self.set_created(node, best.order.1);
        }
    }

    fn set_created(&mut self, node: usize, created: EventTime) {
        if self.created.is_empty() {
            self.created = vec![EventTime::MIN; self.rows.len()];
        }
        self.created[node] = created;
    }

    /// Asks for the memory that a look at a node needs.
    #[inline]
    pub(super) fn prefetch(&self, node: usize) {
        prefetch(&self.rows, node);
    }

    pub(super) fn address_mut(&mut self, node: usize) -> &mut Address {
        &mut self.rows[node].1
    }

    pub(super) fn addresses_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.rows.iter_mut().map(|(_, address)| address)
    }
}

impl Best {
    pub(super) fn row(self) -> Address {
        if self.address == NO_ROW { NO_ROW } else { self.address & !TIED }
    }

    pub(super) fn is_tied(self) -> bool {
        self.address != NO_ROW && self.address & TIED != 0
    }
}
