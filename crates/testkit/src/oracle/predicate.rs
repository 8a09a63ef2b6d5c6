//! Conditions on a row, decided row by row in SQL's three-valued logic.

use std::cmp::Ordering;

use super::Value;

/// A condition, as a tree that no parser has seen.
#[derive(Debug, Clone)]
pub enum Condition {
    /// A value that is a bool.
    Flag(Operand),
    /// Two values, and the orders for which the comparison is true.
    Compare(Operand, Vec<Ordering>, Operand),
    /// Whether a value equals one of some.
    In(Operand, Vec<Operand>),
    /// Whether a value lies between two, both included.
    Between(Operand, Operand, Operand),
    /// Whether a value is null.
    IsNull(Operand),
    /// Whether a condition is unknown.
    IsUnknown(Box<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// All of them.
    And(Vec<Self>),
    /// Any of them.
    Or(Vec<Self>),
}

/// A value of a condition.
#[derive(Debug, Clone)]
pub enum Operand {
    /// The value of a column, by its place in the row.
    Column(usize),
    /// A number as written, in hundredths.
    Number(i128),
    /// Any other value as written.
    Literal(Value),
}

/// The digits after the point that all decimals of the cases fit into.
const SCALE: u32 = 4;

/// A number in 10^-4, or a float.
enum Number {
    Exact(i128),
    Float(f64),
}

impl Condition {
    /// Returns whether the condition is true for a row; `None` where that is unknown. `scales` has the
    /// scale of each column that is one of decimals.
    #[must_use]
    pub fn decide(&self, row: &[Value], scales: &[u32]) -> Option<bool> {
        let order = |left: &Operand, right: &Operand| order(left, right, row, scales);
        match self {
            Self::Flag(operand) => match value(operand, row) {
                Value::Bool(value) => Some(value),
                _ => None,
            },
            Self::Compare(left, orders, right) => Some(orders.contains(&order(left, right)?)),
            Self::In(left, list) => any(list.iter().map(|item| Some(order(left, item)?.is_eq()))),
            Self::Between(value, low, high) => {
                let outside = [order(value, low).map(Ordering::is_lt), order(value, high).map(Ordering::is_gt)];
                any(outside.into_iter()).map(|is_outside| !is_outside)
            }
            Self::IsNull(operand) => Some(value(operand, row).is_null()),
            Self::IsUnknown(of) => Some(of.decide(row, scales).is_none()),
            Self::Not(of) => of.decide(row, scales).map(|is_true| !is_true),
            Self::And(parts) => {
                any(parts.iter().map(|part| part.decide(row, scales).map(|is_true| !is_true))).map(|found| !found)
            }
            Self::Or(parts) => any(parts.iter().map(|part| part.decide(row, scales))),
        }
    }
}

/// Returns whether one is true: unknown if none is and one is unknown.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Some(true)) { Some(true) } else { (!parts.contains(&None)).then_some(false) }
}

fn value(operand: &Operand, row: &[Value]) -> Value {
    match operand {
        Operand::Column(place) => row[*place].clone(),
        Operand::Number(_) => Value::Bool(false),
        Operand::Literal(value) => value.clone(),
    }
}

fn order(left: &Operand, right: &Operand, row: &[Value], scales: &[u32]) -> Option<Ordering> {
    let beside_decimal = is_decimal(left, row) || is_decimal(right, row);
    let number = |operand| number(operand, row, scales, beside_decimal);
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Some(order_numbers(&left, &right));
    }
    match (value(left, row), value(right, row)) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Date(day), Value::Timestamp(at)) => Some((i64::from(day) * 86_400_000_000).cmp(&at)),
        (Value::Timestamp(at), Value::Date(day)) => Some(at.cmp(&(i64::from(day) * 86_400_000_000))),
        (left, right) => Some(left.order(&right)),
    }
}

fn is_decimal(operand: &Operand, row: &[Value]) -> bool {
    matches!(value(operand, row), Value::Decimal(_))
}

fn number(operand: &Operand, row: &[Value], scales: &[u32], beside_decimal: bool) -> Option<Number> {
    let exact = |n: i128, scale: u32| Some(Number::Exact(n * 10_i128.pow(SCALE - scale)));
    match operand {
        Operand::Number(hundredths) => {
            let is_int64 = hundredths % 100 == 0 && i64::try_from(hundredths / 100).is_ok();
            if is_int64 || beside_decimal {
                exact(*hundredths, 2)
            } else if hundredths % 100 == 0 {
                Some(Number::Float((hundredths / 100) as f64))
            } else {
                Some(Number::Float(*hundredths as f64 / 100.0))
            }
        }
        Operand::Column(place) => match &row[*place] {
            Value::Int32(n) => exact(i128::from(*n), 0),
            Value::Int64(n) => exact(i128::from(*n), 0),
            Value::Decimal(n) => exact(*n, scales[*place]),
            Value::Float32(bits) => Some(Number::Float(f64::from(f32::from_bits(*bits)))),
            Value::Float64(bits) => Some(Number::Float(f64::from_bits(*bits))),
            _ => None,
        },
        Operand::Literal(_) => None,
    }
}

fn order_numbers(left: &Number, right: &Number) -> Ordering {
    match (left, right) {
        (Number::Exact(l), Number::Exact(r)) => l.cmp(r),
        (Number::Float(l), Number::Float(r)) => l.partial_cmp(r).unwrap_or_else(|| l.is_nan().cmp(&r.is_nan())),
        (Number::Exact(l), Number::Float(r)) if r.is_nan() || *r > 1e20 => l.cmp(&i128::MAX),
        (Number::Exact(l), Number::Float(r)) if *r < -1e20 => l.cmp(&i128::MIN),
        (Number::Exact(l), Number::Float(r)) => {
            // Beside floats there are only whole numbers: between two of them lies no other.
            let below = r.floor() as i128;
            (l / 10_i128.pow(SCALE)).cmp(&below).then(if r.floor() < *r { Ordering::Less } else { Ordering::Equal })
        }
        (Number::Float(_), Number::Exact(_)) => order_numbers(right, left).reverse(),
    }
}
