//! Questions that some row answers, in the order of the rows.

use std::sync::Arc;

use super::features::Answer;
use super::fetch::Fetched;
use super::winners::{Address, NO_ROW};

/// The rows that answer questions, and which ones each of them answers.
#[derive(Debug)]
pub(super) struct Answered {
    /// The rows' addresses, ascending, each once.
    pub(super) wanted: Arc<Vec<Address>>,
    /// For each of them where its questions start; one more item at the end.
    starts: Vec<u32>,
    questions: Vec<u32>,
}

impl Answered {
    /// Returns who answers whom; item i of `addresses` is the row that answers question i, or [`NO_ROW`].
    pub(super) fn new(addresses: Vec<Address>) -> Self {
        let answered = addresses.into_iter().zip(0..).filter(|(address, _)| *address != NO_ROW).collect();
        let answered: Vec<(Address, u32)> = by_address(answered);
        let (mut wanted, mut starts) = (Vec::new(), Vec::new());
        for (place, (address, _)) in answered.iter().enumerate() {
            if wanted.last() != Some(address) {
                wanted.push(*address);
                starts.push(place as u32);
            }
        }
        starts.push(answered.len() as u32);
        let questions = answered.into_iter().map(|(_, question)| question).collect();
        Self { wanted: Arc::new(wanted), starts, questions }
    }

    /// Returns which questions fetched rows answer.
    pub(super) fn by(&self, fetched: &Fetched) -> Vec<Answer> {
        let questions = |rank: usize| &self.questions[self.starts[rank] as usize..self.starts[rank + 1] as usize];
        let of_row = |(row, rank)| questions(rank).iter().map(move |question| (*question, row));
        let ranks = fetched.ranks.clone();
        match &fetched.places {
            None => (0..).zip(ranks).flat_map(of_row).collect(),
            Some(places) => places.values().iter().copied().zip(ranks).flat_map(of_row).collect(),
        }
    }
}

/// Sorts answered questions by the address of their rows. Questions with the same row keep their order.
///
/// A radix sort from the lowest digit up: addresses are counted from the table's first row, so few digits do,
/// and there are many of them.
fn by_address(mut answered: Vec<(Address, u32)>) -> Vec<(Address, u32)> {
    const BITS: u32 = 11;
    let digit = |address: Address, shift: u32| (address >> shift) as usize & ((1 << BITS) - 1);
    let greatest = answered.iter().map(|(address, _)| *address).max().unwrap_or(0);
    let mut sorted = vec![(NO_ROW, 0); answered.len()];
    for shift in (0..u64::BITS - greatest.leading_zeros()).step_by(BITS as usize) {
        let mut next = vec![0_usize; (1 << BITS) + 1];
        answered.iter().for_each(|(address, _)| next[digit(*address, shift) + 1] += 1);
        for place in 1..next.len() {
            next[place] += next[place - 1];
        }
        for one in &answered {
            let place = &mut next[digit(one.0, shift)];
            sorted[*place] = *one;
            *place += 1;
        }
        std::mem::swap(&mut answered, &mut sorted);
    }
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answered_questions_are_sorted_by_their_rows() {
        for greatest in [0_u64, 1, 2047, 2048, 1 << 22, 1 << 40, u64::MAX >> 1] {
            let mut random = 7_u64;
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 1) % (greatest + 1)
            };
            let answered: Vec<(Address, u32)> = (0..500).map(|question| (next(), question)).collect();
            let mut expected = answered.clone();
            expected.sort_unstable();
            assert_eq!(by_address(answered), expected, "up to {greatest}");
        }
        assert_eq!(by_address(Vec::new()), []);
    }
}
