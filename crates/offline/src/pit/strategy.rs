//! Which way a view's questions are answered, and within which memory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::DataType;
use lodestore_core::Result;

use super::features::{FeatureStore, FeaturesInMemory, Layout};
use super::fetch::Density;
use super::index::BYTES_A_QUESTION;
use super::nodes::BYTES_A_PLACE;
use super::spill::Spill;
use crate::source::TableScan;

/// A way to answer the questions about a view. All give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// One pass over keys and times, then the features of the winners.
    FetchLate(Density),
    /// One pass over whole rows; the features of those that win so far are kept.
    KeepRows,
    /// The rows in memory, by key and time; each question is looked up in them.
    BuildRows,
    /// The events in memory, by key and time; windows are runs of them.
    Windows,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FetchLate(Density::Chosen) => "one pass over keys and times, features fetched late",
            Self::FetchLate(Density::Dense) => {
                "one pass over keys and times, features fetched late from whole row groups"
            }
            Self::FetchLate(Density::Sparse) => "one pass over keys and times, features fetched late row by row",
            Self::KeepRows => "one pass over whole rows, features of winners kept",
            Self::BuildRows => "rows in memory, questions looked up",
            Self::Windows => "one pass over events, windows as runs of them",
        })
    }
}

/// Choices that are made by statistics, and can be made beforehand: for tests, and where one knows better.
#[derive(Debug, Clone, Default)]
pub struct Tuning {
    /// How views are answered, where they can be answered in this way.
    pub strategy: Option<ForcedStrategy>,
    /// Into how many parts the questions are split.
    pub parts: Option<usize>,
    /// Whether features are written to temporary files, in windows of so many questions.
    pub spill_window: Option<usize>,
    /// Whether fetched features go straight to where their questions are, so many columns at a time.
    pub columns_at_a_time: Option<usize>,
}

/// A strategy that is to be taken wherever it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedStrategy {
    /// One pass over keys and times, features fetched late, by what is measured.
    FetchLate,
    /// The same, features decoded from whole row groups.
    FetchDense,
    /// The same, features decoded row by row.
    FetchSparse,
    /// One pass over whole rows.
    KeepRows,
    /// The rows in memory.
    BuildRows,
}

/// What is known of a view and its questions when the way is chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// The rows have addresses.
    pub(crate) is_addressable: bool,
    /// Rows stay candidates once they are.
    pub(crate) is_to_the_end: bool,
    /// How many rows there are, if that is known.
    pub(crate) rows: Option<u64>,
    /// How many questions there are.
    pub(crate) questions: usize,
}

/// A table with this many times fewer rows than there are questions is held in memory.
const FEWER_ROWS: u64 = 4;

/// Chooses the way; says why.
pub(crate) fn choose(known: Known, forced: Option<ForcedStrategy>) -> (Strategy, String) {
    let late = known.is_addressable && known.is_to_the_end;
    let forced = match forced {
        Some(ForcedStrategy::FetchLate) if late => Some(Strategy::FetchLate(Density::Chosen)),
        Some(ForcedStrategy::FetchDense) if late => Some(Strategy::FetchLate(Density::Dense)),
        Some(ForcedStrategy::FetchSparse) if late => Some(Strategy::FetchLate(Density::Sparse)),
        Some(ForcedStrategy::KeepRows) => Some(Strategy::KeepRows),
        Some(ForcedStrategy::BuildRows) if known.is_to_the_end => Some(Strategy::BuildRows),
        _ => None,
    };
    if let Some(strategy) = forced {
        return (strategy, "as set".into());
    }
    let questions = known.questions as u64;
    match known.rows {
        _ if !known.is_to_the_end => (Strategy::KeepRows, "its rows cease to be valid".into()),
        Some(rows) if rows.saturating_mul(FEWER_ROWS) <= questions => {
            (Strategy::BuildRows, format!("its {rows} rows are far fewer than the {questions} questions"))
        }
        _ if !late => (Strategy::KeepRows, "its rows can't be read again by their addresses".into()),
        Some(rows) => (Strategy::FetchLate(Density::Chosen), format!("{questions} questions about {rows} rows")),
        None => (Strategy::FetchLate(Density::Chosen), format!("{questions} questions")),
    }
}

/// How much memory the answers may take, and where they go if that is not enough.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// What the join may hold, in bytes; no limit where it is left out.
    pub(crate) memory: Option<usize>,
    /// How many bytes an answered question has, about, the features of all views together.
    pub(crate) answer_width: usize,
    /// Where temporary files are made; the system's place for them where it is left out.
    pub(crate) spill_folder: Option<PathBuf>,
    /// Choices that were made beforehand.
    pub(crate) tuning: Tuning,
}

/// So many columns are decoded at a time where more would only take more memory.
const COLUMNS_AT_A_TIME: usize = 3;

/// The least number of questions that a window has, unless there are fewer.
const LEAST_WINDOW: usize = 64 * 1024;

impl Limits {
    /// Returns into how many parts questions are split, so that their index and the winners' addresses
    /// fit into half of the memory; the other half is for what is decoded and fetched.
    pub(crate) fn parts(&self, questions: usize, threads: usize) -> usize {
        self.parts_of(questions, BYTES_A_QUESTION + BYTES_A_QUESTION / 2 + threads * BYTES_A_PLACE)
    }

    /// Returns into how many parts questions are split where the winners' features are kept as well.
    pub(crate) fn parts_keeping(&self, questions: usize, threads: usize, types: &[DataType]) -> usize {
        let row = threads * (BYTES_A_PLACE + 3 * width(types));
        self.parts_of(questions, BYTES_A_QUESTION + BYTES_A_QUESTION / 2 + row)
    }

    /// Returns into how many parts questions are split so that the events of their keys fit.
    pub(crate) fn parts_of_events(&self, events: usize, questions: usize, types: &[DataType]) -> usize {
        // Its key's number, its times and what decoding holds, with room to spare.
        const BYTES_AN_EVENT: usize = 48;
        let bytes = events.saturating_mul(BYTES_AN_EVENT + width(types)) / questions.max(1);
        self.parts_of(questions, bytes + BYTES_A_QUESTION + BYTES_A_QUESTION / 2)
    }

    fn parts_of(&self, questions: usize, bytes_each: usize) -> usize {
        let by_memory = self.memory.map(|memory| (questions * bytes_each).div_ceil((memory / 2).max(1)));
        self.tuning.parts.or(by_memory).unwrap_or(1).clamp(1, questions.max(1))
    }

    /// Returns whether the features of so many rows go to temporary files.
    fn spills(&self, rows: usize, types: &[DataType]) -> bool {
        let share = width(types) as f64 / self.answer_width.max(1) as f64;
        let fits = |memory: usize| (2 * rows * width(types)) as f64 <= memory as f64 / 2.0 * share;
        self.tuning.spill_window.is_some() || self.memory.is_some_and(|memory| !fits(memory))
    }

    /// Returns a place for the features of so many rows, which answer so many questions.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn store(
        &self,
        questions: usize,
        rows: usize,
        types: &[DataType],
        layout: Layout,
    ) -> Result<FeatureStore> {
        if !self.spills(if layout == Layout::Placed { questions } else { rows }, types) {
            return Ok(FeatureStore::Memory(FeaturesInMemory::new(0..questions, types, layout)));
        }
        let spill = Spill::new(self.spill_folder.as_deref(), questions, self.window(questions), types)?;
        Ok(FeatureStore::Spilled(Arc::new(spill)))
    }

    /// Returns how the features of so many rows, which answer so many questions, are kept: rows that answer many
    /// take less memory as they are.
    pub(crate) fn layout(&self, questions: usize, rows: usize) -> Layout {
        let is_placed = self.tuning.columns_at_a_time.is_some() || 2 * rows >= questions;
        if is_placed { Layout::Placed } else { Layout::Pieces }
    }

    /// Returns how many columns of a scan are decoded at a time, if not all.
    pub(crate) fn columns_at_a_time(&self, scan: &TableScan) -> Option<usize> {
        self.tuning.columns_at_a_time.or_else(|| scan.suits_blocks().then_some(COLUMNS_AT_A_TIME))
    }

    /// Returns how many questions are answered from one temporary file.
    pub(crate) fn window(&self, questions: usize) -> usize {
        let by_memory = self.memory.map(|memory| (memory / 8 / self.answer_width.max(1)).max(LEAST_WINDOW));
        self.tuning.spill_window.or(by_memory).unwrap_or(questions).clamp(1, questions.max(1))
    }
}

/// Returns how many bytes a row of these types has, about.
pub(crate) fn width(types: &[DataType]) -> usize {
    /// A text or list, taken to be rather long.
    const VARIABLE: usize = 48;
    types.iter().map(|ty| ty.primitive_width().unwrap_or(VARIABLE)).sum::<usize>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { is_addressable: true, is_to_the_end: true, rows: Some(1000), questions: 100 };

    #[test]
    fn the_way_follows_from_what_is_known() {
        let check = |known, expected| assert_eq!(choose(known, None).0, expected, "{known:?}");
        check(KNOWN, Strategy::FetchLate(Density::Chosen));
        check(Known { questions: 4000, ..KNOWN }, Strategy::BuildRows);
        check(Known { is_addressable: false, rows: None, ..KNOWN }, Strategy::KeepRows);
        check(Known { is_to_the_end: false, questions: 4000, ..KNOWN }, Strategy::KeepRows);
        let forced = |known, force| choose(known, Some(force)).0;
        assert_eq!(forced(KNOWN, ForcedStrategy::FetchSparse), Strategy::FetchLate(Density::Sparse));
        let no_addresses = Known { is_addressable: false, ..KNOWN };
        assert_eq!(forced(no_addresses, ForcedStrategy::FetchSparse), Strategy::KeepRows);
    }

    #[test]
    fn less_memory_means_more_parts_and_smaller_windows() {
        let limits = |memory| Limits { memory, answer_width: 144, spill_folder: None, tuning: Tuning::default() };
        let types = vec![DataType::Float64; 18];
        assert_eq!((limits(None).parts(10_000_000, 2), limits(None).spills(10_000_000, &types)), (1, false));
        let small = limits(Some(500_000_000));
        assert_eq!((small.parts(10_000_000, 2), small.spills(10_000_000, &types)), (5, true));
        assert!(!small.spills(100_000, &types));
        assert_eq!(small.window(10_000_000), 434_027);
    }
}
