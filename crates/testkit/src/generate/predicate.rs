//! Random rows, and conditions on them as trees and as text.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use libtest_mimic::Failed;
use lodestore_core::types::FeatureType;

use super::Rng;
use super::types::{EPOCH, present, value};
use crate::oracle::{Condition, Operand, Value, build};

/// Types that compare with each other, and columns of them.
const GROUPS: [(Group, &[&str]); 8] = [
    (Group::Int, &["i", "Not"]),
    (Group::Float, &["f", "f 32"]),
    (Group::Decimal, &["price", "d\"4"]),
    (Group::Text, &["city", "été"]),
    (Group::Bool, &["is_late", "b"]),
    (Group::Time, &["at"]),
    (Group::Date, &["day"]),
    (Group::Bytes, &["raw"]),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Group {
    Int,
    Float,
    Decimal,
    Text,
    Bool,
    Time,
    Date,
    Bytes,
}

/// Rows and a condition on them.
#[derive(Debug)]
pub struct GeneratedPredicate {
    /// The rows.
    pub batch: RecordBatch,
    /// The same rows as values.
    pub rows: Vec<Vec<Value>>,
    /// For each column, the digits after the point of its decimals.
    pub scales: Vec<u32>,
    /// The condition as a tree.
    pub condition: Condition,
    /// The condition as text.
    pub text: String,
}

/// Returns the columns in their order, with their types.
fn columns() -> Vec<(&'static str, FeatureType)> {
    let decimal = |precision, scale| FeatureType::Decimal { precision, scale };
    vec![
        ("i", FeatureType::Int64),
        ("Not", FeatureType::Int32),
        ("f", FeatureType::Float64),
        ("f 32", FeatureType::Float32),
        ("price", decimal(12, 2)),
        ("d\"4", decimal(30, 4)),
        ("city", FeatureType::String),
        ("été", FeatureType::String),
        ("is_late", FeatureType::Bool),
        ("b", FeatureType::Bool),
        ("at", FeatureType::Timestamp),
        ("day", FeatureType::Date),
        ("raw", FeatureType::Bytes),
    ]
}

impl GeneratedPredicate {
    /// Returns the case of a seed.
    ///
    /// # Errors
    /// If the rows can't be written as arrays.
    pub fn new(seed: u64) -> Result<Self, Failed> {
        let mut rng = Rng::new(seed);
        let columns = columns();
        let rows: Vec<Vec<Value>> =
            (0..rng.below(12)).map(|_| columns.iter().map(|(_, ty)| item(&mut rng, ty)).collect()).collect();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut fields = Vec::new();
        for (place, (name, ty)) in columns.iter().enumerate() {
            let values: Vec<Value> = rows.iter().map(|row| row[place].clone()).collect();
            let mut array = build(ty, &values)?;
            if *ty == FeatureType::String && rng.chance(50) {
                let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                array = cast(&array, rng.pick(&[DataType::LargeUtf8, DataType::Utf8View, dictionary]))?;
            }
            fields.push(Field::new(*name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let scales = columns.iter().map(|(name, _)| if *name == "d\"4" { 4 } else { 2 }).collect();
        let depth = 1 + rng.below(4);
        let condition = condition(&mut rng, depth);
        let text = Printer { rng: &mut rng }.condition(&condition, 0);
        Ok(Self { batch, rows, scales, condition, text })
    }
}

/// Returns a value of a row; integers and floats are often such as rounding makes equal.
fn item(rng: &mut Rng, ty: &FeatureType) -> Value {
    let whole = [1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN];
    match ty {
        FeatureType::Int64 if rng.chance(40) => Value::Int64(*rng.pick(&whole)),
        FeatureType::Float64 if rng.chance(40) => Value::float64(*rng.pick(&whole) as f64),
        _ => value(rng, ty),
    }
}

fn condition(rng: &mut Rng, depth: usize) -> Condition {
    let parts = |rng: &mut Rng| (0..2 + rng.below(2)).map(|_| condition(rng, depth - 1)).collect();
    if depth > 0 && rng.chance(75) {
        return match rng.below(7) {
            0 => Condition::Not(Box::new(condition(rng, depth - 1))),
            1 => Condition::IsUnknown(Box::new(condition(rng, depth - 1))),
            2..=4 => Condition::And(parts(rng)),
            _ => Condition::Or(parts(rng)),
        };
    }
    let (left, right) = *rng.pick(&[
        (Group::Int, Group::Int),
        (Group::Int, Group::Float),
        (Group::Float, Group::Int),
        (Group::Float, Group::Float),
        (Group::Decimal, Group::Decimal),
        (Group::Decimal, Group::Int),
        (Group::Int, Group::Decimal),
        (Group::Text, Group::Text),
        (Group::Bool, Group::Bool),
        (Group::Time, Group::Time),
        (Group::Time, Group::Date),
        (Group::Date, Group::Date),
        (Group::Bytes, Group::Bytes),
    ]);
    let subject = column(rng, left);
    match rng.below(9) {
        0 => Condition::IsNull(subject),
        1 => Condition::In(subject, (0..1 + rng.below(4)).map(|_| operand(rng, right)).collect()),
        2 => Condition::Between(subject, operand(rng, right), operand(rng, right)),
        3 if rng.chance(50) => Condition::Flag(operand(rng, Group::Bool)),
        4 if right != Group::Float || left != Group::Int => compare(rng, operand, (right, left)),
        _ => compare(rng, |_, _| subject.clone(), (left, right)),
    }
}

fn compare(rng: &mut Rng, left: impl Fn(&mut Rng, Group) -> Operand, groups: (Group, Group)) -> Condition {
    let orders = [&[Equal][..], &[Less, Greater], &[Less], &[Less, Equal], &[Greater], &[Equal, Greater]];
    let orders = rng.pick(&orders).to_vec();
    // At least one side is a column, so that both have a type; beside one of dates no text is a time.
    let left = left(rng, groups.0);
    let is_typed = matches!(left, Operand::Column(_)) && groups != (Group::Date, Group::Time);
    let right = if is_typed { operand(rng, groups.1) } else { column(rng, groups.1) };
    Condition::Compare(left, orders, right)
}

fn column(rng: &mut Rng, group: Group) -> Operand {
    let names = GROUPS.iter().find(|(known, _)| *known == group).map_or(&[][..], |(_, names)| names);
    let name = rng.pick(names);
    Operand::Column(columns().iter().position(|(known, _)| known == name).unwrap_or_default())
}

/// Returns a column or a value as written that compares with columns of a group.
fn operand(rng: &mut Rng, group: Group) -> Operand {
    if rng.chance(40) {
        return column(rng, group);
    }
    if rng.chance(8) {
        return Operand::Literal(Value::Null);
    }
    let whole = |n: i128| n * 100;
    match group {
        Group::Int | Group::Float | Group::Decimal => Operand::Number(*rng.pick(&[
            0,
            1,
            -1,
            10,
            50,
            150,
            -150,
            whole(1),
            whole(2),
            whole(1 << 53 | 1),
            whole(i64::MAX.into()),
            whole(i64::MIN.into()),
            whole(i128::from(i64::MAX) + 1),
            whole(-99_999_999_999_999_999_999),
        ])),
        Group::Text => Operand::Literal(match rng.below(4) {
            0 => Value::text("o'clock \"x\""),
            _ => present(rng, &FeatureType::String),
        }),
        Group::Bool => Operand::Literal(present(rng, &FeatureType::Bool)),
        Group::Time if rng.chance(30) => Operand::Literal(Value::Timestamp(EPOCH + 1_000_000)),
        Group::Time => Operand::Literal(present(rng, &FeatureType::Timestamp)),
        Group::Date => Operand::Literal(present(rng, &FeatureType::Date)),
        Group::Bytes => column(rng, group),
    }
}

/// Writes conditions with the freedom that the text has: capitals, spaces, brackets, quotes.
struct Printer<'a> {
    rng: &'a mut Rng,
}

impl Printer<'_> {
    /// Writes a condition where `or` (0), `and` (1), `not` (2) or a value (3) may stand.
    fn condition(&mut self, condition: &Condition, place: usize) -> String {
        let (own, text) = match condition {
            Condition::Or(parts) => (0, self.joined(parts, "or", 1)),
            Condition::And(parts) => (1, self.joined(parts, "and", 2)),
            Condition::Not(of) => (2, format!("{} {}", self.word("not"), self.condition(of, 2))),
            Condition::Flag(of) => (3, self.operand(of)),
            Condition::IsUnknown(of) => (2, format!("{} {}", self.condition(of, 3), self.words(&["is", "null"]))),
            Condition::IsNull(of) => (2, format!("{} {}", self.operand(of), self.words(&["is", "null"]))),
            Condition::Compare(left, orders, right) => {
                let symbols: &[&str] = match orders.as_slice() {
                    [Equal] => &["=", "=="],
                    [Less, Greater] => &["<>", "!="],
                    [Less] => &["<"],
                    [Less, Equal] => &["<="],
                    [Greater] => &[">"],
                    _ => &[">="],
                };
                let symbol = self.rng.pick(symbols);
                let space = if self.rng.chance(20) { "" } else { " " };
                (2, format!("{}{space}{symbol}{space}{}", self.operand(left), self.operand(right)))
            }
            Condition::In(value, list) => {
                let list: Vec<String> = list.iter().map(|item| self.operand(item)).collect();
                (2, format!("{} {} ({})", self.operand(value), self.word("in"), list.join(", ")))
            }
            Condition::Between(value, low, high) => {
                let (between, and) = (self.word("between"), self.word("and"));
                let (value, low, high) = (self.operand(value), self.operand(low), self.operand(high));
                (2, format!("{value} {between} {low}\n {and} {high}"))
            }
        };
        // A flag in brackets before `is null` would be the same; without them it is a value that is null.
        if own < place || self.rng.chance(10) { format!("({text})") } else { text }
    }

    fn joined(&mut self, parts: &[Condition], word: &str, place: usize) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.condition(part, place)).collect();
        parts.join(&format!(" {} ", self.word(word)))
    }

    fn words(&mut self, words: &[&str]) -> String {
        words.iter().map(|word| self.word(word)).collect::<Vec<_>>().join(" ")
    }

    fn word(&mut self, word: &str) -> String {
        if self.rng.chance(30) { word.to_uppercase() } else { word.to_owned() }
    }

    fn operand(&mut self, operand: &Operand) -> String {
        match operand {
            Operand::Column(place) => {
                let name = columns()[*place].0;
                let plain = !matches!(name, "Not" | "f 32" | "d\"4");
                if plain && self.rng.chance(70) {
                    name.to_owned()
                } else {
                    format!("\"{}\"", name.replace('"', "\"\""))
                }
            }
            Operand::Number(hundredths) => {
                let sign = if *hundredths < 0 { "-" } else { "" };
                let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
                if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:02}") }
            }
            Operand::Literal(Value::Null) => self.word("null"),
            Operand::Literal(Value::Bool(value)) => self.word(if *value { "true" } else { "false" }),
            Operand::Literal(Value::Text(text)) => format!("'{}'", text.replace('\'', "''")),
            Operand::Literal(Value::Timestamp(micros)) => format!("'{}'", iso(*micros)),
            Operand::Literal(Value::Date(days)) => {
                let text = iso(i64::from(*days) * 86_400_000_000);
                format!("'{}'", text.split('T').next().unwrap_or_default())
            }
            Operand::Literal(other) => format!("{other:?}"),
        }
    }
}

fn iso(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map_or_else(|e| e.to_string(), |time| time.to_string())
}
