//! Numbers and times as they are written in a condition.

use arrow::datatypes::i256;

use crate::error::{Error, Result};
use crate::time::EventTime;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The digits that a decimal of 256 bits always has room for.
const MOST_DIGITS: usize = 76;

/// The most digits after the point, which leaves as many before it.
const MOST_SCALE: usize = 38;

/// An exact number: digits without a point, and how many of them are after it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exact {
    /// A sign, perhaps, and digits.
    digits: String,
    pub(super) scale: i8,
}

impl Exact {
    /// Returns the number that a text stands for.
    ///
    /// # Errors
    /// `Invalid` if it has more digits than a decimal.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let too_long = || {
            Error::invalid(format!(
                "the number {text} has too many digits to be compared with a decimal; it may have {MOST_SCALE} before the point and {MOST_SCALE} after it"
            ))
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| too_long())?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self { digits: "0".into(), scale: 0 });
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let after_point = i64::try_from(fraction.len()).and_then(|n| Ok(n - i64::try_from(zeros)?));
        let after_point = after_point.ok().and_then(|n| n.checked_sub(exponent)).ok_or_else(too_long)?;
        let scale = usize::try_from(after_point.max(0)).map_err(|_| too_long())?;
        let appended = usize::try_from((-after_point).max(0)).map_err(|_| too_long())?;
        let before_point = (significant.len() + appended).saturating_sub(scale);
        if scale > MOST_SCALE || before_point > MOST_DIGITS - MOST_SCALE {
            return Err(too_long());
        }
        let digits = format!("{sign}{significant}{}", "0".repeat(appended));
        Ok(Self { digits, scale: i8::try_from(scale).map_err(|_| too_long())? })
    }

    /// Returns the number's digits with `scale` of them, no fewer than it has, after the point.
    pub(super) fn unscaled(&self, scale: i8) -> Option<i256> {
        let zeros = usize::try_from(scale.checked_sub(self.scale)?).ok()?;
        i256::from_string(&format!("{}{}", self.digits, "0".repeat(zeros)))
    }
}

/// Returns the float nearest to a number.
///
/// # Errors
/// `Invalid` if it is beyond all floats.
pub(super) fn float(text: &str) -> Result<f64> {
    let value: f64 = text.parse().map_err(|e| Error::invalid(format!("{text:?} is not a number")).with_source(e))?;
    if value.is_infinite() {
        return Err(Error::invalid(format!("the number {text} is out of the range of float64")));
    }
    Ok(value)
}

/// Returns the day of an ISO 8601 date, counted from 1970-01-01.
///
/// # Errors
/// `Invalid` if it is not a date, or one with a time of day.
pub(super) fn day(text: &str) -> Result<i32> {
    let wrong = || Error::invalid(format!("{text:?} is not a date; expected one like '2024-01-31'"));
    let micros = EventTime::parse(text).map_err(|_| wrong())?.as_micros();
    let day = i32::try_from(micros.div_euclid(MICROS_PER_DAY)).map_err(|_| wrong())?;
    if micros.rem_euclid(MICROS_PER_DAY) == 0 { Ok(day) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, digits: &str, scale: i8) {
        let exact = Exact::parse(text).unwrap();
        assert_eq!((exact.digits.as_str(), exact.scale), (digits, scale), "{text}");
    }

    #[test]
    fn numbers_are_taken_digit_by_digit() {
        check("0.00", "0", 0);
        check("-12.50", "-125", 1);
        check("0012", "12", 0);
        check("1.5e3", "1500", 0);
        check("1e-38", "1", 38);
        check("250e-1", "25", 0);
        check(&"9".repeat(38), &"9".repeat(38), 0);
        assert_eq!(Exact::parse("-1.5").unwrap().unscaled(3), Some(i256::from_i128(-1_500)));
        for long in ["1e38", "1e-39", "1e99999999999999999999", "1e9999999999"] {
            assert!(Exact::parse(long).unwrap_err().message().contains("too many digits"), "{long}");
        }
    }

    #[test]
    fn a_date_has_no_time_of_day() {
        assert_eq!(day("1969-12-31").unwrap(), -1);
        assert!(day("1970-01-01T00:00:01").is_err());
        assert!(day("yesterday").is_err());
    }
}
