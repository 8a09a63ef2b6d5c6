//! The head of a stored row in the usual form.

use lodestore_core::Result;
use lodestore_core::time::EventTime;

use super::value::{array, corrupt};

/// How many bytes stand before the record of a single entry.
pub(super) const ROW_HEAD: usize = 18;

/// Returns the times that order a single entry, without a look at its values.
#[inline]
pub(super) fn row_order(bytes: &[u8]) -> Result<(EventTime, EventTime)> {
    let head = bytes.get(2..ROW_HEAD).ok_or_else(|| corrupt("its head is too short"))?;
    let micros = |bytes: &[u8]| array(bytes).map(i64::from_le_bytes).map(EventTime::from_micros);
    Ok((micros(&head[..8])?, micros(&head[8..])?))
}
