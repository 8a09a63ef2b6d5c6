//! Windows of time: which events an aggregation takes (rules W1 and W8).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::time::{EventTime, Micros};

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

/// Default hops: windows up to the first length have the second as their hop. Longer ones have a day.
const DEFAULT_HOPS: [(Micros, Micros); 2] = [
    (Micros::from_seconds(12 * HOUR), Micros::from_seconds(5 * MINUTE)),
    (Micros::from_seconds(12 * DAY), Micros::from_seconds(HOUR)),
];

/// The units of windows in names, the longest first. Days count from two of them on: a window of a day
/// is `24h`.
const UNITS: [(&str, i64, i64); 6] = [
    ("d", DAY as i64 * 1_000_000, 2),
    ("h", HOUR as i64 * 1_000_000, 1),
    ("m", MINUTE as i64 * 1_000_000, 1),
    ("s", 1_000_000, 1),
    ("ms", 1_000, 1),
    ("us", 1, 0),
];

/// The text of a window without a start.
const LIFETIME: &str = "lifetime";

/// How long a window is. Its text is a duration, or `lifetime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeWindow {
    /// So long.
    Length(Micros),
    /// From the first event on.
    Lifetime,
}

impl TimeWindow {
    /// Returns the hop of a window that states none; `None` for a lifetime window, which has none.
    #[must_use]
    pub fn default_hop(self) -> Option<Micros> {
        let Self::Length(length) = self else { return None };
        let short = DEFAULT_HOPS.iter().find(|(longest, _)| length <= *longest);
        Some(short.map_or(Micros::from_seconds(DAY), |(_, hop)| *hop))
    }
}

impl FromStr for TimeWindow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == LIFETIME {
            return Ok(Self::Lifetime);
        }
        let length = text.parse().map_err(|_| {
            Error::invalid(format!(
                "{text:?} is not a window; expected a duration, as in '7d' or '1h 30m', or '{LIFETIME}'"
            ))
        })?;
        Ok(Self::Length(length))
    }
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => length.fmt(f),
            Self::Lifetime => f.write_str(LIFETIME),
        }
    }
}

/// The events that an aggregation takes for a question: those with times in
/// (floor(end - length, hop), end], where the end is the question's time less the offset.
///
/// The floor counts from 1970-01-01 UTC. A hop of zero is the exact window (end - length, end]. A
/// lifetime window has no start and no hop.
///
/// # Examples
/// ```
/// use lodestore_core::definition::{TimeWindow, Window};
/// use lodestore_core::time::{EventTime, Micros};
///
/// let window = Window::new("24h".parse::<TimeWindow>()?, None, Micros::ZERO)?;
/// let at = EventTime::parse("2024-03-10T12:34:56Z")?;
/// assert_eq!(window.start(at), Some(EventTime::parse("2024-03-09T12:00:00Z")?));
/// assert!(window.contains(at, at));
/// assert_eq!(window.to_string(), "24h");
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    length: TimeWindow,
    hop: Micros,
    offset: Micros,
}

impl Window {
    /// Returns a window. Without a slide interval the hop is the default of its length: 5 minutes up to
    /// 12 hours, an hour up to 12 days, a day beyond.
    ///
    /// # Errors
    /// `Invalid` for a window of no length, a hop that is longer than the window, or a slide interval of a
    /// lifetime window.
    pub fn new(length: TimeWindow, slide_interval: Option<Micros>, offset: Micros) -> Result<Self> {
        let hop = match (length, slide_interval) {
            (TimeWindow::Lifetime, Some(_)) => {
                return Err(Error::invalid(
                    "a lifetime window has no slide_interval, since it has no start that moves",
                ));
            }
            (TimeWindow::Length(length), _) if length.is_zero() => {
                return Err(Error::invalid("a time_window of 0s holds no events; give it a length, or 'lifetime'"));
            }
            (TimeWindow::Length(length), Some(hop)) if hop > length => {
                return Err(Error::invalid(format!(
                    "slide_interval {hop} is longer than its time_window {length}; it may be as long, or 0s for the exact window"
                )));
            }
            (_, Some(hop)) => hop,
            (_, None) => length.default_hop().unwrap_or(Micros::ZERO),
        };
        match length {
            TimeWindow::Length(length) if hop > length => Err(Error::invalid(format!(
                "time_window {length} is shorter than the slide_interval {hop} that it would have; set a shorter one, or 0s for the exact window"
            ))),
            _ => Ok(Self { length, hop, offset }),
        }
    }

    /// Returns how long the window is, but for its hop; `None` for a lifetime window.
    #[must_use]
    pub fn length(&self) -> Option<Micros> {
        match self.length {
            TimeWindow::Length(length) => Some(length),
            TimeWindow::Lifetime => None,
        }
    }

    /// Returns the window's length as it is written.
    #[must_use]
    pub fn time_window(&self) -> TimeWindow {
        self.length
    }

    /// Returns by how much the window's start moves at a time; zero for an exact window, `None` for a
    /// lifetime window.
    #[must_use]
    pub fn hop(&self) -> Option<Micros> {
        self.length().map(|_| self.hop)
    }

    /// Returns how long before the question the window ends.
    #[must_use]
    pub fn offset(&self) -> Micros {
        self.offset
    }

    /// Returns the time of the last event that the window at a question's time may take.
    #[inline]
    #[must_use]
    pub fn end(&self, at: EventTime) -> EventTime {
        at.minus(self.offset)
    }

    /// Returns the time that all events of the window at a question's time are after; `None` for a
    /// lifetime window. A start before all times is [`EventTime::MIN`].
    #[inline]
    #[must_use]
    pub fn start(&self, at: EventTime) -> Option<EventTime> {
        let start = self.end(at).minus(self.length()?).as_micros();
        let hop = self.hop.as_micros();
        let over = if hop == 0 { 0 } else { start.rem_euclid(hop) };
        Some(EventTime::from_micros(start.saturating_sub(over)))
    }

    /// Returns whether the window at a question's time takes an event.
    #[inline]
    #[must_use]
    pub fn contains(&self, at: EventTime, event: EventTime) -> bool {
        event <= self.end(at) && self.start(at).is_none_or(|start| event > start)
    }

    /// Returns the number i of the tile (i * hop, (i + 1) * hop] that an event lies in. Every window starts
    /// where a tile does. `None` for an exact or lifetime window, which has no tiles.
    #[inline]
    #[must_use]
    pub fn tile(&self, event: EventTime) -> Option<i64> {
        let hop = self.hop.as_micros();
        (hop > 0).then(|| event.as_micros().saturating_sub(1).div_euclid(hop))
    }

    /// Returns the start of a tile; the last of its events may be at the start of the next. Beyond the ends of time it is
    /// [`EventTime::MIN`] or [`EventTime::MAX`].
    #[inline]
    #[must_use]
    pub fn tile_start(&self, tile: i64) -> EventTime {
        EventTime::from_micros(tile.saturating_mul(self.hop.as_micros()))
    }
}

impl fmt::Display for Window {
    /// Prints the window as feature names have it: `24h`, `7d`, `7d_offset_7d`, `lifetime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            TimeWindow::Length(length) => f.write_str(&in_one_unit(length))?,
            TimeWindow::Lifetime => f.write_str(LIFETIME)?,
        }
        if self.offset.is_zero() { Ok(()) } else { write!(f, "_offset_{}", in_one_unit(self.offset)) }
    }
}

/// Returns a length in the longest unit that it is a whole number of.
fn in_one_unit(length: Micros) -> String {
    let micros = length.as_micros();
    let fits = |unit: i64, least: i64| micros % unit == 0 && micros / unit >= least;
    let found = UNITS.iter().find(|(_, unit, least)| fits(*unit, *least));
    found.map_or_else(String::new, |(name, unit, _)| format!("{}{name}", micros / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(length: &str, hop: Option<&str>, offset: &str) -> Result<Window> {
        Window::new(length.parse()?, hop.map(str::parse).transpose()?, offset.parse()?)
    }

    /// Checks where a window in microseconds starts and ends.
    fn check(window: &Window, at: i64, start: i64, end: i64) {
        let (at, start, end) = (EventTime::from_micros(at), EventTime::from_micros(start), EventTime::from_micros(end));
        assert_eq!((window.start(at), window.end(at)), (Some(start), end), "{window} at {at}");
        assert!(!window.contains(at, start), "{window} at {at} is open at its start");
        let after = EventTime::from_micros(start.as_micros() + 1);
        assert!(window.contains(at, after) == (after <= end), "{window} at {at} begins right after its start");
        assert!(window.contains(at, end) == (start < end), "{window} at {at} is closed at its end");
        assert!(!window.contains(at, EventTime::from_micros(end.as_micros() + 1)), "{window} at {at} ends");
    }

    #[test]
    fn w1_the_start_is_floored_to_the_hop_and_the_end_is_not() -> Result<()> {
        let hopping = window("100us", Some("10us"), "0s")?;
        for (at, start) in
            [(200, 100), (201, 100), (209, 100), (210, 110), (100, 0), (99, -10), (0, -100), (-1, -110), (-10, -110)]
        {
            check(&hopping, at, start, at);
        }
        let uneven = window("25us", Some("10us"), "0s")?;
        for (at, start) in [(24, -10), (25, 0), (34, 0), (35, 10), (-5, -30), (-6, -40)] {
            check(&uneven, at, start, at);
        }
        Ok(())
    }

    #[test]
    fn w1_without_a_hop_the_window_is_exact() -> Result<()> {
        let exact = window("7us", Some("0s"), "0s")?;
        for at in [0, 6, 7, 8, -1] {
            check(&exact, at, at - 7, at);
        }
        assert_eq!((exact.hop(), exact.tile(EventTime::from_micros(3))), (Some(Micros::ZERO), None));
        Ok(())
    }

    #[test]
    fn w1_the_default_hop_depends_on_the_length() -> Result<()> {
        for (length, hop) in [
            ("5m", "5m"),
            ("1h", "5m"),
            ("12h", "5m"),
            ("12h 1us", "1h"),
            ("12d", "1h"),
            ("12d 1us", "1d"),
            ("3650d", "1d"),
        ] {
            assert_eq!(window(length, None, "0s")?.hop(), Some(hop.parse()?), "{length}");
        }
        Ok(())
    }

    #[test]
    fn w8_an_offset_moves_the_whole_window() -> Result<()> {
        let offset = window("100us", Some("10us"), "5us")?;
        for (at, start, end) in [(205, 100, 200), (204, 90, 199), (5, -100, 0), (4, -110, -1)] {
            check(&offset, at, start, end);
        }
        Ok(())
    }

    #[test]
    fn w8_a_lifetime_window_has_no_start() -> Result<()> {
        let lifetime = window("lifetime", None, "5us")?;
        let at = EventTime::from_micros(0);
        assert_eq!((lifetime.start(at), lifetime.hop(), lifetime.length()), (None, None, None));
        assert!(lifetime.contains(at, EventTime::from_micros(i64::MIN + 1)));
        assert!(lifetime.contains(at, EventTime::from_micros(-5)));
        assert!(!lifetime.contains(at, EventTime::from_micros(-4)));
        assert_eq!(lifetime.tile(at), None);
        Ok(())
    }

    #[test]
    fn w1_windows_end_with_time() -> Result<()> {
        let year = window("365d", None, "1d")?;
        for at in [EventTime::MIN, EventTime::from_micros(i64::MIN + 1), EventTime::MIN.plus(Micros::from_seconds(9))] {
            assert_eq!((year.start(at), year.end(at)), (Some(EventTime::MIN), EventTime::MIN), "{at:?}");
            assert!(!year.contains(at, at));
        }
        // The exact start is inside of time, its floor is not.
        let at = EventTime::from_micros(i64::MIN + (366 * 24 + 1) * 3_600_000_000);
        assert_eq!(year.start(at), Some(EventTime::MIN));
        assert!(year.contains(at, EventTime::from_micros(i64::MIN + 1)));
        assert!(year.contains(EventTime::MAX, EventTime::from_micros(i64::MAX - 2 * 86_400_000_000)));
        Ok(())
    }

    #[test]
    fn w1_tiles_are_open_at_their_start_and_windows_are_made_of_them() -> Result<()> {
        let hopping = window("25us", Some("10us"), "3us")?;
        for (event, tile) in [(1, 0), (10, 0), (11, 1), (0, -1), (-9, -1), (-10, -2), (i64::MIN, i64::MIN / 10 - 1)] {
            assert_eq!(hopping.tile(EventTime::from_micros(event)), Some(tile), "{event}");
        }
        for at in -50..50 {
            let start = hopping.start(EventTime::from_micros(at)).unwrap();
            let first = hopping.tile(EventTime::from_micros(start.as_micros() + 1)).unwrap();
            assert_eq!(hopping.tile_start(first), start, "at {at}");
        }
        assert_eq!(hopping.tile_start(i64::MIN), EventTime::MIN);
        Ok(())
    }

    #[test]
    fn windows_are_called_by_their_length() -> Result<()> {
        for (length, shown) in [
            ("1d", "24h"),
            ("7d", "7d"),
            ("36h", "36h"),
            ("48h", "2d"),
            ("90m", "90m"),
            ("60m", "1h"),
            ("90s", "90s"),
            ("1500ms", "1500ms"),
            ("7us", "7us"),
            ("lifetime", "lifetime"),
        ] {
            let slide_interval = (length != "lifetime").then_some("0s");
            assert_eq!(window(length, slide_interval, "0s")?.to_string(), shown);
            assert_eq!(window(length, slide_interval, "7d")?.to_string(), format!("{shown}_offset_7d"));
        }
        Ok(())
    }

    #[test]
    fn senseless_windows_are_refused() {
        let error = |length, hop| window(length, hop, "0s").unwrap_err().to_string();
        assert!(error("0s", None).contains("holds no events"));
        assert!(error("1h", Some("61m")).contains("slide_interval 1h 1m is longer than its time_window 1h"));
        assert!(error("1m", None).contains("time_window 1m is shorter than the slide_interval 5m that it would have"));
        assert!(error("lifetime", Some("1d")).contains("a lifetime window has no slide_interval"));
        assert!(error("a week", None).contains("\"a week\" is not a window; expected a duration"));
    }
}
