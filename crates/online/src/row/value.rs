//! Records and lists as they lie in a row: nothing is copied, and nothing is allocated.

use std::ops::Range;

use lodestore_core::{Error, Result};

use super::layout::{Place, RecordLayout, Shape};

/// Values in the order of a view's features or of a struct's fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Record<'a> {
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

    /// Returns a record of bytes that [`Record::new`] took before.
    #[inline]
    pub(super) fn checked(layout: &'a RecordLayout, bytes: &'a [u8]) -> Self {
        Self { layout, bytes }
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

    /// Returns the bytes of a value of fixed width that lies at a place, `None` where it is null.
    #[inline]
    pub(super) fn fixed<const N: usize>(&self, index: usize, at: usize) -> Result<Option<[u8; N]>> {
        if self.bytes[index / 8] >> (index % 8) & 1 == 0 {
            return Ok(None);
        }
        let bytes = self.bytes.get(at..at + N).ok_or_else(|| corrupt("a value lies outside its record"))?;
        array(bytes).map(Some)
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
pub(super) struct Items<'a> {
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
    pub(super) fn len(&self) -> usize {
        self.count
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
