//! Bytes of states: numbers of seven bits a byte, and what follows them.

use crate::error::{Error, Result};

/// Appends to bytes.
#[derive(Debug)]
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Writes a number, seven bits a byte, the lowest first; the highest bit says that more follow.
    pub(super) fn natural(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    /// Writes a signed number so that small ones of both signs are short.
    pub(super) fn integer(&mut self, value: i64) {
        self.natural(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// Writes bytes after their length.
    pub(super) fn sized(&mut self, bytes: &[u8]) {
        self.natural(bytes.len() as u64);
        self.bytes(bytes);
    }
}

/// Reads from bytes, which it never trusts.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| {
            Error::corrupt(format!(
                "a stored aggregate ends early: {length} bytes should follow, not {}",
                self.rest.len()
            ))
        })?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn flag(&mut self) -> Result<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::corrupt(format!("a flag of a stored aggregate is 0 or 1, not {other}"))),
        }
    }

    pub(super) fn natural(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("a number of a stored aggregate has more than 64 bits"))
    }

    pub(super) fn integer(&mut self) -> Result<i64> {
        let value = self.natural()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// Returns how many items follow, each of `least` bytes or more: never more than there are bytes for.
    pub(super) fn length(&mut self, least: usize) -> Result<usize> {
        let length = self.natural()?;
        if length.saturating_mul(least.max(1) as u64) > self.rest.len() as u64 {
            return Err(Error::corrupt(format!("a stored aggregate is too short for {length} items")));
        }
        Ok(length as usize)
    }

    pub(super) fn sized(&mut self) -> Result<&'a [u8]> {
        let length = self.length(1)?;
        self.bytes(length)
    }

    /// Ends reading.
    pub(super) fn end(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Error::corrupt(format!("{} bytes follow a stored aggregate", self.rest.len())))
    }
}
