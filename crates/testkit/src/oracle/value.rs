//! One value, outside Arrow: compared bit for bit, ordered by rule P3.

use std::cmp::Ordering;

/// A feature's value. Floats are kept as their bits, so that equality is equality of bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer of 32 bits.
    Int32(i32),
    /// A signed integer of 64 bits.
    Int64(i64),
    /// The bits of a float of 32 bits.
    Float32(u32),
    /// The bits of a float of 64 bits.
    Float64(u64),
    /// Text, JSON text or the text of a UUID.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// UTC microseconds.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// A decimal's digits as one integer; its scale is the type's.
    Decimal(i128),
    /// The items of a list, set or vector.
    List(Vec<Value>),
    /// The fields of a struct, in the type's order.
    Struct(Vec<Value>),
    /// The entries of a map, in the order they are stored.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// Returns the value of a float of 64 bits.
    #[must_use]
    pub fn float64(value: f64) -> Self {
        Self::Float64(value.to_bits())
    }

    /// Returns the value of a float of 32 bits.
    #[must_use]
    pub fn float32(value: f32) -> Self {
        Self::Float32(value.to_bits())
    }

    /// Returns text.
    #[must_use]
    pub fn text(value: impl AsRef<str>) -> Self {
        Self::Text(value.as_ref().to_owned())
    }

    /// Returns whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Compares two values of one type: null lowest, NaN above all numbers, lists item by item and
    /// then by length (rule P3).
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int32(a), Self::Int32(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Int64(a), Self::Int64(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Float32(a), Self::Float32(b)) => rank32(*a).cmp(&rank32(*b)),
            (Self::Float64(a), Self::Float64(b)) => rank64(*a).cmp(&rank64(*b)),
            (Self::Text(a), Self::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) | (Self::Struct(a), Self::Struct(b)) => order_all(a, b),
            (Self::Map(a), Self::Map(b)) => {
                let flat = |m: &[(Self, Self)]| m.iter().flat_map(|(k, v)| [k.clone(), v.clone()]).collect::<Vec<_>>();
                order_all(&flat(a), &flat(b))
            }
            (a, b) => unreachable!("values of different types are never compared: {a:?} and {b:?}"),
        }
    }
}

/// Compares rows of values column by column.
#[must_use]
pub fn order_all(a: &[Value], b: &[Value]) -> Ordering {
    for (x, y) in a.iter().zip(b) {
        let order = x.order(y);
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// A float's place: first numbers, -0.0 before 0.0, then every NaN by its bits.
fn rank64(bits: u64) -> (bool, i128) {
    let is_negative = bits >> 63 == 1;
    if f64::from_bits(bits).is_nan() {
        (true, i128::from(bits))
    } else if is_negative {
        (false, -1 - i128::from(bits & !(1 << 63)))
    } else {
        (false, i128::from(bits))
    }
}

fn rank32(bits: u32) -> (bool, i128) {
    let is_negative = bits >> 31 == 1;
    if f32::from_bits(bits).is_nan() {
        (true, i128::from(bits))
    } else if is_negative {
        (false, -1 - i128::from(bits & !(1 << 31)))
    } else {
        (false, i128::from(bits))
    }
}
