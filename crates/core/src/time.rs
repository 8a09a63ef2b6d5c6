//! Event times, durations and the clock.
//!
//! Rules T1 to T3 of the contract: time is UTC in microseconds; a finer input is rounded so that a
//! value never becomes visible early; `now` comes from a [`Clock`] that tests can set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::{Error, Result};
use crate::types::Rounding;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A moment: UTC microseconds since 1970-01-01, signed (rule T1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(i64);

impl EventTime {
    /// Before every other moment; the event time of a row of a timeless source (rule T5).
    pub const MIN: Self = Self(i64::MIN);
    /// After every other moment; the `valid_to` of a row that stays valid.
    pub const MAX: Self = Self(i64::MAX);

    /// Returns the moment `micros` microseconds after the epoch.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns UTC microseconds since the epoch.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the moment `by` later, [`EventTime::MAX`] at most. [`EventTime::MIN`] stays itself.
    #[inline]
    #[must_use]
    pub const fn plus(self, by: Micros) -> Self {
        if self.0 == i64::MIN { self } else { Self(self.0.saturating_add(by.0)) }
    }

    /// Returns the moment `by` earlier, [`EventTime::MIN`] at least.
    #[inline]
    #[must_use]
    pub const fn minus(self, by: Micros) -> Self {
        Self(self.0.saturating_sub(by.0))
    }

    /// Parses an ISO 8601 date or date-time. Without an offset it is UTC; with one it is converted.
    /// Digits beyond microseconds are refused.
    ///
    /// # Errors
    /// `Invalid` if the text is not such a time.
    ///
    /// # Examples
    /// ```
    /// use lodestore_core::time::EventTime;
    /// let naive = EventTime::parse("2024-01-01T12:00:00")?;
    /// assert_eq!(naive, EventTime::parse("2024-01-01T14:00:00+02:00")?);
    /// assert_eq!(naive.to_string(), "2024-01-01T12:00:00Z");
    /// # Ok::<(), lodestore_core::Error>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        let down = Self::parse_rounded(text, Rounding::Down)?;
        if down != Self::parse_rounded(text, Rounding::Up)? {
            return Err(not_a_time(text, &"finer than a microsecond"));
        }
        Ok(down)
    }

    /// Parses as [`EventTime::parse`], rounding digits beyond microseconds (rule T2).
    ///
    /// # Errors
    /// `Invalid` if the text is not a time.
    pub fn parse_rounded(text: &str, rounding: Rounding) -> Result<Self> {
        let timestamp = match text.parse::<Timestamp>() {
            Ok(timestamp) => timestamp,
            Err(_) => {
                let civil: DateTime = text.parse().map_err(|e| not_a_time(text, &e))?;
                civil.to_zoned(TimeZone::UTC).map_err(|e| not_a_time(text, &e))?.timestamp()
            }
        };
        let nanos = timestamp.as_nanosecond();
        let down = nanos.div_euclid(1_000);
        let up = down + i128::from(nanos.rem_euclid(1_000) != 0);
        let micros = if rounding == Rounding::Up { up } else { down };
        i64::try_from(micros).map(Self).map_err(|e| not_a_time(text, &e))
    }
}

fn not_a_time(text: &str, reason: &dyn fmt::Display) -> Error {
    Error::invalid(format!("{text:?} is not a time ({reason}); expected one like '2024-01-31T12:00:00Z'"))
}

impl std::str::FromStr for EventTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) if *self == Self::MIN => f.write_str("-infinity"),
            Err(_) if *self == Self::MAX => f.write_str("infinity"),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A length of time in microseconds, never negative: a TTL, an availability delay.
///
/// # Examples
/// ```
/// use lodestore_core::time::Micros;
/// assert_eq!("1d 12h".parse::<Micros>()?.as_micros(), 36 * 3_600_000_000);
/// assert_eq!(Micros::from_seconds(90).to_string(), "1m 30s");
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Micros(i64);

const UNITS: [(&str, i64); 7] = [
    ("w", 7 * 86_400 * MICROS_PER_SECOND),
    ("d", 86_400 * MICROS_PER_SECOND),
    ("h", 3_600 * MICROS_PER_SECOND),
    ("m", 60 * MICROS_PER_SECOND),
    ("s", MICROS_PER_SECOND),
    ("ms", 1_000),
    ("us", 1),
];

impl Micros {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Returns a length of `micros` microseconds.
    ///
    /// # Errors
    /// `Invalid` if it is negative.
    pub fn new(micros: i64) -> Result<Self> {
        if micros < 0 {
            return Err(Error::invalid(format!("a duration of {micros} us is negative")));
        }
        Ok(Self(micros))
    }

    /// Returns a length of `seconds` seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * MICROS_PER_SECOND)
    }

    /// Returns the length in microseconds.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns whether this is no time at all.
    #[inline]
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl std::str::FromStr for Micros {
    type Err = Error;

    /// Parses whole numbers with units, as in `7d`, `1h 30m` or `250ms`. Units: w d h m s ms us.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "{text:?} is not a duration; expected whole numbers with units (w d h m s ms us), as in '7d' or '1h 30m'"
            ))
        };
        let mut total: i64 = 0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(wrong)?;
            total = number.checked_mul(*unit).and_then(|n| total.checked_add(n)).ok_or_else(wrong)?;
            rest = rest[letters..].trim_start();
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        let mut separator = "";
        for (name, unit) in UNITS {
            if name == "w" || rest < unit {
                continue;
            }
            write!(f, "{separator}{}{name}", rest / unit)?;
            rest %= unit;
            separator = " ";
        }
        Ok(())
    }
}

/// Where `now` comes from (rule T3).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present moment.
    fn now(&self) -> EventTime;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> EventTime {
        EventTime(Timestamp::now().as_microsecond())
    }
}

/// A clock that stands still until it is set; clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Returns a clock that shows `now`.
    #[must_use]
    pub fn new(now: EventTime) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the time that this clock and its clones show.
    pub fn set(&self, now: EventTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::SeqCst))
    }
}

/// Measures how long work takes, for progress and reports. Not a source of `now`.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Returns a stopwatch that runs from this moment.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "elapsed time, which decides no value")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_a_time_without_a_zone_is_utc_and_a_zoned_one_is_converted() -> Result<()> {
        let utc = EventTime::parse("2024-03-10T01:30:00Z")?;
        assert_eq!(EventTime::parse("2024-03-10 01:30:00")?, utc);
        assert_eq!(EventTime::parse("2024-03-09T20:30:00-05:00")?, utc);
        assert_eq!(EventTime::parse("2024-03-10")?.as_micros(), utc.as_micros() - 5_400_000_000);
        assert!(EventTime::parse("yesterday").is_err());
        assert!(EventTime::parse("2024-03-10T01:30:00.0000001Z").is_err());
        Ok(())
    }

    #[test]
    fn t3_a_manual_clock_shows_what_it_was_set_to() {
        let clock = ManualClock::new(EventTime::from_micros(1));
        let other = clock.clone();
        other.set(EventTime::from_micros(7));
        assert_eq!(clock.now(), EventTime::from_micros(7));
    }

    #[test]
    fn moments_saturate_and_the_timeless_one_is_not_delayed() {
        let day = Micros::from_seconds(86_400);
        assert_eq!(EventTime::MIN.plus(day), EventTime::MIN);
        assert_eq!(EventTime::MAX.plus(day), EventTime::MAX);
        assert_eq!(EventTime::MIN.minus(day), EventTime::MIN);
    }

    #[test]
    fn durations_print_as_they_parse() -> Result<()> {
        for text in ["0s", "1us", "250ms", "1h 30m", "7d", "3650d"] {
            assert_eq!(text.parse::<Micros>()?.to_string(), text);
        }
        assert_eq!("2w".parse::<Micros>()?.to_string(), "14d");
        for text in ["", "1", "d", "-1d", "1.5h", "1y", "99999999999999d"] {
            assert!(text.parse::<Micros>().is_err(), "{text}");
        }
        Ok(())
    }
}
