//! PostgreSQL's types and the Arrow types that their values become.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use tokio_postgres::types::{Kind, Type};

/// The most digits that a decimal of 128 bits has.
const DECIMAL_DIGITS: i32 = 38;

/// How the values of a column are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ValueType {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// `text` and `varchar`.
    Text,
    /// Text that the server does not compare by its bytes: `char(n)`, filled up with spaces, `json`, `name` and
    /// the labels of enums.
    OtherText,
    Jsonb,
    Bytes,
    /// Microseconds, `timestamptz`.
    Timestamp,
    /// Microseconds without a zone, `timestamp`.
    LocalTimestamp,
    Date,
    Uuid,
    List(Box<Self>),
    /// Not read; what it is called in messages.
    Other(String),
}

impl ValueType {
    /// Returns how values of a type are read; `modifier` is what the server says beside the type, as the digits
    /// of a number.
    pub(super) fn of(ty: &Type, modifier: i32) -> Self {
        match ty.kind() {
            Kind::Domain(inner) => return Self::of(inner, modifier),
            Kind::Enum(_) => return Self::OtherText,
            Kind::Array(item) => {
                return match Self::of(item, modifier) {
                    Self::Other(name) => Self::Other(format!("{name}[]")),
                    item => Self::List(Box::new(item)),
                };
            }
            _ => {}
        }
        match *ty {
            Type::BOOL => Self::Bool,
            Type::INT2 => Self::Int16,
            Type::INT4 => Self::Int32,
            Type::INT8 => Self::Int64,
            Type::FLOAT4 => Self::Float32,
            Type::FLOAT8 => Self::Float64,
            Type::NUMERIC => decimal(modifier),
            Type::TEXT | Type::VARCHAR => Self::Text,
            Type::BPCHAR | Type::JSON | Type::NAME => Self::OtherText,
            Type::JSONB => Self::Jsonb,
            Type::BYTEA => Self::Bytes,
            Type::TIMESTAMPTZ => Self::Timestamp,
            Type::TIMESTAMP => Self::LocalTimestamp,
            Type::DATE => Self::Date,
            Type::UUID => Self::Uuid,
            _ => Self::Other(ty.name().to_owned()),
        }
    }

    /// Returns the Arrow type of the values.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::Text | Self::OtherText | Self::Jsonb => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::LocalTimestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Date => DataType::Date32,
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::List(item) => DataType::List(item_field(item)),
            // A type that no feature has, so that a view of this column is refused when it is applied. The
            // name is for the message that does it.
            Self::Other(name) => {
                let field = Field::new(format!("PostgreSQL {name}"), DataType::Null, true);
                DataType::Struct(Fields::from(vec![field]))
            }
        }
    }
}

/// Returns the field of a list's items.
pub(super) fn item_field(item: &ValueType) -> Arc<Field> {
    Arc::new(Field::new("item", item.arrow(), true))
}

/// Returns how numbers are read whose modifier has their precision in its upper half, their scale in the lower
/// half, as 11 bits with a sign, and is four too large.
fn decimal(modifier: i32) -> ValueType {
    if modifier < 4 {
        return ValueType::Other("numeric without a precision".into());
    }
    let (precision, scale) = ((modifier - 4) >> 16, ((modifier - 4) & 0x7ff ^ 1024) - 1024);
    // numeric(3, 5) is less than 0.01, numeric(3, -2) is a multiple of 100.
    let digits = precision.max(scale) + (-scale).max(0);
    match (u8::try_from(digits), i8::try_from(scale.max(0))) {
        (Ok(precision), Ok(scale)) if digits <= DECIMAL_DIGITS => ValueType::Decimal { precision, scale },
        _ => ValueType::Other(format!("numeric({precision}, {scale})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_numbers_are_kept() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
        let decimal_of = |precision, scale| decimal(modifier(precision, scale)).arrow();
        assert_eq!(decimal_of(10, 2), DataType::Decimal128(10, 2));
        assert_eq!(decimal_of(38, 38), DataType::Decimal128(38, 38));
        assert_eq!(decimal_of(3, 5), DataType::Decimal128(5, 5));
        assert_eq!(decimal_of(3, -2), DataType::Decimal128(5, 0));
        assert_eq!(decimal(modifier(39, 0)), ValueType::Other("numeric(39, 0)".into()));
        assert_eq!(decimal(-1), ValueType::Other("numeric without a precision".into()));
    }
}
