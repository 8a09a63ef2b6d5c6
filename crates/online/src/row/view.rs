//! A stored row as a reader sees it.

use lodestore_core::Result;
use lodestore_core::online::{FeatureStatus, KeyState, status_of};
use lodestore_core::rows::RowStamp;
use lodestore_core::time::{EventTime, Micros};

use super::layout::RowLayout;
use super::state::{RecordCells, read_state};
use super::value::{Record, Value, array, corrupt};
use super::{ONE_ENTRY, ROW_FORMAT, SEVERAL_ENTRIES};

/// What a stored row says of one feature at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'a> {
    /// What was found.
    pub status: FeatureStatus,
    /// The value; there if and only if the status is `Present`.
    pub value: Option<Value<'a>>,
    /// The event time of the entry that answered; `None` if there is none or it is timeless.
    pub event_time: Option<EventTime>,
}

/// The rows of a key, read where they lie.
#[derive(Debug)]
pub enum StoredRow<'a> {
    /// The usual form.
    One(RowView<'a>),
    /// Every other state of a key.
    Several(Several<'a>),
}

/// Entries that [`KeyState`] chooses from.
#[derive(Debug)]
pub struct Several<'a> {
    layout: &'a RowLayout,
    state: KeyState<RecordCells<'a>>,
}

impl<'a> StoredRow<'a> {
    /// Reads the head of a stored row. The values are looked at when they are asked for.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a row of this layout.
    #[inline]
    pub fn parse(layout: &'a RowLayout, bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            [ROW_FORMAT, ONE_ENTRY, ..] => RowView::parse(layout, bytes).map(Self::One),
            [ROW_FORMAT, SEVERAL_ENTRIES, ..] => {
                Ok(Self::Several(Several { layout, state: read_state(layout, bytes)? }))
            }
            [format, ..] if *format > ROW_FORMAT => {
                Err(corrupt(&format!("it has format {format}, and this version reads formats up to {ROW_FORMAT}")))
            }
            _ => Err(corrupt("its head is not that of a row")),
        }
    }

    /// Returns what the row says of a feature, given by its place in the view's order.
    ///
    /// # Errors
    /// `Corrupt` if the value's bytes are not of its type; `Internal` if there is no such feature.
    #[inline]
    pub fn answer(&'a self, feature: usize, rule: &ReadRule) -> Result<Answer<'a>> {
        let found = self.winner(feature, rule)?;
        let (status, slot, event_time) = rule.judge(found);
        let value = match slot {
            Some(bytes) => Some(Value::read(&self.layout().record.fields[feature].shape, bytes)?),
            None => None,
        };
        Ok(Answer { status, value, event_time })
    }

    /// Returns the stamp and bytes of the entry that answers for a feature.
    #[inline]
    pub(super) fn winner(&'a self, feature: usize, rule: &ReadRule) -> Result<Option<Slot<'a>>> {
        match self {
            Self::One(row) if rule.sees(row.stamp) => Ok(Some((row.stamp, row.record.slot(feature)?))),
            Self::One(_) => Ok(None),
            Self::Several(several) => several
                .state
                .winner(feature, rule.as_of, rule.delay)
                .map(|entry| Ok((entry.stamp, entry.cells.record()?.slot(feature)?)))
                .transpose(),
        }
    }

    fn layout(&self) -> &'a RowLayout {
        match self {
            Self::One(row) => row.layout,
            Self::Several(several) => several.layout,
        }
    }
}

/// The stamp of an entry and the bytes of one of its values, `None` where it is null.
pub(super) type Slot<'a> = (RowStamp, Option<&'a [u8]>);

/// When an entry answers: the moment asked for, and the view's delay and TTL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRule {
    /// The moment that answers are for.
    pub as_of: EventTime,
    /// How long after its event time a row becomes visible.
    pub delay: Micros,
    /// How old a row may be.
    pub ttl: Option<Micros>,
}

impl ReadRule {
    #[inline]
    pub(super) fn sees(&self, stamp: RowStamp) -> bool {
        stamp.event.plus(self.delay) <= self.as_of && self.as_of < stamp.valid_to
    }

    /// Returns the status, the bytes if it is `Present`, and the event time to show.
    #[inline]
    pub(super) fn judge<'a>(&self, found: Option<Slot<'a>>) -> (FeatureStatus, Option<&'a [u8]>, Option<EventTime>) {
        let status = status_of(found.map(|(stamp, slot)| (stamp, slot.is_none())), self.ttl, self.as_of);
        let event_time = found.map(|(stamp, _)| stamp.event).filter(|&event| event != EventTime::MIN);
        let slot = found.and_then(|(_, slot)| slot).filter(|_| status == FeatureStatus::Present);
        (status, slot, event_time)
    }
}

/// One entry in the usual form: all features, always valid.
#[derive(Debug, Clone, Copy)]
pub struct RowView<'a> {
    layout: &'a RowLayout,
    stamp: RowStamp,
    record: Record<'a>,
}

/// How many bytes stand before the record of a single entry.
pub(super) const ROW_HEAD: usize = 18;

impl<'a> RowView<'a> {
    #[inline]
    pub(super) fn parse(layout: &'a RowLayout, bytes: &'a [u8]) -> Result<Self> {
        let (event, created) = row_order(bytes)?;
        let stamp = RowStamp { created, ..RowStamp::at(event) };
        Ok(Self { layout, stamp, record: Record::new(&layout.record, &bytes[ROW_HEAD..])? })
    }

    /// Returns the times of the row.
    #[must_use]
    pub fn stamp(&self) -> RowStamp {
        self.stamp
    }

    /// Returns the value of a feature, `None` where it is null.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a value of its type; `Internal` if there is no such feature.
    #[inline]
    pub fn value(&self, feature: usize) -> Result<Option<Value<'a>>> {
        self.record.value(feature)
    }
}

/// Returns the times that order a single entry, without a look at its values.
#[inline]
pub(super) fn row_order(bytes: &[u8]) -> Result<(EventTime, EventTime)> {
    let head = bytes.get(2..ROW_HEAD).ok_or_else(|| corrupt("its head is too short"))?;
    let micros = |bytes: &[u8]| array(bytes).map(i64::from_le_bytes).map(EventTime::from_micros);
    Ok((micros(&head[..8])?, micros(&head[8..])?))
}
