//! Aggregates computed from all events at once, with fractions of big integers.

use std::cmp::Ordering;

use lodestore_core::types::FeatureType;
use num_bigint::BigInt;

use super::Value;

/// An event: its times, and what its columns hold.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateEvent {
    /// The event time, in UTC microseconds.
    pub time: i64,
    /// The created time, in UTC microseconds.
    pub created: Option<i64>,
    /// The value that is aggregated.
    pub value: Value,
    /// What `min_by` and `max_by` look at.
    pub by: Value,
}

/// What an aggregate must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// This value, to the bit; any NaN for NaN.
    Value(Value),
    /// The sum does not fit.
    Overflow,
    /// There are more distinct values than allowed.
    TooMany,
}

/// Returns what a function of all events is; `name` has no parameters, which are in `n` and `limit`.
///
/// # Panics
/// For a function that it does not know.
#[must_use]
pub fn aggregate(name: &str, n: usize, limit: usize, ty: &FeatureType, events: &[AggregateEvent]) -> Expected {
    let mut present: Vec<AggregateEvent> = events.iter().filter(|event| !event.value.is_null()).cloned().collect();
    if name == "count_rows" {
        return Expected::Value(Value::Int64(events.len() as i64));
    }
    present.sort_by(in_time);
    let values: Vec<Value> = present.iter().map(|event| event.value.clone()).collect();
    let list = |values: &[Value]| if values.is_empty() { Value::Null } else { Value::List(values.to_vec()) };
    let is_true = |value: &Value| *value == Value::Bool(true);
    Expected::Value(match name {
        "count" => Value::Int64(values.len() as i64),
        "any" | "all" if values.is_empty() => Value::Null,
        "any" => Value::Bool(values.iter().any(is_true)),
        "all" => Value::Bool(values.iter().all(is_true)),
        "sum" if !is_float(ty) => return integer_sum(ty, &values),
        "sum" | "mean" | "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp" | "skew" | "kurtosis" => {
            statistic(name, ty, &values)
        }
        "min" | "max" if values.iter().any(is_nan) => {
            if *ty == FeatureType::Float32 {
                Value::float32(f32::NAN)
            } else {
                Value::float64(f64::NAN)
            }
        }
        "min" => values.iter().min_by(|a, b| a.order(b)).cloned().unwrap_or(Value::Null),
        "max" => values.iter().max_by(|a, b| a.order(b)).cloned().unwrap_or(Value::Null),
        "first" => values.first().cloned().unwrap_or(Value::Null),
        "last" => values.last().cloned().unwrap_or(Value::Null),
        "first_n" => list(&values[..n.min(values.len())]),
        "last_n" => list(&values[values.len() - n.min(values.len())..]),
        "last_n_distinct" => {
            let keys: Vec<Value> = values.iter().map(key).collect();
            let latest = (0..keys.len()).filter(|i| !keys[i + 1..].contains(&keys[*i]));
            let mut latest: Vec<usize> = latest.collect();
            // Equal times are decided by the values as they are told apart.
            latest.sort_by(|a, b| times(&present[*a]).cmp(&times(&present[*b])).then(keys[*a].order(&keys[*b])));
            let latest: Vec<Value> = latest.into_iter().map(|i| keys[i].clone()).collect();
            list(&latest[latest.len() - n.min(latest.len())..])
        }
        "min_by" | "max_by" => {
            let rows = present.iter().filter(|event| !event.by.is_null());
            let order = |a: &&AggregateEvent, b: &&AggregateEvent| {
                let by = a.by.order(&b.by);
                if name == "min_by" { by.reverse() } else { by }.then(in_time(a, b))
            };
            rows.max_by(order).map_or(Value::Null, |event| event.value.clone())
        }
        "count_distinct" | "top_k" | "histogram" => return counts(name, n, limit, &values),
        other => unreachable!("the oracle does not know '{other}'"),
    })
}

fn times(event: &AggregateEvent) -> (i64, Option<i64>) {
    (event.time, event.created)
}

fn in_time(a: &AggregateEvent, b: &AggregateEvent) -> Ordering {
    times(a).cmp(&times(b)).then_with(|| a.value.order(&b.value))
}

fn is_float(ty: &FeatureType) -> bool {
    matches!(ty, FeatureType::Float32 | FeatureType::Float64)
}

fn is_nan(value: &Value) -> bool {
    float(value).is_some_and(f64::is_nan)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(bits) => Some(f64::from(f32::from_bits(*bits))),
        Value::Float64(bits) => Some(f64::from_bits(*bits)),
        _ => None,
    }
}

/// Returns what a value is told apart by: one NaN, one zero.
fn key(value: &Value) -> Value {
    match value {
        Value::Float32(_) if is_nan(value) => Value::float32(f32::NAN),
        Value::Float64(_) if is_nan(value) => Value::float64(f64::NAN),
        Value::Float32(bits) if f32::from_bits(*bits) == 0.0 => Value::float32(0.0),
        Value::Float64(bits) if f64::from_bits(*bits) == 0.0 => Value::float64(0.0),
        other => other.clone(),
    }
}

fn counts(name: &str, k: usize, limit: usize, values: &[Value]) -> Expected {
    let mut counts: Vec<(Value, i64)> = Vec::new();
    for value in values.iter().map(key) {
        match counts.iter_mut().find(|(other, _)| *other == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    if counts.len() > limit {
        return Expected::TooMany;
    }
    counts.sort_by(|a, b| a.0.order(&b.0));
    Expected::Value(match name {
        "count_distinct" => Value::Int64(counts.len() as i64),
        _ if counts.is_empty() => Value::Null,
        "histogram" => Value::Map(counts.into_iter().map(|(value, count)| (value, Value::Int64(count))).collect()),
        _ => {
            counts.sort_by_key(|(_, count)| -count);
            Value::List(counts.into_iter().take(k).map(|(value, _)| value).collect())
        }
    })
}

/// A fraction; the denominator is above zero.
#[derive(Debug, Clone)]
struct Fraction(BigInt, BigInt);

impl Fraction {
    /// Returns the exact value of a finite float.
    fn of(mut value: f64) -> Self {
        let (mut below, mut above) = (0, 0);
        // Doubling a number that has a fraction is exact, as halving one of 2^53 or more is.
        while value.fract() != 0.0 {
            value *= 2.0;
            below += 1;
        }
        while value.abs() >= 9_007_199_254_740_992.0 {
            value /= 2.0;
            above += 1;
        }
        Self(BigInt::from(value as i64) << above, BigInt::from(1) << below)
    }

    fn power(&self, exponent: u32) -> Self {
        Self(self.0.pow(exponent), self.1.pow(exponent))
    }

    fn plus(&self, other: &Self) -> Self {
        // Denominators are powers of one number: the greater holds the less.
        let (less, more) = if self.1 <= other.1 { (self, other) } else { (other, self) };
        Self(&less.0 * (&more.1 / &less.1) + &more.0, more.1.clone())
    }

    fn times(&self, factor: &BigInt) -> Self {
        Self(&self.0 * factor, self.1.clone())
    }

    fn cmp(&self, other: &Self) -> Ordering {
        (&self.0 * &other.1).cmp(&(&other.0 * &self.1))
    }

    /// Returns the float nearest to the fraction, of two the one with an even last bit: searched among all floats.
    fn nearest(&self) -> f64 {
        if self.0 < BigInt::ZERO {
            return -Self(-&self.0, self.1.clone()).nearest();
        }
        let (mut low, mut high) = (0_u64, f64::INFINITY.to_bits());
        while high - low > 1 {
            let middle = low.midpoint(high);
            if Self::of(f64::from_bits(middle)).cmp(self).is_le() { low = middle } else { high = middle }
        }
        // Infinity stands where one more float would be.
        let above = if high == f64::INFINITY.to_bits() {
            Self(BigInt::from(2).pow(1024), BigInt::from(1))
        } else {
            Self::of(f64::from_bits(high))
        };
        let middle = Self::of(f64::from_bits(low)).plus(&above);
        match self.times(&BigInt::from(2)).cmp(&middle) {
            Ordering::Less => f64::from_bits(low),
            Ordering::Greater => f64::from_bits(high),
            Ordering::Equal => f64::from_bits(if low % 2 == 0 { low } else { high }),
        }
    }

    /// Returns the root of the float nearest to the fraction, both taken at a power of four where floats have all bits.
    fn root(&self) -> f64 {
        if self.0 == BigInt::ZERO {
            return 0.0;
        }
        let (mut up, mut down, four) = (self.clone(), 0, BigInt::from(4));
        while up.0.magnitude() >= (&up.1 * &four).magnitude() {
            up.1 *= &four;
            down += 1;
        }
        while up.0.magnitude() < up.1.magnitude() {
            up.0 *= &four;
            down -= 1;
        }
        let root = Self::of(up.nearest().abs().sqrt());
        let two = BigInt::from(2).pow(u32::try_from(i32::abs(down)).unwrap_or(0));
        if down < 0 { Self(root.0, root.1 * two) } else { Self(root.0 * two, root.1) }.nearest()
    }
}

fn integer(value: &Value) -> BigInt {
    match value {
        Value::Int32(value) => BigInt::from(*value),
        Value::Int64(value) => BigInt::from(*value),
        Value::Decimal(value) => BigInt::from(*value),
        other => unreachable!("{other:?} is no integer"),
    }
}

fn integer_sum(ty: &FeatureType, values: &[Value]) -> Expected {
    if values.is_empty() {
        return Expected::Value(Value::Null);
    }
    let sum: BigInt = values.iter().map(integer).sum();
    let found = match ty {
        FeatureType::Decimal { .. } if *sum.magnitude() < num_bigint::BigUint::from(10_u8).pow(38) => {
            i128::try_from(sum).ok().map(Value::Decimal)
        }
        FeatureType::Decimal { .. } => None,
        _ => i64::try_from(sum).ok().map(Value::Int64),
    };
    found.map_or(Expected::Overflow, Expected::Value)
}

/// Returns a sum of floats, or a mean or moment of any numbers.
fn statistic(name: &str, ty: &FeatureType, values: &[Value]) -> Value {
    let n = values.len();
    if n == 0 || (n == 1 && name.ends_with("_samp")) {
        return Value::Null;
    }
    let special: Vec<f64> = values.iter().filter_map(float).filter(|value| !value.is_finite()).collect();
    if !special.is_empty() {
        let moment = name != "sum" && name != "mean";
        let sum: f64 = special.iter().sum();
        return Value::float64(if moment || sum.is_nan() { f64::NAN } else { sum });
    }
    let scale = if let FeatureType::Decimal { scale, .. } = ty { u32::from(scale.unsigned_abs()) } else { 0 };
    let exact = |value: &Value| match float(value) {
        Some(value) => Fraction::of(value),
        None => Fraction(integer(value), BigInt::from(10).pow(scale)),
    };
    let numbers: Vec<Fraction> = values.iter().map(exact).collect();
    let zero = Fraction(BigInt::ZERO, BigInt::from(1));
    let n = BigInt::from(n);
    let sum = numbers.iter().fold(zero.clone(), |sum, number| sum.plus(number));
    // n times the distance of each value from the mean: no division yet.
    let distance = |number: &Fraction| number.times(&n).plus(&sum.times(&BigInt::from(-1)));
    let moment = |k: u32| numbers.iter().fold(zero.clone(), |all, number| all.plus(&distance(number).power(k)));
    let by = |number: Fraction, by: BigInt| Fraction(number.0, number.1 * by);
    let second = moment(2);
    let spreads = second.0 != BigInt::ZERO;
    Value::float64(match name {
        "sum" => sum.nearest(),
        "mean" => by(sum.clone(), n).nearest(),
        "var_pop" => by(second, n.pow(3)).nearest(),
        "stddev_pop" => by(second, n.pow(3)).root(),
        "var_samp" => by(second, n.pow(2) * (n.clone() - 1)).nearest(),
        "stddev_samp" => by(second, n.pow(2) * (n.clone() - 1)).root(),
        _ if !spreads => return Value::Null,
        "skew" => {
            // The square: n times the third sum squared, by the second cubed.
            let third = moment(3);
            let square = third.power(2).times(&n);
            let below = second.power(3);
            let root = Fraction(square.0 * below.1, square.1 * below.0).root();
            if third.0 < BigInt::ZERO { -root } else { root }
        }
        _ => {
            let (fourth, below) = (moment(4).times(&n), second.power(2));
            let ratio = Fraction(fourth.0 * below.1, fourth.1 * below.0);
            Fraction(ratio.0 - BigInt::from(3) * &ratio.1, ratio.1).nearest()
        }
    })
}

/// Returns a decayed sum or mean of events in cells of one half life, all of them at or before `at`.
#[must_use]
pub fn decayed(name: &str, half_life: i64, at: i64, events: &[(i64, f64)]) -> Option<f64> {
    let cell = |time: i64| time.div_euclid(half_life);
    let part = |time: i64| time.rem_euclid(half_life) as f64 / half_life as f64;
    let last = events.iter().map(|(time, _)| cell(*time)).max()?;
    let near = events.iter().filter(|(time, _)| last - cell(*time) <= 2_200);
    if near.clone().any(|(_, value)| !value.is_finite()) {
        let weighed = near.map(|(time, value)| value * libm::exp2(part(*time) - 1.0));
        let sum: f64 = weighed.filter(|value| !value.is_finite()).sum();
        return Some(if sum.is_nan() { f64::NAN } else { sum });
    }
    let total = |weight: fn(f64, f64) -> f64| {
        near.clone().fold(Fraction(BigInt::ZERO, BigInt::from(1)), |total, (time, value)| {
            let weighed = Fraction::of(weight(*value, libm::exp2(part(*time) - 1.0)));
            let age = u32::try_from(last - cell(*time)).unwrap_or(0);
            total.plus(&Fraction(weighed.0, weighed.1 * BigInt::from(2).pow(age)))
        })
    };
    let sum = total(|value, weight| value * weight);
    if name == "decayed_mean" {
        let weights = total(|_, weight| weight);
        return Some(Fraction(sum.0 * weights.1, sum.1 * weights.0).nearest());
    }
    let age = BigInt::from(2).pow(u32::try_from((cell(at) - last).min(5_000)).unwrap_or(0));
    Some(Fraction(sum.0, sum.1 * age).nearest() * libm::exp2(1.0 - part(at)))
}
