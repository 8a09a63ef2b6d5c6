//! Which row groups can hold rows that matter, by their statistics.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use lodestore_core::types::{Rounding, event_times};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::file::{DataFile, TableColumn};
use crate::source::{Bounds, KeyValues, TimeBounds};

/// The bounds of a scan on one table column.
#[derive(Debug)]
pub(crate) enum ColumnBounds<'a> {
    Times(&'a TimeBounds),
    Keys(&'a KeyValues),
}

/// Returns the bounds with the columns that they are about; `column` finds a table's column by its
/// name in the views.
pub(crate) fn column_bounds<'a>(
    bounds: &'a Bounds,
    column: impl Fn(&str) -> Option<&'a TableColumn>,
) -> Vec<(&'a TableColumn, ColumnBounds<'a>)> {
    let times = bounds.times.iter().map(|times| (column(&times.column), ColumnBounds::Times(times)));
    let keys = bounds.keys.iter().map(|keys| (column(&keys.column), ColumnBounds::Keys(&keys.values)));
    times.chain(keys).filter_map(|(column, bounds)| Some((column?, bounds))).collect()
}

/// Returns, for each row group of a file, whether it can hold rows within all of the bounds.
pub(crate) fn row_groups(
    file: &DataFile,
    metadata: &ArrowReaderMetadata,
    bounds: &[(&TableColumn, ColumnBounds<'_>)],
) -> Vec<bool> {
    let groups = metadata.metadata().row_groups();
    let mut kept = vec![true; groups.len()];
    for (column, bounds) in bounds {
        let constant = file.constants.iter().find(|(name, _)| name == column.field.name());
        if let Some((_, value)) = constant {
            let within = bounds.may_hold(value, value, 0);
            kept.iter_mut().for_each(|kept| *kept &= within);
            continue;
        }
        let name = &column.name_in_files;
        let Ok(converter) = StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()) else {
            continue;
        };
        let (Ok(least), Ok(greatest)) = (converter.row_group_mins(groups), converter.row_group_maxes(groups)) else {
            continue;
        };
        for (group, kept) in kept.iter_mut().enumerate() {
            *kept &= bounds.may_hold(&least, &greatest, group);
        }
    }
    kept
}

impl ColumnBounds<'_> {
    /// Returns whether values between row `row` of both arrays may be within the bounds. Where nothing
    /// is known, they may.
    fn may_hold(&self, least: &ArrayRef, greatest: &ArrayRef, row: usize) -> bool {
        if least.is_null(row) || greatest.is_null(row) {
            return true;
        }
        match self {
            Self::Times(times) => {
                let micros = |array: &ArrayRef, rounding| {
                    event_times("time", &array.slice(row, 1), rounding).ok().map(|times| times.value(0))
                };
                let (Some(least), Some(greatest)) = (micros(least, Rounding::Down), micros(greatest, Rounding::Up))
                else {
                    return true;
                };
                times.earliest.is_none_or(|earliest| greatest >= earliest.as_micros())
                    && times.latest.is_none_or(|latest| least <= latest.as_micros())
            }
            Self::Keys(KeyValues::Integers { least: from, greatest: to, few }) => {
                let (Some(least), Some(greatest)) = (integer(least, row), integer(greatest, row)) else { return true };
                let within = |key: &i64| (least..=greatest).contains(key);
                greatest >= *from && least <= *to && few.as_ref().is_none_or(|few| few.iter().any(within))
            }
            Self::Keys(KeyValues::Texts { least: from, greatest: to, few }) => {
                let (Some(least), Some(greatest)) = (text(least, row), text(greatest, row)) else { return true };
                let within = |key: &String| least.as_str() <= key.as_str() && key.as_str() <= greatest.as_str();
                greatest >= *from && least <= *to && few.as_ref().is_none_or(|few| few.iter().any(within))
            }
        }
    }
}

fn integer(array: &ArrayRef, row: usize) -> Option<i64> {
    let wide = cast(&array.slice(row, 1), &DataType::Int64).ok()?;
    let wide: &Int64Array = wide.as_primitive::<Int64Type>();
    wide.is_valid(0).then(|| wide.value(0))
}

fn text(array: &ArrayRef, row: usize) -> Option<String> {
    let wide = cast(&array.slice(row, 1), &DataType::Utf8).ok()?;
    let wide = wide.as_string::<i32>();
    wide.is_valid(0).then(|| wide.value(0).to_owned())
}
