//! Values of a fixed width, each put straight to where its question is.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow::datatypes::DataType;
use lodestore_core::Result;

use super::features::Answer;

/// A feature's values while they are found: any number of threads put them down, in any order, each question's
/// once.
#[derive(Debug)]
pub(super) struct PlacedColumn {
    data_type: DataType,
    cells: Cells,
    /// Which questions are answered by a null; made with the first of them.
    nulls: OnceLock<Vec<AtomicBool>>,
}

// Atomics let threads write beside each other without a lock; their plain writes cost no more than any other.
#[derive(Debug)]
enum Cells {
    Flags(Vec<AtomicBool>),
    FourBytes(Vec<AtomicU32>),
    EightBytes(Vec<AtomicU64>),
}

/// A feature's values, by question.
#[derive(Debug)]
pub(super) struct PlacedValues {
    data_type: DataType,
    values: Values,
    /// Which questions are answered by a null; empty if none is.
    nulls: Vec<bool>,
}

#[derive(Debug)]
enum Values {
    Flags(Vec<bool>),
    Bytes(Buffer, usize),
}

impl PlacedColumn {
    /// Returns whether values of a type are of a width that can be placed.
    pub(super) fn takes(data_type: &DataType) -> bool {
        *data_type == DataType::Boolean || matches!(data_type.primitive_width(), Some(4 | 8))
    }

    /// Returns a column of a type that it [takes](Self::takes), for so many questions.
    pub(super) fn new(data_type: &DataType, questions: usize) -> Self {
        let cells = match data_type.primitive_width() {
            Some(4) => Cells::FourBytes(from_each(vec![0; questions], AtomicU32::new)),
            Some(_) => Cells::EightBytes(from_each(vec![0; questions], AtomicU64::new)),
            None => Cells::Flags(from_each(vec![false; questions], AtomicBool::new)),
        };
        Self { data_type: data_type.clone(), cells, nulls: OnceLock::new() }
    }

    /// Puts down the values that answer questions.
    pub(super) fn place(&self, column: &ArrayRef, answers: &[Answer]) {
        let valid = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let data = column.to_data();
        match &self.cells {
            Cells::Flags(cells) => {
                let values = column.as_boolean();
                self.put(answers, valid.as_ref(), |question, row| cells[question].store(values.value(row), RELAXED));
            }
            Cells::FourBytes(cells) => {
                let values = data.buffer::<u32>(0);
                self.put(answers, valid.as_ref(), |question, row| cells[question].store(values[row], RELAXED));
            }
            Cells::EightBytes(cells) => {
                let values = data.buffer::<u64>(0);
                self.put(answers, valid.as_ref(), |question, row| cells[question].store(values[row], RELAXED));
            }
        }
    }

    fn put(&self, answers: &[Answer], valid: Option<&NullBuffer>, put: impl Fn(usize, usize)) {
        let Some(valid) = valid else {
            return answers.iter().for_each(|&(question, row)| put(question as usize, row as usize));
        };
        let nulls = self.nulls.get_or_init(|| from_each(vec![false; self.len()], AtomicBool::new));
        for &(question, row) in answers {
            if valid.is_valid(row as usize) {
                put(question as usize, row as usize);
            } else {
                nulls[question as usize].store(true, RELAXED);
            }
        }
    }

    fn len(&self) -> usize {
        match &self.cells {
            Cells::Flags(cells) => cells.len(),
            Cells::FourBytes(cells) => cells.len(),
            Cells::EightBytes(cells) => cells.len(),
        }
    }

    /// Ends the putting down.
    pub(super) fn finish(self) -> PlacedValues {
        let values = match self.cells {
            Cells::Flags(cells) => Values::Flags(from_each(cells, AtomicBool::into_inner)),
            Cells::FourBytes(cells) => Values::Bytes(Buffer::from_vec(from_each(cells, AtomicU32::into_inner)), 4),
            Cells::EightBytes(cells) => Values::Bytes(Buffer::from_vec(from_each(cells, AtomicU64::into_inner)), 8),
        };
        let nulls = from_each(self.nulls.into_inner().unwrap_or_default(), AtomicBool::into_inner);
        PlacedValues { data_type: self.data_type, values, nulls }
    }
}

const RELAXED: Ordering = Ordering::Relaxed;

/// Makes items of others of the same size: the collection stays where it is in memory.
pub(super) fn from_each<A, B>(items: Vec<A>, make: impl Fn(A) -> B) -> Vec<B> {
    items.into_iter().map(make).collect()
}

impl PlacedValues {
    /// Returns the values of some questions in a row, null where one is answered by null or, as `answered` tells, not
    /// at all.
    pub(super) fn slice(&self, questions: &Range<usize>, answered: Option<&BooleanArray>) -> Result<ArrayRef> {
        let is_null = |place: usize| self.nulls.get(questions.start + place).copied().unwrap_or(false);
        let is_valid = |place: usize| answered.is_none_or(|answered| answered.value(place)) && !is_null(place);
        let nulls = (answered.is_some() || !self.nulls.is_empty())
            .then(|| NullBuffer::new(BooleanBuffer::collect_bool(questions.len(), is_valid)))
            .filter(|nulls| nulls.null_count() > 0);
        match &self.values {
            Values::Flags(values) => {
                let values = BooleanBuffer::from(&values[questions.clone()]);
                Ok(std::sync::Arc::new(BooleanArray::new(values, nulls)))
            }
            Values::Bytes(bytes, width) => {
                let bytes = bytes.slice_with_length(questions.start * width, questions.len() * width);
                let data = ArrayData::builder(self.data_type.clone()).len(questions.len()).add_buffer(bytes);
                Ok(make_array(data.nulls(nulls).build()?))
            }
        }
    }
}
