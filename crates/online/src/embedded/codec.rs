//! The keys and records of the folder, as the page of this module describes them.

use std::sync::{Arc, RwLock};

use lodestore_core::definition::ViewVersion;
use lodestore_core::online::windows::{PLACE_BYTES, WindowPlan};
use lodestore_core::online::{OnlineView, Watermark};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};
use sha2::{Digest, Sha256};

use crate::row::RowLayout;

/// The format that is written, and the newest that is read.
const FORMAT: u8 = 1;

/// The longest key of LMDB.
pub(super) const MAX_KEY: usize = 511;
const NUMBER: usize = 4;
const HASH: usize = 32;

/// A view version with all that a read or write of its rows needs to know, worked out once.
#[derive(Debug)]
pub(super) struct PreparedView {
    pub(super) version: Arc<ViewVersion>,
    pub(super) layout: Arc<RowLayout>,
    /// How its windows are kept, where it has aggregations.
    pub(super) windows: Option<Arc<WindowPlan>>,
    /// What messages call it.
    pub(super) name: String,
    /// Where the view's record is.
    pub(super) key: Vec<u8>,
    /// The view's keys and features, as its record tells them.
    columns: String,
    /// The number that rows have in their keys, and the commit whose record said so. Only ever tried, as a
    /// forked child may have inherited it locked.
    number: RwLock<Option<(usize, Option<u32>)>>,
}

impl PreparedView {
    pub(super) fn new(view: &OnlineView) -> Result<Self> {
        let is_aggregated = view.version.definition.is_aggregated();
        let keys = view.version.keys.iter().map(|key| format!("{} {}", key.name, key.key_type));
        let features = view.version.features.iter().map(|f| format!("{} {}", f.name, f.feature_type));
        let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
        Ok(Self {
            windows: is_aggregated.then(|| WindowPlan::new(&view.version).map(Arc::new)).transpose()?,
            columns: format!("keys: {}; features: {}", list(&mut { keys }), list(&mut { features })),
            layout: Arc::new(RowLayout::of(&view.version)),
            version: Arc::clone(&view.version),
            name: view.to_string(),
            key: view_key(view.id()),
            number: RwLock::default(),
        })
    }

    /// Returns the number that the view's rows have as of a commit: remembered from another read of that
    /// commit, or read.
    #[inline]
    pub(super) fn number_at(&self, commit: usize, read: impl FnOnce() -> Result<Option<u32>>) -> Result<Option<u32>> {
        if let Ok(known) = self.number.try_read()
            && let Some((at, number)) = *known
            && at == commit
        {
            return Ok(number);
        }
        let number = read()?;
        if let Ok(mut known) = self.number.try_write() {
            *known = Some((commit, number));
        }
        Ok(number)
    }

    /// Reads the view's record; the rows it tells of have this view's layout.
    pub(super) fn read_record(&self, record: &[u8]) -> Result<ViewRecord> {
        let damaged = || Error::corrupt(format!("the record of view '{}' in the online store is damaged", self.name));
        check_format(record)?;
        let (head, columns) = record.split_at_checked(22).ok_or_else(damaged)?;
        if columns != self.columns.as_bytes() {
            return Err(Error::corrupt(format!(
                "view '{}' is stored with ({}), but defined with ({}); retire it, or use another folder",
                self.name,
                String::from_utf8_lossy(columns),
                self.columns
            )));
        }
        let time = |bit: u8, at: usize| -> Option<EventTime> {
            let micros = head[at..at + 8].try_into().map(i64::from_le_bytes);
            micros.ok().filter(|_| head[5] & bit != 0).map(EventTime::from_micros)
        };
        let number = head[1..5].try_into().map(u32::from_le_bytes).map_err(|_| damaged())?;
        Ok(ViewRecord { number, watermark: Watermark { event: time(1, 6), created: time(2, 14) } })
    }

    pub(super) fn write_record(&self, record: ViewRecord) -> Vec<u8> {
        let Watermark { event, created } = record.watermark;
        let bits = u8::from(event.is_some()) | u8::from(created.is_some()) << 1;
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&record.number.to_le_bytes());
        bytes.push(bits);
        for time in [event, created] {
            bytes.extend_from_slice(&time.map_or(0, EventTime::as_micros).to_le_bytes());
        }
        bytes.extend_from_slice(self.columns.as_bytes());
        bytes
    }
}

/// What the store knows of a view version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ViewRecord {
    pub(super) number: u32,
    pub(super) watermark: Watermark,
}

/// Returns the key of a view's record.
pub(super) fn view_key(id: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(1 + id.len());
    name.push(b'v');
    name.extend_from_slice(id.as_bytes());
    row_key(0, &name, &mut [0; MAX_KEY]).to_vec()
}

/// Returns the number of a view, for its removal, whatever its columns are.
pub(super) fn number_of(record: &[u8]) -> Result<u32> {
    check_format(record)?;
    let number = record.get(1..5).and_then(|bytes| bytes.try_into().ok());
    number.map(u32::from_le_bytes).ok_or_else(|| Error::corrupt("a view's record in the online store is damaged"))
}

/// The key of the format and the next free view number.
pub(super) const FORMAT_KEY: [u8; 5] = [0, 0, 0, 0, b'f'];

/// Reads the next free view number.
pub(super) fn read_format(record: &[u8]) -> Result<u32> {
    number_of(record)
}

pub(super) fn write_format(next_number: u32) -> [u8; 5] {
    let [a, b, c, d] = next_number.to_le_bytes();
    [FORMAT, a, b, c, d]
}

/// What the keys of numbers whose rows are to be removed begin with.
pub(super) const RETIRED_PREFIX: [u8; 5] = [0, 0, 0, 0, b'r'];

pub(super) fn retired_key(number: u32) -> [u8; 9] {
    let mut key = [0; 9];
    key[..5].copy_from_slice(&RETIRED_PREFIX);
    key[5..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Reads the number from such a key.
pub(super) fn retired_number(key: &[u8]) -> Result<u32> {
    let number = key.get(5..).and_then(|bytes| bytes.try_into().ok());
    number.map(u32::from_be_bytes).ok_or_else(|| Error::corrupt("a retired number in the online store is damaged"))
}

/// Returns the key of an entity key's rows, or of something called `name` under number 0.
#[inline]
pub(super) fn row_key<'a>(number: u32, name: &[u8], room: &'a mut [u8; MAX_KEY]) -> &'a [u8] {
    key_within::<MAX_KEY>(number, name, room)
}

/// Returns what the keys of an entity key's windows begin with; places follow.
pub(super) fn window_key<'a>(number: u32, name: &[u8], room: &'a mut [u8; MAX_KEY]) -> &'a [u8] {
    key_within::<{ MAX_KEY - PLACE_BYTES }>(number, name, room)
}

/// Returns a number and a name as a key of at most so many bytes. A name that is kept as it is makes a shorter one.
#[inline]
fn key_within<'a, const MOST: usize>(number: u32, name: &[u8], room: &'a mut [u8; MAX_KEY]) -> &'a [u8] {
    room[..NUMBER].copy_from_slice(&number.to_be_bytes());
    let end = NUMBER + name.len();
    if end < MOST {
        room[NUMBER..end].copy_from_slice(name);
        return &room[..end];
    }
    room[NUMBER..MOST - HASH].copy_from_slice(&name[..MOST - HASH - NUMBER]);
    room[MOST - HASH..MOST].copy_from_slice(&Sha256::digest(name));
    &room[..MOST]
}

fn check_format(record: &[u8]) -> Result<()> {
    match record.first() {
        Some(&FORMAT) => Ok(()),
        Some(&format) if format > FORMAT => Err(Error::unsupported(format!(
            "the online store has format {format}, and this version reads formats up to {FORMAT}; use a newer version"
        ))),
        _ => Err(Error::corrupt("a record of the online store does not tell its format")),
    }
}

#[cfg(test)]
mod tests {
    use lodestore_core::ErrorKind;

    use super::*;
    use crate::fixture::{at, view};

    #[test]
    fn keys_have_the_bytes_of_format_1() {
        assert_eq!(row_key(0x0102_0304, b"key", &mut [0; MAX_KEY]), b"\x01\x02\x03\x04key");
        assert_eq!(view_key("p/v@1"), b"\0\0\0\0vp/v@1");
        assert_eq!(retired_key(258), *b"\0\0\0\0r\0\0\x01\x02");
        assert_eq!(retired_number(&retired_key(258)).ok(), Some(258));
        assert_eq!(write_format(258), [1, 2, 1, 0, 0]);
        assert_eq!(read_format(&write_format(258)).ok(), Some(258));
    }

    #[test]
    fn long_keys_have_a_hash_and_one_length() {
        let key = |length| row_key(1, &vec![7; length], &mut [0; MAX_KEY]).to_vec();
        assert_eq!((key(506).len(), &key(506)[4..]), (510, &[7; 506][..]));
        assert_eq!((key(507).len(), &key(507)[4..479]), (511, &[7; 475][..]));
        let hash: String = key(507)[479..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "45c822f17675918655519950255666ef6ba6039a2ceff83cbbaad5c2d928c592");
        assert!(key(508).len() == 511 && key(508) != key(507));
    }

    #[test]
    fn long_keys_of_windows_leave_room_for_places() {
        let key = |length| window_key(1, &vec![7; length], &mut [0; MAX_KEY]).to_vec();
        assert_eq!((key(489).len(), &key(489)[4..]), (493, &[7; 489][..]));
        assert_eq!((key(490).len(), &key(490)[4..462]), (494, &[7; 458][..]));
        assert!(key(491).len() + PLACE_BYTES == MAX_KEY && key(491) != key(490));
    }

    #[test]
    fn records_have_the_bytes_of_format_1() -> Result<()> {
        let view = PreparedView::new(&view(3, &["list<int64>"], "0s", "0s")?)?;
        let watermark = Watermark { event: Some(at(-1)), created: None };
        let record = ViewRecord { number: 258, watermark };
        let bytes = view.write_record(record);
        let expected = b"\x01\x02\x01\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\
            keys: id int64; features: f0 list<int64>";
        assert_eq!(bytes, expected);
        assert_eq!(view.read_record(&bytes)?, record);
        assert_eq!(number_of(&bytes)?, 258);
        let both = Watermark { event: Some(at(i64::MIN)), created: Some(at(i64::MAX)) };
        for watermark in [Watermark::default(), both] {
            let record = ViewRecord { number: 1, watermark };
            assert_eq!(view.read_record(&view.write_record(record))?, record);
        }
        Ok(())
    }

    #[test]
    fn newer_and_damaged_records_are_refused() -> Result<()> {
        let view = PreparedView::new(&view(1, &["int64"], "0s", "0s")?)?;
        let mut bytes = view.write_record(ViewRecord { number: 1, watermark: Watermark::default() });
        for length in 0..bytes.len() {
            assert_eq!(view.read_record(&bytes[..length]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        bytes[0] = 2;
        let error = view.read_record(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("has format 2, and this version reads formats up to 1"), "{error}");
        assert_eq!(read_format(&[2, 1, 0, 0, 0]).unwrap_err().kind(), ErrorKind::Unsupported);
        Ok(())
    }
}
