//! Vectors, element by element. A null element is skipped as a null value is.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};

use super::codec::{Reader, Writer};
use super::exact::FloatSum;
use super::places::{Extreme, decode_extreme, keep_extreme};
use super::value::{OwnedValue, encode_option};
use crate::error::{Error, Result};
use crate::types::FeatureType;

/// The exact sum and count of each element; none before the first vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VectorSums(Vec<FloatSum>);

impl VectorSums {
    pub(super) fn combine(&mut self, vector: &ArrayRef, step: fn(&mut FloatSum, f64)) -> Result<()> {
        let elements = elements(vector)?;
        self.0.resize(elements.len().max(self.0.len()), FloatSum::default());
        for (sum, element) in self.0.iter_mut().zip(elements) {
            if let Some(element) = element {
                step(sum, element);
            }
        }
        self.trim();
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self, step: fn(&mut FloatSum, &FloatSum)) {
        self.0.resize(other.0.len().max(self.0.len()), FloatSum::default());
        self.0.iter_mut().zip(&other.0).for_each(|(to, from)| step(to, from));
        self.trim();
    }

    /// Keeps one form of no values.
    fn trim(&mut self) {
        if self.0.iter().all(|sum| sum.count() == 0 && *sum == FloatSum::default()) {
            self.0.clear();
        }
    }

    pub(super) fn finish(&self, result: fn(&FloatSum) -> Option<f64>) -> Option<OwnedValue> {
        let items = self.0.iter().map(|sum| result(sum).map(OwnedValue::Float64));
        (!self.0.is_empty()).then(|| OwnedValue::Items(items.collect()))
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.0.len() as u64);
        self.0.iter().for_each(|sum| sum.encode(to));
    }

    pub(super) fn decode(dim: usize, from: &mut Reader<'_>) -> Result<Self> {
        let length = checked(dim, from.length(3)?)?;
        let mut sums = Self((0..length).map(|_| FloatSum::decode(from)).collect::<Result<_>>()?);
        sums.trim();
        Ok(sums)
    }
}

/// The least or greatest of each element; none before the first vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VectorExtremes(Vec<Option<OwnedValue>>);

impl VectorExtremes {
    pub(super) fn add(&mut self, vector: &ArrayRef, extreme: Extreme) -> Result<()> {
        let OwnedValue::Items(items) = OwnedValue::new(&crate::types::Value::Nested(vector.clone()))? else {
            return Err(Error::internal(format!("{} is no vector", vector.data_type())));
        };
        self.keep(items, extreme);
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self, extreme: Extreme) {
        self.keep(other.0.iter().cloned(), extreme);
    }

    fn keep(&mut self, items: impl IntoIterator<Item = Option<OwnedValue>>, extreme: Extreme) {
        for (i, item) in items.into_iter().enumerate() {
            if self.0.len() <= i {
                self.0.push(None);
            }
            if let Some(item) = item {
                keep_extreme(&mut self.0[i], item, extreme);
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        if self.0.iter().all(Option::is_none) {
            self.0.clear();
        }
    }

    pub(super) fn finish(&self) -> Option<OwnedValue> {
        (!self.0.is_empty()).then(|| OwnedValue::Items(self.0.iter().cloned().collect()))
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.0.len() as u64);
        self.0.iter().for_each(|item| encode_option(item.as_ref(), to));
    }

    pub(super) fn decode(dim: usize, item: &FeatureType, from: &mut Reader<'_>) -> Result<Self> {
        let length = checked(dim, from.length(1)?)?;
        let mut extremes = Self((0..length).map(|_| decode_extreme(item, from)).collect::<Result<_>>()?);
        extremes.trim();
        Ok(extremes)
    }
}

fn checked(dim: usize, length: usize) -> Result<usize> {
    if length != 0 && length != dim {
        return Err(Error::corrupt(format!("a stored vector has {length} elements, not {dim}")));
    }
    Ok(length)
}

/// Returns the elements of a vector, an array of length 1.
fn elements(vector: &ArrayRef) -> Result<Vec<Option<f64>>> {
    let wrong = || Error::internal(format!("{} is no vector", vector.data_type()));
    let items = vector.as_fixed_size_list_opt().filter(|list| list.len() == 1).ok_or_else(wrong)?.value(0);
    match items.data_type() {
        DataType::Float32 => Ok(items.as_primitive::<Float32Type>().iter().map(|item| item.map(f64::from)).collect()),
        DataType::Float64 => Ok(items.as_primitive::<Float64Type>().iter().collect()),
        _ => Err(wrong()),
    }
}
