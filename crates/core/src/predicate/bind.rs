//! Conditions whose values have types: each comparison knows the one type that it compares in.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal256Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Schema};

use super::literal::{Exact, day, float};
use super::parse::{Expr, Literal, Operator};
use crate::error::{Error, Result};
use crate::name::unknown;
use crate::time::EventTime;
use crate::types::{FeatureType, timestamp_type};

/// The digits of the decimals that all comparisons of decimals are made in.
const PRECISION: u8 = 76;

/// A condition over [`Slot`]s. Its value for a row is true, false or unknown.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Constant(Option<bool>),
    /// A column of bools.
    Column(usize),
    /// Both values have one Arrow type.
    Compare(Operator, Value, Value),
    /// An integer beside a float.
    CompareMixed(Operator, Value, Value),
    IsNull(usize),
    IsUnknown(Box<Self>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A value of a comparison.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Slot(usize),
    /// The same for all rows: an array of length 1.
    Constant(ArrayRef),
    /// A condition in brackets.
    Condition(Box<Condition>),
}

/// A column, brought into the type that it is compared in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slot {
    pub(super) column: String,
    /// The column's type in a batch.
    pub(super) found: DataType,
    /// The feature type that it is widened to; `None` where only nulls are looked for.
    pub(super) widened: Option<FeatureType>,
    /// What the widened values are cast to; every cast is exact.
    pub(super) compared: DataType,
}

/// The types that values are compared in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Common {
    Bool,
    Int,
    Float,
    Mixed,
    Decimal(i8),
    Text,
    Bytes,
    Timestamp,
    Date,
}

/// What a value is, before it is known what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Null,
    Bool,
    Int,
    Float,
    /// A number as written that is no int64: a float, or whatever number is beside it.
    Number,
    Decimal(i8),
    Text,
    /// Text as written: text, or whatever has such a text form.
    Quoted,
    Bytes,
    Timestamp,
    Date,
    /// A column of lists and the like.
    Other,
}

/// Returns the condition and the columns it looks at.
///
/// # Errors
/// As [`super::Predicate::bind`].
pub(super) fn bind(expr: &Expr, schema: &Schema) -> Result<(Condition, Vec<Slot>)> {
    let mut binder = Binder { schema, slots: Vec::new() };
    let condition = binder.condition(expr)?;
    Ok((condition, binder.slots))
}

struct Binder<'a> {
    schema: &'a Schema,
    slots: Vec<Slot>,
}

impl Binder<'_> {
    fn condition(&mut self, expr: &Expr) -> Result<Condition> {
        Ok(match expr {
            Expr::Column(name) => match self.class(expr)? {
                Class::Bool => Condition::Column(self.slot(name, DataType::Boolean)?),
                Class::Null => Condition::Constant(None),
                _ => return Err(not_a_condition(&self.shown(expr))),
            },
            Expr::Literal(Literal::Null) => Condition::Constant(None),
            Expr::Literal(Literal::Bool(value)) => Condition::Constant(Some(*value)),
            Expr::Literal(_) => return Err(not_a_condition(&self.shown(expr))),
            Expr::Compare(left, operator, right) => self.compare(left, *operator, right)?,
            Expr::In(value, list) => {
                let equal = list.iter().map(|item| self.compare(value, Operator::Equal, item));
                Condition::Or(equal.collect::<Result<_>>()?)
            }
            Expr::IsNull(of) => self.is_null(of)?,
            Expr::Not(of) => Condition::Not(Box::new(self.condition(of)?)),
            Expr::And(parts) => Condition::And(self.conditions(parts)?),
            Expr::Or(parts) => Condition::Or(self.conditions(parts)?),
        })
    }

    fn conditions(&mut self, parts: &[Expr]) -> Result<Vec<Condition>> {
        parts.iter().map(|part| self.condition(part)).collect()
    }

    fn is_null(&mut self, of: &Expr) -> Result<Condition> {
        Ok(match of {
            Expr::Literal(literal) => Condition::Constant(Some(matches!(literal, Literal::Null))),
            Expr::Column(name) => {
                let found = self.found(name)?.clone();
                let slot = Slot { column: name.clone(), found: found.clone(), widened: None, compared: found };
                Condition::IsNull(self.add(slot))
            }
            _ => Condition::IsUnknown(Box::new(self.condition(of)?)),
        })
    }

    fn compare(&mut self, left: &Expr, operator: Operator, right: &Expr) -> Result<Condition> {
        let (l, r) = (self.class(left)?, self.class(right)?);
        if l == Class::Null || r == Class::Null {
            return Ok(Condition::Constant(None));
        }
        let decimal = |expr: &Expr, scale: i8| Ok::<_, Error>(scale.max(written_scale(expr)?));
        let common = match (l, r) {
            (Class::Decimal(scale), Class::Number) => Some(Common::Decimal(decimal(right, scale)?)),
            (Class::Number, Class::Decimal(scale)) => Some(Common::Decimal(decimal(left, scale)?)),
            _ => common(l, r),
        };
        let Some(common) = common else {
            return Err(Error::invalid(format!("{} can't be compared with {}", self.shown(left), self.shown(right))));
        };
        let (left, right) = (self.value(left, l, common)?, self.value(right, r, common)?);
        Ok(match common {
            Common::Mixed => Condition::CompareMixed(operator, left, right),
            _ => Condition::Compare(operator, left, right),
        })
    }

    fn value(&mut self, expr: &Expr, class: Class, common: Common) -> Result<Value> {
        Ok(match expr {
            Expr::Column(name) => Value::Slot(self.slot(name, compared_in(class, common))?),
            Expr::Literal(literal) => Value::Constant(constant(literal, class, common)?),
            _ => Value::Condition(Box::new(self.condition(expr)?)),
        })
    }

    fn slot(&mut self, name: &str, compared: DataType) -> Result<usize> {
        let found = self.found(name)?.clone();
        let widened = Some(feature_type(name, &found)?);
        Ok(self.add(Slot { column: name.to_owned(), found, widened, compared }))
    }

    fn add(&mut self, slot: Slot) -> usize {
        self.slots.iter().position(|known| *known == slot).unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        })
    }

    fn found(&self, name: &str) -> Result<&DataType> {
        let known = || self.schema.fields().iter().map(|field| field.name());
        let field = self.schema.fields().iter().find(|field| field.name() == name);
        field.map(|field| field.data_type()).ok_or_else(|| unknown(format!("column '{name}'"), name, known()))
    }

    fn class(&self, expr: &Expr) -> Result<Class> {
        Ok(match expr {
            Expr::Column(name) => match self.found(name)? {
                DataType::Null => Class::Null,
                found => class_of(&feature_type(name, found)?),
            },
            Expr::Literal(Literal::Null) => Class::Null,
            Expr::Literal(Literal::Number(digits)) if digits.parse::<i64>().is_ok() => Class::Int,
            Expr::Literal(Literal::Number(_)) => Class::Number,
            Expr::Literal(Literal::Text(_)) => Class::Quoted,
            _ => Class::Bool,
        })
    }

    /// Returns a value as a message shows it.
    fn shown(&self, expr: &Expr) -> String {
        match expr {
            Expr::Column(name) => {
                let ty = self.found(name).ok().and_then(FeatureType::from_arrow);
                format!("column '{name}'{}", ty.map_or_else(String::new, |ty| format!(" of type {ty}")))
            }
            Expr::Literal(Literal::Null) => "null".to_owned(),
            Expr::Literal(Literal::Bool(value)) => value.to_string(),
            Expr::Literal(Literal::Number(digits)) => format!("the number {digits}"),
            Expr::Literal(Literal::Text(text)) => format!("the text {text:?}"),
            _ => "a condition".to_owned(),
        }
    }
}

fn not_a_condition(shown: &dyn fmt::Display) -> Error {
    Error::invalid(format!("{shown} is no condition; compare it with something, as in 'amount > 0'"))
}

fn feature_type(name: &str, found: &DataType) -> Result<FeatureType> {
    FeatureType::from_arrow(found).ok_or_else(|| {
        Error::invalid(format!("column '{name}' has type {found}, which no feature has: it can't be compared"))
    })
}

fn class_of(ty: &FeatureType) -> Class {
    match ty {
        FeatureType::Bool => Class::Bool,
        FeatureType::Int32 | FeatureType::Int64 => Class::Int,
        FeatureType::Float32 | FeatureType::Float64 => Class::Float,
        FeatureType::Decimal { scale, .. } => Class::Decimal(*scale),
        FeatureType::String | FeatureType::Json | FeatureType::Uuid => Class::Text,
        FeatureType::Bytes => Class::Bytes,
        FeatureType::Timestamp => Class::Timestamp,
        FeatureType::Date => Class::Date,
        _ => Class::Other,
    }
}

fn common(left: Class, right: Class) -> Option<Common> {
    use Class as C;
    Some(match (left, right) {
        (C::Bool, C::Bool) => Common::Bool,
        (C::Int, C::Int) => Common::Int,
        (C::Float | C::Number, C::Float | C::Number) => Common::Float,
        (C::Int, C::Float | C::Number) | (C::Float | C::Number, C::Int) => Common::Mixed,
        (C::Decimal(l), C::Decimal(r)) => Common::Decimal(l.max(r)),
        (C::Decimal(scale), C::Int) | (C::Int, C::Decimal(scale)) => Common::Decimal(scale.max(0)),
        (C::Text | C::Quoted, C::Text | C::Quoted) => Common::Text,
        (C::Bytes, C::Bytes) => Common::Bytes,
        (C::Timestamp, C::Timestamp | C::Date | C::Quoted) | (C::Date | C::Quoted, C::Timestamp) => Common::Timestamp,
        (C::Date, C::Date | C::Quoted) | (C::Quoted, C::Date) => Common::Date,
        _ => return None,
    })
}

/// Returns the Arrow type that a value of a class has in a comparison.
fn compared_in(class: Class, common: Common) -> DataType {
    match common {
        Common::Bool => DataType::Boolean,
        Common::Int => DataType::Int64,
        Common::Mixed if class == Class::Int => DataType::Int64,
        Common::Float | Common::Mixed => DataType::Float64,
        Common::Decimal(scale) => DataType::Decimal256(PRECISION, scale),
        Common::Text => DataType::Utf8,
        Common::Bytes => DataType::Binary,
        Common::Timestamp => timestamp_type(),
        Common::Date => DataType::Date32,
    }
}

/// Returns how many digits a number as written has after its point; of other values, 0.
fn written_scale(expr: &Expr) -> Result<i8> {
    match expr {
        Expr::Literal(Literal::Number(digits)) => Ok(Exact::parse(digits)?.scale),
        _ => Ok(0),
    }
}

fn constant(literal: &Literal, class: Class, common: Common) -> Result<ArrayRef> {
    let unfit = || Error::internal(format!("{literal:?} was to be compared as {common:?}"));
    Ok(match (literal, common) {
        (Literal::Bool(value), Common::Bool) => Arc::new(BooleanArray::from(vec![*value])),
        (Literal::Number(digits), Common::Int | Common::Mixed) if class == Class::Int => {
            Arc::new(Int64Array::from(vec![digits.parse::<i64>().map_err(|_| unfit())?]))
        }
        (Literal::Number(digits), Common::Float | Common::Mixed) => {
            // Adding 0.0 makes 0.0 of -0.0.
            Arc::new(Float64Array::from(vec![float(digits)? + 0.0]))
        }
        (Literal::Number(digits), Common::Decimal(scale)) => {
            let unscaled = Exact::parse(digits)?.unscaled(scale).ok_or_else(unfit)?;
            Arc::new(Decimal256Array::from(vec![unscaled]).with_precision_and_scale(PRECISION, scale)?)
        }
        (Literal::Text(text), Common::Text) => Arc::new(StringArray::from(vec![text.as_str()])),
        (Literal::Text(text), Common::Date) => Arc::new(Date32Array::from(vec![day(text)?])),
        (Literal::Text(text), Common::Timestamp) => {
            let micros = EventTime::parse(text)?.as_micros();
            Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
        }
        _ => return Err(unfit()),
    })
}
