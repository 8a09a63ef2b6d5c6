//! Values as they lie in a row: nothing is copied, and nothing is allocated.

use std::ops::Range;

use lodestore_core::{Error, Result};

use super::layout::{Place, RecordLayout, Shape};

/// A value that is not null, read where it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// A signed integer of 32 bits.
    Int32(i32),
    /// A signed integer of 64 bits.
    Int64(i64),
    /// A number of 32 bits.
    Float32(f32),
    /// A number of 64 bits.
    Float64(f64),
    /// UTC microseconds since 1970-01-01.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// `unscaled` divided by 10 to the power of `scale`.
    Decimal {
        /// The number without its point.
        unscaled: i128,
        /// Digits after the point.
        scale: i8,
    },
    /// A string, JSON text or a UUID in its text form.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The items of a list, set or vector.
    List(Items<'a>),
    /// The pairs of a map, each a [`Value::Record`] of key and value.
    Map(Items<'a>),
    /// The fields of a struct.
    Record(Record<'a>),
}

impl<'a> Value<'a> {
    pub(super) fn read(shape: &'a Shape, bytes: &'a [u8]) -> Result<Self> {
        Ok(match shape {
            Shape::Bool => match bytes {
                [0] => Self::Bool(false),
                [1] => Self::Bool(true),
                _ => return Err(corrupt("a bool is neither 0 nor 1")),
            },
            Shape::Int32 => Self::Int32(i32::from_le_bytes(array(bytes)?)),
            Shape::Int64 => Self::Int64(i64::from_le_bytes(array(bytes)?)),
            Shape::Float32 => Self::Float32(f32::from_le_bytes(array(bytes)?)),
            Shape::Float64 => Self::Float64(f64::from_le_bytes(array(bytes)?)),
            Shape::Timestamp => Self::Timestamp(i64::from_le_bytes(array(bytes)?)),
            Shape::Date => Self::Date(i32::from_le_bytes(array(bytes)?)),
            Shape::Decimal { scale } => Self::Decimal { unscaled: i128::from_le_bytes(array(bytes)?), scale: *scale },
            Shape::Text => Self::Text(std::str::from_utf8(bytes).map_err(|_| corrupt("a text is not UTF-8"))?),
            Shape::Bytes => Self::Bytes(bytes),
            Shape::List(item) => Self::List(Items::counted(item, bytes)?),
            Shape::Map(pair) => Self::Map(Items::counted(pair, bytes)?),
            Shape::Vector { item, dim } => Self::List(Items::new(item, *dim, bytes)?),
            Shape::Record(layout) => Self::Record(Record::new(layout, bytes)?),
        })
    }
}

/// Values in the order of a view's features or of a struct's fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    layout: &'a RecordLayout,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    #[inline]
    pub(super) fn new(layout: &'a RecordLayout, bytes: &'a [u8]) -> Result<Self> {
        let rest = bytes.len().checked_sub(layout.head).ok_or_else(|| corrupt("a record is too short"))?;
        let record = Self { layout, bytes };
        let end = if layout.variables == 0 { 0 } else { record.end(layout.variables - 1)? };
        if end != rest {
            return Err(corrupt("a record is not as long as its values"));
        }
        Ok(record)
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layout.fields.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layout.fields.is_empty()
    }

    /// Returns the value at a place, `None` where it is null.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a value of its type; `Internal` if there is no such place.
    #[inline]
    pub fn value(&self, index: usize) -> Result<Option<Value<'a>>> {
        let Some(bytes) = self.slot(index)? else { return Ok(None) };
        Value::read(&self.layout.fields[index].shape, bytes).map(Some)
    }

    /// Returns the bytes of a value, `None` where it is null.
    #[inline]
    pub(super) fn slot(&self, index: usize) -> Result<Option<&'a [u8]>> {
        let field = self.layout.fields.get(index).ok_or_else(|| Error::internal("a record has fewer values"))?;
        if self.bytes[index / 8] >> (index % 8) & 1 == 0 {
            return Ok(None);
        }
        let range = match field.place {
            Place::Fixed { at, width } => at..at + width,
            Place::Variable { index } => self.variable(index)?,
        };
        self.bytes.get(range).map(Some).ok_or_else(|| corrupt("a value lies outside its record"))
    }

    fn variable(&self, index: usize) -> Result<Range<usize>> {
        let start = if index == 0 { 0 } else { self.end(index - 1)? };
        Ok(self.layout.head + start..self.layout.head + self.end(index)?)
    }

    fn end(&self, index: usize) -> Result<usize> {
        number(self.bytes, self.layout.ends_at + 4 * index)
    }
}

/// The items of a list, set, vector or map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Items<'a> {
    shape: &'a Shape,
    count: usize,
    /// Which are not null; empty if none is.
    bits: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    pub(super) fn counted(shape: &'a Shape, bytes: &'a [u8]) -> Result<Self> {
        Self::new(shape, number(bytes, 0)?, &bytes[4..])
    }

    pub(super) fn new(shape: &'a Shape, count: usize, bytes: &'a [u8]) -> Result<Self> {
        let short = || corrupt("a list is too short");
        let (flag, bytes) = bytes.split_first().ok_or_else(short)?;
        let (bits, rest) = match flag {
            0 => (&bytes[..0], bytes),
            1 => bytes.split_at_checked(count.div_ceil(8)).ok_or_else(short)?,
            _ => return Err(corrupt("a list does not say whether an item is null")),
        };
        let items = Self { shape, count, bits, rest };
        let width = shape.fixed_width().unwrap_or(4);
        let head = count.checked_mul(width).filter(|&head| head <= rest.len()).ok_or_else(short)?;
        let tail = if shape.fixed_width().is_some() || count == 0 { 0 } else { number(rest, 4 * (count - 1))? };
        if tail != rest.len() - head {
            return Err(corrupt("a list is not as long as its items"));
        }
        Ok(items)
    }

    /// Returns how many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the item at a place, `None` where it is null.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a value of its type; `Internal` if there is no such place.
    pub fn value(&self, index: usize) -> Result<Option<Value<'a>>> {
        let Some(bytes) = self.slot(index)? else { return Ok(None) };
        Value::read(self.shape, bytes).map(Some)
    }

    /// Returns the items, in order.
    pub fn iter(self) -> impl Iterator<Item = Result<Option<Value<'a>>>> {
        (0..self.count).map(move |index| self.value(index))
    }

    /// Returns the bytes of all items, if none is null and all have the same width.
    pub(super) fn as_fixed(&self) -> Option<&'a [u8]> {
        (self.bits.is_empty() && self.shape.fixed_width().is_some()).then_some(self.rest)
    }

    pub(super) fn slot(&self, index: usize) -> Result<Option<&'a [u8]>> {
        if index >= self.count {
            return Err(Error::internal("a list has fewer items"));
        }
        if !self.bits.is_empty() && self.bits[index / 8] >> (index % 8) & 1 == 0 {
            return Ok(None);
        }
        let range = match self.shape.fixed_width() {
            Some(width) => index * width..(index + 1) * width,
            None => {
                let start = if index == 0 { 0 } else { number(self.rest, 4 * (index - 1))? };
                4 * self.count + start..4 * self.count + number(self.rest, 4 * index)?
            }
        };
        self.rest.get(range).map(Some).ok_or_else(|| corrupt("an item lies outside its list"))
    }
}

/// Returns the 32-bit number at a place.
#[inline]
fn number(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..at + 4).ok_or_else(|| corrupt("a length is missing"))?;
    Ok(u32::from_le_bytes(array(bytes)?) as usize)
}

#[inline]
pub(super) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| corrupt("a value is too short"))
}

#[cold]
pub(super) fn corrupt(what: &str) -> Error {
    Error::corrupt(format!("a stored row is damaged: {what}"))
}
