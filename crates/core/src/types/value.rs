//! Single values, read where they lie, and arrays made of them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, PrimitiveBuilder, StringBuilder, new_null_array,
};
use arrow::array::{BinaryBuilder, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use super::FeatureType;
use crate::error::{Error, Result};

/// A value of a feature that is not null.
#[derive(Debug, Clone, PartialEq)]
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
    /// A list, set, vector, struct or map: an array of length 1.
    Nested(ArrayRef),
}

impl<'a> Value<'a> {
    /// Returns the value at a row of an array, `None` where it is null.
    ///
    /// # Errors
    /// `Internal` for an array of a type that no feature has.
    pub fn of(array: &'a dyn Array, row: usize) -> Result<Option<Self>> {
        if array.is_null(row) {
            return Ok(None);
        }
        Ok(Some(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(row)),
            DataType::Int32 => Self::Int32(primitive::<Int32Type>(array, row)),
            DataType::Int64 => Self::Int64(primitive::<Int64Type>(array, row)),
            DataType::Float32 => Self::Float32(primitive::<Float32Type>(array, row)),
            DataType::Float64 => Self::Float64(primitive::<Float64Type>(array, row)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(primitive::<TimestampMicrosecondType>(array, row))
            }
            DataType::Date32 => Self::Date(primitive::<Date32Type>(array, row)),
            DataType::Decimal128(_, scale) => {
                Self::Decimal { unscaled: primitive::<Decimal128Type>(array, row), scale: *scale }
            }
            DataType::Utf8 => Self::Text(array.as_string::<i32>().value(row)),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().value(row)),
            DataType::List(_) | DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Map(..) => {
                Self::Nested(array.slice(row, 1))
            }
            other => return Err(Error::internal(format!("no feature has values of {other}"))),
        }))
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

/// Makes an array of a feature's type, value by value.
#[derive(Debug)]
pub struct ValueBuilder {
    data_type: DataType,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Bool(BooleanBuilder),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Date(PrimitiveBuilder<Date32Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    /// Arrays of length 1.
    Nested(Vec<ArrayRef>),
}

impl ValueBuilder {
    /// Returns an empty array's builder, with room for `rows` values.
    #[must_use]
    pub fn new(ty: &FeatureType, rows: usize) -> Self {
        let data_type = ty.to_arrow();
        let sink = match ty {
            FeatureType::Bool => Sink::Bool(BooleanBuilder::with_capacity(rows)),
            FeatureType::Int32 => Sink::Int32(PrimitiveBuilder::with_capacity(rows)),
            FeatureType::Int64 => Sink::Int64(PrimitiveBuilder::with_capacity(rows)),
            FeatureType::Float32 => Sink::Float32(PrimitiveBuilder::with_capacity(rows)),
            FeatureType::Float64 => Sink::Float64(PrimitiveBuilder::with_capacity(rows)),
            FeatureType::Timestamp => {
                Sink::Timestamp(PrimitiveBuilder::with_capacity(rows).with_data_type(data_type.clone()))
            }
            FeatureType::Date => Sink::Date(PrimitiveBuilder::with_capacity(rows)),
            FeatureType::Decimal { .. } => {
                Sink::Decimal(PrimitiveBuilder::with_capacity(rows).with_data_type(data_type.clone()))
            }
            FeatureType::String | FeatureType::Json | FeatureType::Uuid => {
                Sink::Text(StringBuilder::with_capacity(rows, 0))
            }
            FeatureType::Bytes => Sink::Bytes(BinaryBuilder::with_capacity(rows, 0)),
            _ => Sink::Nested(Vec::with_capacity(rows)),
        };
        Self { data_type, sink }
    }

    /// Appends a value, or null.
    ///
    /// # Errors
    /// `Internal` for a value of another type.
    pub fn push(&mut self, value: Option<Value<'_>>) -> Result<()> {
        match (&mut self.sink, value) {
            (Sink::Bool(to), Some(Value::Bool(value))) => to.append_value(value),
            (Sink::Int32(to), Some(Value::Int32(value))) => to.append_value(value),
            (Sink::Int64(to), Some(Value::Int64(value))) => to.append_value(value),
            (Sink::Float32(to), Some(Value::Float32(value))) => to.append_value(value),
            (Sink::Float64(to), Some(Value::Float64(value))) => to.append_value(value),
            (Sink::Timestamp(to), Some(Value::Timestamp(value))) => to.append_value(value),
            (Sink::Date(to), Some(Value::Date(value))) => to.append_value(value),
            (Sink::Decimal(to), Some(Value::Decimal { unscaled, .. })) => to.append_value(unscaled),
            (Sink::Text(to), Some(Value::Text(value))) => to.append_value(value),
            (Sink::Bytes(to), Some(Value::Bytes(value))) => to.append_value(value),
            (Sink::Nested(to), Some(Value::Nested(value))) => to.push(value),
            (_, Some(value)) => {
                return Err(Error::internal(format!("{value:?} is no value of a column of {}", self.data_type)));
            }
            (Sink::Bool(to), None) => to.append_null(),
            (Sink::Int32(to), None) => to.append_null(),
            (Sink::Int64(to), None) => to.append_null(),
            (Sink::Float32(to), None) => to.append_null(),
            (Sink::Float64(to), None) => to.append_null(),
            (Sink::Timestamp(to), None) => to.append_null(),
            (Sink::Date(to), None) => to.append_null(),
            (Sink::Decimal(to), None) => to.append_null(),
            (Sink::Text(to), None) => to.append_null(),
            (Sink::Bytes(to), None) => to.append_null(),
            (Sink::Nested(to), None) => to.push(new_null_array(&self.data_type, 1)),
        }
        Ok(())
    }

    /// Returns the values as an array.
    ///
    /// # Errors
    /// `Internal` for nested values of another type.
    pub fn finish(self) -> Result<ArrayRef> {
        Ok(match self.sink {
            Sink::Bool(mut values) => Arc::new(values.finish()),
            Sink::Int32(mut values) => Arc::new(values.finish()),
            Sink::Int64(mut values) => Arc::new(values.finish()),
            Sink::Float32(mut values) => Arc::new(values.finish()),
            Sink::Float64(mut values) => Arc::new(values.finish()),
            Sink::Timestamp(mut values) => Arc::new(values.finish()),
            Sink::Date(mut values) => Arc::new(values.finish()),
            Sink::Decimal(mut values) => Arc::new(values.finish()),
            Sink::Text(mut values) => Arc::new(values.finish()),
            Sink::Bytes(mut values) => Arc::new(values.finish()),
            Sink::Nested(values) if values.is_empty() => new_empty_array(&self.data_type),
            Sink::Nested(values) => concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
        })
    }
}
