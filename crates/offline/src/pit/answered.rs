//! Questions that some row answers, in the order of the rows.

use super::winners::{Address, NO_ROW};

/// Sorts answered questions by the address of their rows. Questions with the same row keep their order.
///
/// A radix sort from the lowest digit up: addresses are counted from the table's first row, so few digits do,
/// and there are many of them.
pub(super) fn by_address(mut answered: Vec<(Address, u32)>) -> Vec<(Address, u32)> {
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

/// Returns for each answered question the rank of its row among the wanted ones.
pub(super) fn ranked(wanted: &[Address], answered: Vec<(Address, u32)>) -> Vec<(u32, u32)> {
    let mut rank = 0;
    let ranks = answered.into_iter().map(|(address, question)| {
        rank += usize::from(wanted[rank] != address);
        (question, rank as u32)
    });
    ranks.collect()
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
