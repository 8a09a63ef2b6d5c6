//! Values in PostgreSQL's binary form, one column of them at a time, as Arrow arrays.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder, ListArray, NullBufferBuilder,
    PrimitiveBuilder, StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use lodestore_core::{Error, Result};

use super::types::{ValueType, item_field};

/// Days and microseconds between 1970 and 2000, where PostgreSQL starts to count.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// A column that is being read.
pub(super) trait Values: Send {
    /// Adds a value, `None` for null.
    ///
    /// # Errors
    /// `Invalid` for a value that Arrow's type can't hold, `Corrupt` for bytes that are none of the type.
    /// The message follows the name of the column.
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()>;

    /// Returns the values that were added since the last time.
    fn finish(&mut self) -> Result<ArrayRef>;
}

/// Returns an empty column of a type.
///
/// # Errors
/// `Unsupported` for a type that is not read. The message follows the name of the column.
pub(super) fn values_of(ty: &ValueType) -> Result<Box<dyn Values>> {
    Ok(match ty {
        ValueType::Bool => Box::new(BooleanBuilder::new()),
        ValueType::Int16 => fixed::<Int16Type, 2>(ty, |bytes| Ok(i16::from_be_bytes(bytes))),
        ValueType::Int32 => fixed::<Int32Type, 4>(ty, |bytes| Ok(i32::from_be_bytes(bytes))),
        ValueType::Int64 => fixed::<Int64Type, 8>(ty, |bytes| Ok(i64::from_be_bytes(bytes))),
        ValueType::Float32 => fixed::<Float32Type, 4>(ty, |bytes| Ok(f32::from_be_bytes(bytes))),
        ValueType::Float64 => fixed::<Float64Type, 8>(ty, |bytes| Ok(f64::from_be_bytes(bytes))),
        ValueType::Timestamp | ValueType::LocalTimestamp => fixed::<TimestampMicrosecondType, 8>(ty, timestamp),
        ValueType::Date => fixed::<Date32Type, 4>(ty, date),
        ValueType::Decimal { scale, .. } => {
            let scale = i32::from(*scale);
            primitive::<Decimal128Type>(ty, move |bytes| decimal(bytes, scale))
        }
        ValueType::Text | ValueType::OtherText => Box::new(Texts { builder: StringBuilder::new(), skip: 0 }),
        // A version, then the text.
        ValueType::Jsonb => Box::new(Texts { builder: StringBuilder::new(), skip: 1 }),
        ValueType::Bytes => Box::new(BinaryBuilder::new()),
        ValueType::Uuid => Box::new(FixedSizeBinaryBuilder::new(16)),
        ValueType::List(item) => Box::new(Lists {
            item: (**item).clone(),
            items: values_of(item)?,
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
        }),
        ValueType::Other(name) => {
            return Err(Error::unsupported(format!(
                "has the PostgreSQL type {name}, which is not read; make the source a query that casts it, \
                 as in 'select x::text' or 'select x::numeric(18, 4)'"
            )));
        }
    })
}

fn wrong_length(bytes: &[u8]) -> Error {
    Error::corrupt(format!("has a value of {} bytes, which is none of its type", bytes.len()))
}

/// Takes so many bytes from the front.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

struct Primitives<T: ArrowPrimitiveType, F> {
    builder: PrimitiveBuilder<T>,
    read: F,
}

fn primitive<T: ArrowPrimitiveType>(
    ty: &ValueType,
    read: impl Fn(&[u8]) -> Result<T::Native> + Send + 'static,
) -> Box<dyn Values> {
    Box::new(Primitives { builder: PrimitiveBuilder::<T>::new().with_data_type(ty.arrow()), read })
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(
    ty: &ValueType,
    read: impl Fn([u8; N]) -> Result<T::Native> + Send + 'static,
) -> Box<dyn Values> {
    primitive::<T>(ty, move |bytes| read(bytes.try_into().map_err(|_| wrong_length(bytes))?))
}

impl<T: ArrowPrimitiveType, F: Fn(&[u8]) -> Result<T::Native> + Send> Values for Primitives<T, F> {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        match bytes {
            Some(bytes) => self.builder.append_value((self.read)(bytes)?),
            None => self.builder.append_null(),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.builder.finish()))
    }
}

impl Values for BooleanBuilder {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        match bytes {
            Some([byte]) => self.append_value(*byte != 0),
            Some(other) => return Err(wrong_length(other)),
            None => self.append_null(),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Self::finish(self)))
    }
}

impl Values for BinaryBuilder {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        self.append_option(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Self::finish(self)))
    }
}

impl Values for FixedSizeBinaryBuilder {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        match bytes {
            Some(bytes) => self.append_value(bytes).map_err(|_| wrong_length(bytes)),
            None => {
                self.append_null();
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Self::finish(self)))
    }
}

struct Texts {
    builder: StringBuilder,
    /// How many bytes stand before the text.
    skip: usize,
}

impl Values for Texts {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        let Some(bytes) = bytes else {
            self.builder.append_null();
            return Ok(());
        };
        let text = bytes.get(self.skip..).ok_or_else(|| wrong_length(bytes))?;
        // A database without an encoding (SQL_ASCII) hands over whatever was put into it.
        let text = std::str::from_utf8(text).map_err(|e| Error::corrupt(format!("has text that is no UTF-8: {e}")))?;
        self.builder.append_value(text);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.builder.finish()))
    }
}

struct Lists {
    item: ValueType,
    items: Box<dyn Values>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Lists {
    /// Adds the items of an array and returns how many there are. The array is its number of dimensions, whether
    /// there are nulls, the type of the items, for each dimension its length and lowest index, and the items, each
    /// with its length, -1 for null.
    fn push_items(&mut self, mut bytes: &[u8]) -> Result<i32> {
        let torn = || Error::corrupt("has an array that ends too early");
        let mut next = || take(&mut bytes).map(i32::from_be_bytes).ok_or_else(torn);
        let dimensions = next()?;
        let (_nulls, _type) = (next()?, next()?);
        if dimensions == 0 {
            return Ok(0);
        }
        if dimensions != 1 {
            return Err(Error::invalid(format!(
                "has an array of {dimensions} dimensions; only those of one dimension are read"
            )));
        }
        let (count, _lowest) = (next()?, next()?);
        for _ in 0..count {
            let length = take(&mut bytes).map(i32::from_be_bytes).ok_or_else(torn)?;
            let item = match usize::try_from(length) {
                Ok(length) => Some(bytes.split_off(..length).ok_or_else(torn)?),
                Err(_) => None,
            };
            self.items.push(item)?;
        }
        Ok(count)
    }
}

impl Values for Lists {
    fn push(&mut self, bytes: Option<&[u8]>) -> Result<()> {
        let count = bytes.map_or(Ok(0), |bytes| self.push_items(bytes))?;
        let last = self.offsets.last().copied().unwrap_or(0);
        let next = last.checked_add(count).ok_or_else(|| Error::invalid("has too many items in its arrays"))?;
        self.offsets.push(next);
        self.nulls.append(bytes.is_some());
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let list = ListArray::try_new(item_field(&self.item), offsets, self.items.finish()?, self.nulls.finish())?;
        Ok(Arc::new(list))
    }
}

fn timestamp(bytes: [u8; 8]) -> Result<i64> {
    let micros = i64::from_be_bytes(bytes);
    match micros.checked_add(EPOCH_MICROS) {
        _ if micros == i64::MAX => Err(infinite("infinity")),
        _ if micros == i64::MIN => Err(infinite("-infinity")),
        Some(micros) => Ok(micros),
        None => Err(Error::invalid("has a time beyond the range of 64-bit microseconds since 1970")),
    }
}

fn date(bytes: [u8; 4]) -> Result<i32> {
    let days = i32::from_be_bytes(bytes);
    match days.checked_add(EPOCH_DAYS) {
        _ if days == i32::MAX => Err(infinite("infinity")),
        _ if days == i32::MIN => Err(infinite("-infinity")),
        Some(days) => Ok(days),
        None => Err(Error::invalid("has a date beyond the range of 32-bit days since 1970")),
    }
}

fn infinite(value: &str) -> Error {
    Error::invalid(format!(
        "has the value '{value}', which is no moment; make the source a query that replaces it, \
         as in \"select nullif(valid_to, '{value}') as valid_to\""
    ))
}

/// Reads a number: how many digits it has, of base 10,000, the place of the first one, the sign, how many decimal
/// digits are shown after the point, and the digits. Returns it as a multiple of 10 to the minus `scale`.
fn decimal(bytes: &[u8], scale: i32) -> Result<i128> {
    const NEGATIVE: u16 = 0x4000;
    let torn = || wrong_length(bytes);
    let mut rest = bytes;
    let mut next = || take(&mut rest).map(u16::from_be_bytes).ok_or_else(torn);
    let (count, weight, sign, _shown) = (next()?, next()?.cast_signed(), next()?, next()?);
    if !matches!(sign, 0 | NEGATIVE) {
        return Err(Error::invalid("has a number that is NaN or infinite, which no decimal is"));
    }
    let mut value: i128 = 0;
    for place in 0..i32::from(count) {
        let digit = i128::from(next()?);
        let exponent = 4 * (i32::from(weight) - place) + scale;
        let too_long = || Error::invalid("has a number with more digits than its type");
        let power = 10_i128.checked_pow(exponent.unsigned_abs()).ok_or_else(too_long)?;
        let part = match exponent {
            0.. => digit.checked_mul(power),
            _ => (digit % power == 0).then_some(digit / power),
        };
        value = part.and_then(|part| value.checked_add(part)).ok_or_else(too_long)?;
    }
    Ok(if sign == NEGATIVE { -value } else { value })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    fn number(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let head = [digits.len() as u16, weight.cast_unsigned(), sign, 0];
        head.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect()
    }

    #[test]
    fn numbers_keep_every_digit() -> Result<()> {
        // 12,345,678.9 is the digits 1234, 5678 and 9000 of base 10,000, the first of them at place 1.
        assert_eq!(decimal(&number(1, 0, &[1234, 5678, 9000]), 2)?, 1_234_567_890);
        assert_eq!(decimal(&number(1, 0x4000, &[1]), 0)?, -10_000);
        assert_eq!(decimal(&number(-1, 0, &[25]), 4)?, 25);
        assert_eq!(decimal(&number(0, 0, &[]), 9)?, 0);
        let largest: Vec<u16> = [99].into_iter().chain([9999; 9]).collect();
        assert_eq!(decimal(&number(9, 0, &largest), 0)?, 10_i128.pow(38) - 1);
        Ok(())
    }

    #[test]
    fn numbers_that_no_decimal_holds_are_refused() {
        assert!(decimal(&number(0, 0xC000, &[]), 2).unwrap_err().message().contains("NaN"));
        assert!(decimal(&number(-1, 0, &[25]), 3).unwrap_err().message().contains("more digits"));
        assert!(decimal(&number(20, 0, &[1]), 0).unwrap_err().message().contains("more digits"));
        assert!(decimal(&[0, 1], 0).unwrap_err().message().contains("2 bytes"));
    }

    #[test]
    fn times_count_from_1970_and_infinity_is_none() -> Result<()> {
        assert_eq!(timestamp(1_i64.to_be_bytes())?, 946_684_800_000_001);
        assert_eq!(date((-1_i32).to_be_bytes())?, 10_956);
        for error in [timestamp(i64::MAX.to_be_bytes()).map(|_| ()), date(i32::MIN.to_be_bytes()).map(|_| ())] {
            assert!(error.unwrap_err().message().contains("infinity"));
        }
        assert!(timestamp((i64::MAX - 1).to_be_bytes()).is_err());
        Ok(())
    }

    #[test]
    fn arrays_may_be_null_empty_or_have_nulls_inside() -> Result<()> {
        let array = |parts: &[i32]| parts.iter().flat_map(|part| part.to_be_bytes()).collect::<Vec<u8>>();
        let mut lists = values_of(&ValueType::List(Box::new(ValueType::Int32)))?;
        lists.push(Some(&array(&[1, 1, 23, 3, 1, 4, 7, -1, 4, 9])))?;
        lists.push(None)?;
        lists.push(Some(&array(&[0, 0, 23])))?;
        let read = lists.finish()?;
        let read = read.as_list::<i32>();
        assert_eq!((read.value_length(0), read.is_null(1), read.value_length(2)), (3, true, 0));
        assert_eq!(read.values().as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None, Some(9)]);
        assert!(
            lists.push(Some(&array(&[2, 0, 23, 1, 1, 1, 1, 4, 7]))).unwrap_err().message().contains("2 dimensions")
        );
        assert!(lists.push(Some(&array(&[1, 0, 23, 2, 1, 4, 7]))).unwrap_err().message().contains("too early"));
        Ok(())
    }

    #[test]
    fn bytes_that_are_no_value_are_refused() -> Result<()> {
        for ty in [ValueType::Bool, ValueType::Int64, ValueType::Uuid, ValueType::Date] {
            let error = values_of(&ty)?.push(Some(&[1, 2, 3])).unwrap_err();
            assert_eq!(error.kind(), lodestore_core::ErrorKind::Corrupt, "{ty:?}");
        }
        assert!(values_of(&ValueType::Jsonb)?.push(Some(&[])).is_err());
        assert!(values_of(&ValueType::Text)?.push(Some(&[0xff])).is_err());
        Ok(())
    }
}
