//! The numbers of the rows of a batch.

/// Ascending row numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowNumbers {
    /// So many, one after the other, from the first on.
    From(u64, u64),
    /// Any.
    Each(Vec<u64>),
}

impl RowNumbers {
    /// Returns the number of the row at a place.
    pub(crate) fn at(&self, place: usize) -> u64 {
        match self {
            Self::From(first, _) => first + place as u64,
            Self::Each(rows) => rows[place],
        }
    }

    /// Returns the numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let count = match self {
            Self::From(_, count) => *count as usize,
            Self::Each(rows) => rows.len(),
        };
        (0..count).map(|place| self.at(place))
    }

    /// Returns the numbers counted from so many rows before.
    pub(crate) fn after(self, rows: u64) -> Self {
        match self {
            Self::From(first, count) => Self::From(first + rows, count),
            Self::Each(each) => Self::Each(each.into_iter().map(|row| row + rows).collect()),
        }
    }
}
