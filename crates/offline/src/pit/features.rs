//! The features that answer the questions about one view: in memory or, where they don't fit, in
//! temporary files.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use lodestore_core::Result;

use super::placed::{PlacedColumn, PlacedValues, from_each};
use super::spill::Spill;

/// A question, and the row of some columns that answers it.
pub(crate) type Answer = (u32, u32);

/// How features are kept until the answer is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As they are found: a row that answers many questions is there once.
    Pieces,
    /// Values of a fixed width go to where their questions are, and are the answer then; others stay in pieces.
    Placed,
}

/// Features of the rows that answer a window of questions.
#[derive(Debug, Clone)]
pub(crate) struct Features(Arc<Found>);

#[derive(Debug)]
struct Found {
    window: Range<usize>,
    columns: Vec<Column>,
    /// For each question whether a row answers it.
    answered: Vec<bool>,
    /// For each question the row that answers it, if some column is in pieces.
    picks: Vec<u64>,
}

#[derive(Debug)]
enum Column {
    Placed(PlacedValues),
    /// The first piece is one null, for questions that no row answers.
    Pieces(Vec<ArrayRef>),
}

/// Which questions are answered, of some in a row, and where in the pieces.
#[derive(Debug)]
pub(crate) struct Picked {
    questions: Range<usize>,
    rows: Vec<(usize, usize)>,
    /// Which questions are answered; nothing if all are.
    pub(crate) answered: Option<BooleanArray>,
}

/// Where the row that answers a question is: the piece, counted from 1, in the upper half, and the row in it.
fn pick(piece: usize, row: u32) -> u64 {
    (piece as u64) << 32 | u64::from(row)
}

impl Features {
    /// Returns which questions are answered, and by what.
    pub(crate) fn picked(&self, questions: &Range<usize>) -> Picked {
        let found = &self.0;
        let questions = questions.start - found.window.start..questions.end - found.window.start;
        let answered = &found.answered[questions.clone()];
        let answered = answered.contains(&false).then(|| BooleanArray::from(answered.to_vec()));
        // Without the piece that is null, the values are put together without a look at nulls.
        let skipped = usize::from(answered.is_none());
        let picks = found.picks.get(questions.clone()).unwrap_or_default();
        let row = |pick: &u64| ((pick >> 32) as usize - skipped, (pick & u64::from(u32::MAX)) as usize);
        Picked { questions, rows: picks.iter().map(row).collect(), answered }
    }

    /// Returns the values of a feature for the questions that were picked, null where no row answers.
    pub(crate) fn values(&self, feature: usize, picked: &Picked) -> Result<ArrayRef> {
        match &self.0.columns[feature] {
            Column::Placed(values) => values.slice(&picked.questions, picked.answered.as_ref()),
            Column::Pieces(pieces) if picked.rows.is_empty() => Ok(pieces[0].slice(0, 0)),
            Column::Pieces(pieces) => {
                let pieces = &pieces[usize::from(picked.answered.is_none())..];
                Ok(interleave(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &picked.rows)?)
            }
        }
    }
}

/// Where the features of a view are put by any number of threads.
#[derive(Debug)]
pub(crate) enum FeatureStore {
    Memory(FeaturesInMemory),
    /// Rows with their questions in temporary files.
    Spilled(Arc<Spill>),
}

/// Features of a window of questions while they are found.
#[derive(Debug)]
pub(crate) struct FeaturesInMemory {
    window: Range<usize>,
    columns: Vec<Filling>,
    answered: Vec<AtomicBool>,
    picks: Vec<AtomicU64>,
    /// Pieces of the columns that are not placed.
    pieces: Mutex<Vec<Vec<ArrayRef>>>,
}

#[derive(Debug)]
enum Filling {
    Placed(PlacedColumn),
    Pieces(DataType),
}

impl FeaturesInMemory {
    /// Returns a place for features of these types that answer a window of questions.
    pub(super) fn new(window: Range<usize>, types: &[DataType], layout: Layout) -> Self {
        let column = |ty: &DataType| match layout {
            Layout::Placed if PlacedColumn::takes(ty) => Filling::Placed(PlacedColumn::new(ty, window.len())),
            _ => Filling::Pieces(ty.clone()),
        };
        let columns: Vec<Filling> = types.iter().map(column).collect();
        let in_pieces = columns.iter().any(|column| matches!(column, Filling::Pieces(_)));
        let picks = from_each(vec![0; if in_pieces { window.len() } else { 0 }], AtomicU64::new);
        let answered = from_each(vec![false; window.len()], AtomicBool::new);
        Self { window, columns, answered, picks, pieces: Mutex::default() }
    }

    /// Returns which features are fetched together: so many at a time, but all that are in pieces.
    fn blocks(&self, at_a_time: usize) -> Vec<Vec<usize>> {
        let is_placed = |feature: &usize| matches!(self.columns[*feature], Filling::Placed(_));
        let (placed, in_pieces): (Vec<usize>, Vec<usize>) = (0..self.columns.len()).partition(is_placed);
        let blocks = std::iter::once(in_pieces.as_slice()).chain(placed.chunks(at_a_time));
        blocks.filter(|block| !block.is_empty()).map(<[usize]>::to_vec).collect()
    }

    /// Adds some features of rows, and what these answer.
    pub(super) fn add(&self, features: &[usize], columns: Vec<ArrayRef>, answers: &[Answer]) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let first = self.window.start as u32;
        let moved: Vec<Answer>;
        let answers = if first == 0 {
            answers
        } else {
            moved = answers.iter().map(|&(question, row)| (question - first, row)).collect();
            &moved
        };
        let mut in_pieces = Vec::new();
        for (feature, column) in features.iter().zip(columns) {
            match &self.columns[*feature] {
                Filling::Placed(placed) => placed.place(&column, answers),
                Filling::Pieces(_) => in_pieces.push(column),
            }
        }
        if !in_pieces.is_empty() {
            self.add_piece(in_pieces, answers)?;
        }
        if features.first() == Some(&0) {
            answers.iter().for_each(|(question, _)| self.answered[*question as usize].store(true, Ordering::Relaxed));
        }
        Ok(())
    }

    fn add_piece(&self, columns: Vec<ArrayRef>, answers: &[Answer]) -> Result<()> {
        let (rows, places) = wanted_rows(columns[0].len(), answers);
        let columns = if rows.len() == columns[0].len() {
            columns
        } else {
            columns.iter().map(|column| Ok(take(column, &rows, None)?)).collect::<Result<_>>()?
        };
        let piece = {
            let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces.push(columns);
            pieces.len()
        };
        for &(question, row) in answers {
            self.picks[question as usize].store(pick(piece, places[row as usize]), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Ends the adding.
    pub(super) fn finish(self) -> Features {
        let mut pieces = self.pieces.into_inner().unwrap_or_else(PoisonError::into_inner);
        pieces.iter_mut().for_each(|piece| piece.reverse());
        let column = |filling| match filling {
            Filling::Placed(placed) => Column::Placed(placed.finish()),
            Filling::Pieces(ty) => {
                let found = pieces.iter_mut().filter_map(Vec::pop);
                Column::Pieces(std::iter::once(new_null_array(&ty, 1)).chain(found).collect())
            }
        };
        let columns = self.columns.into_iter().map(column).collect();
        let answered = from_each(self.answered, AtomicBool::into_inner);
        let picks = from_each(self.picks, AtomicU64::into_inner);
        Features(Arc::new(Found { window: self.window, columns, answered, picks }))
    }
}

/// Returns which of so many rows answer questions, ascending, and for each row its place among these.
fn wanted_rows(count: usize, answers: &[Answer]) -> (UInt32Array, Vec<u32>) {
    let mut is_wanted = vec![false; count];
    answers.iter().for_each(|(_, row)| is_wanted[*row as usize] = true);
    let (mut rows, mut places) = (Vec::new(), Vec::with_capacity(count));
    for (row, is_wanted) in is_wanted.into_iter().enumerate() {
        places.push(rows.len() as u32);
        if is_wanted {
            rows.push(row as u32);
        }
    }
    (rows.into(), places)
}

impl FeatureStore {
    /// Returns which features, by their places, are fetched together; all are unless it is to be so many at a time.
    pub(crate) fn blocks(&self, at_a_time: Option<usize>, features: usize) -> Vec<Vec<usize>> {
        match (self, at_a_time) {
            (Self::Memory(memory), Some(at_a_time)) => memory.blocks(at_a_time),
            _ => vec![(0..features).collect()],
        }
    }

    /// Adds all features of rows, and what these answer.
    pub(crate) fn add_all(&self, columns: Vec<ArrayRef>, answers: &[Answer]) -> Result<()> {
        self.add(&(0..columns.len()).collect::<Vec<_>>(), columns, answers)
    }

    /// Adds some features of rows, given by their places, ascending, and what these answer. In temporary files, all
    /// of a row's features come together.
    pub(crate) fn add(&self, features: &[usize], columns: Vec<ArrayRef>, answers: &[Answer]) -> Result<()> {
        match self {
            Self::Memory(memory) => memory.add(features, columns, answers),
            Self::Spilled(spill) => spill.write(&columns, answers),
        }
    }

    /// Ends the adding.
    pub(crate) fn finish(self) -> Result<StoredFeatures> {
        match self {
            Self::Memory(memory) => Ok(StoredFeatures::Memory(memory.finish())),
            Self::Spilled(spill) => {
                spill.finish()?;
                Ok(StoredFeatures::Spilled(spill))
            }
        }
    }
}

/// The features of a view for all questions.
#[derive(Debug)]
pub(crate) enum StoredFeatures {
    Memory(Features),
    Spilled(Arc<Spill>),
}

impl StoredFeatures {
    /// Returns how many bytes are in temporary files.
    pub(crate) fn bytes_spilled(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Spilled(spill) => spill.bytes(),
        }
    }

    /// Returns the features of a window of questions.
    pub(crate) fn window(&self, window: &Range<usize>) -> Result<Features> {
        match self {
            Self::Memory(features) => Ok(features.clone()),
            Self::Spilled(spill) => spill.read(window),
        }
    }
}
