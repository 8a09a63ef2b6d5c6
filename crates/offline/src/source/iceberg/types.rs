//! Types and values of Iceberg as those of Arrow.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use iceberg::spec::{Literal, NestedField, PrimitiveLiteral, PrimitiveType, Type};
use iceberg::{Error as IcebergError, ErrorKind as IcebergErrorKind};
use lodestore_core::{Error, Result};

/// How long a UUID is.
const UUID_BYTES: i32 = 16;

/// Returns the Arrow type that columns of a type are read as.
///
/// # Errors
/// For lengths and digits that Arrow has no room for.
pub(super) fn arrow_type(ty: &Type) -> iceberg::Result<DataType> {
    let field = |name: &str, field: &NestedField| {
        Ok::<_, IcebergError>(Field::new(name, arrow_type(&field.field_type)?, !field.required))
    };
    Ok(match ty {
        Type::Primitive(primitive) => primitive_type(primitive)?,
        Type::Struct(fields) => {
            let fields = fields.fields().iter().map(|child| field(&child.name, child));
            DataType::Struct(fields.collect::<iceberg::Result<_>>()?)
        }
        Type::List(list) => DataType::List(Arc::new(field("element", &list.element_field)?)),
        Type::Map(map) => {
            let entries = vec![field("key", &map.key_field)?, field("value", &map.value_field)?];
            DataType::Map(Arc::new(Field::new_struct("key_value", entries, false)), false)
        }
    })
}

fn primitive_type(ty: &PrimitiveType) -> iceberg::Result<DataType> {
    let utc = || Some("UTC".into());
    let no_room = || IcebergError::new(IcebergErrorKind::FeatureUnsupported, format!("{ty} is too long a type"));
    Ok(match ty {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => DataType::Decimal128(
            u8::try_from(*precision).map_err(|_| no_room())?,
            i8::try_from(*scale).map_err(|_| no_room())?,
        ),
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, utc()),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(UUID_BYTES),
        PrimitiveType::Fixed(length) => DataType::FixedSizeBinary(i32::try_from(*length).map_err(|_| no_room())?),
        PrimitiveType::Binary => DataType::Binary,
    })
}

/// Returns a partition's value as an array of length one.
///
/// # Errors
/// `Unsupported` if it is no value of the type.
pub(super) fn literal_array(value: &Literal, ty: &DataType) -> Result<ArrayRef> {
    let wrong = || Error::unsupported(format!("a partition value {value:?} is not read as {ty}"));
    let Literal::Primitive(primitive) = value else { return Err(wrong()) };
    let array: ArrayRef = match primitive {
        PrimitiveLiteral::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        PrimitiveLiteral::Int(value) => Arc::new(Int32Array::from(vec![*value])),
        PrimitiveLiteral::Long(value) => Arc::new(Int64Array::from(vec![*value])),
        PrimitiveLiteral::Float(value) => Arc::new(Float32Array::from(vec![value.0])),
        PrimitiveLiteral::Double(value) => Arc::new(Float64Array::from(vec![value.0])),
        PrimitiveLiteral::String(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        PrimitiveLiteral::Binary(value) => Arc::new(BinaryArray::from(vec![value.as_slice()])),
        PrimitiveLiteral::Int128(value) => {
            let DataType::Decimal128(precision, scale) = ty else { return Err(wrong()) };
            let digits = Decimal128Array::from(vec![*value]);
            Arc::new(digits.with_precision_and_scale(*precision, *scale).map_err(|_| wrong())?)
        }
        PrimitiveLiteral::UInt128(value) => {
            let bytes = FixedSizeBinaryArray::try_from_iter([value.to_be_bytes()].iter());
            Arc::new(bytes.map_err(|_| wrong())?)
        }
        PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin => return Err(wrong()),
    };
    cast(&array, ty).map_err(|_| wrong())
}
