//! Sums and means of values that count half after each half life.
//!
//! A value v of time t weighs `2^-((e - t) / h)` in a question at e. Time is cut into cells of one half
//! life on the UTC epoch. Within a cell a value is weighed as of the cell's end, `v * 2^((t - end) / h)`, rounded
//! once, and added exactly; from cell to cell weights differ by whole powers of two, which are exact as well.
//! So neither order nor merging shows in the bits. `2^x` is that of the crate `libm`, the same on every machine.

use super::codec::{Reader, Writer};
use super::exact::{Dyadic, ExactSum};
use crate::error::{Error, Result};
use crate::time::Micros;

/// What lies further back than this many half lives adds nothing to a float, and goes.
const FARTHEST: i64 = 2_200;

/// Values and weights in cells of one half life.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecayedSum {
    /// Ordered by index; none is more than [`FARTHEST`] below the last.
    cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq)]
struct Cell {
    index: i64,
    values: ExactSum,
    weights: ExactSum,
}

impl DecayedSum {
    /// Adds a value of a time in microseconds.
    pub fn add(&mut self, time: i64, value: f64, half_life: Micros) {
        let (index, part) = cell_of(time, half_life);
        let weight = libm::exp2(part - 1.0);
        if let Some(cell) = self.cell(index) {
            cell.values.add(value * weight);
            cell.weights.add(weight);
        }
    }

    /// Returns the cell of an index, `None` if it lies too far back.
    fn cell(&mut self, index: i64) -> Option<&mut Cell> {
        let last = self.cells.last().map_or(index, |cell| cell.index.max(index));
        if is_far(index, last) {
            return None;
        }
        let place = match self.cells.binary_search_by_key(&index, |cell| cell.index) {
            Ok(place) => place,
            Err(place) => {
                let cell = Cell { index, values: ExactSum::default(), weights: ExactSum::default() };
                self.cells.insert(place, cell);
                let far = self.cells.iter().take_while(|cell| is_far(cell.index, last)).count();
                self.cells.drain(..far);
                place - far
            }
        };
        self.cells.get_mut(place)
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        // The latest first: it decides what is too old.
        for from in other.cells.iter().rev() {
            if let Some(to) = self.cell(from.index) {
                to.values.merge(&from.values);
                to.weights.merge(&from.weights);
            }
        }
    }

    /// Returns the sum as of a time: the exact sum of the weighed values at the end of the time's cell,
    /// rounded, times the rest of the weight, rounded again. `None` of no values. No value is later than the time.
    #[must_use]
    pub fn sum(&self, at: i64, half_life: Micros) -> Option<f64> {
        let last = self.cells.last()?.index;
        let (index, part) = cell_of(at, half_life);
        let rest = libm::exp2(1.0 - part);
        if let Some(special) = special(self.cells.iter().map(|cell| &cell.values)) {
            return Some(special);
        }
        // Past this all is 0 anyway, and the exponent stays small.
        let age = index.saturating_sub(last).clamp(0, 2 * FARTHEST);
        Some(total(self.cells.iter().map(|cell| (&cell.values, cell.index - last))).scaled(-age).round() * rest)
    }

    /// Returns the weighted mean: the exact quotient of the weighed values and the weights, rounded once. It is the
    /// same at any time. `None` of no values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let last = self.cells.last()?.index;
        let special = special(self.cells.iter().map(|cell| &cell.values));
        Some(special.unwrap_or_else(|| {
            let values = total(self.cells.iter().map(|cell| (&cell.values, cell.index - last)));
            values.ratio(&total(self.cells.iter().map(|cell| (&cell.weights, cell.index - last))))
        }))
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.cells.len() as u64);
        for cell in &self.cells {
            to.integer(cell.index);
            cell.values.encode(to);
            cell.weights.encode(to);
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let mut cells: Vec<Cell> = Vec::new();
        for _ in 0..from.length(5)? {
            let cell =
                Cell { index: from.integer()?, values: ExactSum::decode(from)?, weights: ExactSum::decode(from)? };
            // Every weight is half or more, so that no weight is 0 and none is none.
            let weighs = cell.weights.special().is_none() && cell.weights.round() >= 0.5;
            if cells.last().is_some_and(|last| last.index >= cell.index) || !weighs {
                return Err(Error::corrupt("the cells of a stored decayed sum are out of order or weigh nothing"));
            }
            cells.push(cell);
        }
        let last = cells.last().map_or(0, |cell| cell.index);
        if cells.first().is_some_and(|first| is_far(first.index, last)) {
            return Err(Error::corrupt("a cell of a stored decayed sum is too old"));
        }
        Ok(Self { cells })
    }
}

/// Returns the index of a time's cell, and how much of the cell has passed by then: 0 to 1.
fn cell_of(time: i64, half_life: Micros) -> (i64, f64) {
    let length = half_life.as_micros().max(1);
    (time.div_euclid(length), time.rem_euclid(length) as f64 / length as f64)
}

fn is_far(index: i64, last: i64) -> bool {
    last.saturating_sub(index) > FARTHEST
}

fn total<'a>(parts: impl Iterator<Item = (&'a ExactSum, i64)>) -> Dyadic {
    parts.fold(Dyadic::zero(), |total, (part, age)| total.plus(&part.total().scaled(age)))
}

/// Returns NaN or the infinity that a sum of sums is.
fn special<'a>(parts: impl Iterator<Item = &'a ExactSum>) -> Option<f64> {
    let sum = parts.filter_map(ExactSum::special).reduce(|left, right| left + right)?;
    // Machines disagree about the bits of a new NaN.
    Some(if sum.is_nan() { f64::NAN } else { sum })
}
