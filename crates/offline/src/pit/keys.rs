//! Distinct keys and their numbers: what the rows of a view are looked up in.

use std::hash::BuildHasher;

use arrow::array::{Array, BinaryArray, Int64Array};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use lodestore_core::entity_key::KeyColumn;

use crate::source::KeyValues;

/// The number of a key that is not known, or null.
pub(crate) const NO_KEY: u32 = u32::MAX;

/// Up to this many values of a key column are handed on to sources one by one.
const FEW_VALUES: usize = 32;

/// Distinct keys, numbered from 0 in the order in which they were first seen.
///
/// The values of each key column are numbered on their own. The numbers of the first two columns
/// are a pair, which is an integer and has a number itself; with that of the third column it is a
/// pair again, and so on. So a key of any columns is found by steps that are all alike.
#[derive(Debug)]
pub(crate) struct Keys {
    columns: Vec<Values>,
    /// Numbers of pairs: that of the columns before, that of the next column.
    pairs: Vec<Integers>,
    count: usize,
}

#[derive(Debug)]
enum Values {
    Integers(Integers),
    Bytes(Box<ByteStrings>),
}

impl Keys {
    /// Numbers the keys of rows for which `is_wanted`; returns also each row's number.
    pub(crate) fn number(columns: &[KeyColumn], rows: usize, is_wanted: impl Fn(usize) -> bool) -> (Self, Vec<u32>) {
        let mut keys = Self { columns: Vec::new(), pairs: Vec::new(), count: 1 };
        let mut numbers: Vec<u32> = (0..rows).map(|row| if is_wanted(row) { 0 } else { NO_KEY }).collect();
        for (place, column) in columns.iter().enumerate() {
            let before = numbers.clone();
            let values = match column {
                KeyColumn::Integers(values) => Values::Integers(Integers::number(values, &mut numbers)),
                KeyColumn::Bytes(values) => Values::Bytes(Box::new(ByteStrings::number(values, &mut numbers))),
            };
            keys.columns.push(values);
            if place > 0 {
                let pairs = pairs_of(&before, &numbers);
                keys.pairs.push(Integers::number(&pairs, &mut numbers));
            }
        }
        keys.count = numbers.iter().filter(|number| **number != NO_KEY).max().map_or(0, |most| *most as usize + 1);
        (keys, numbers)
    }

    /// Returns how many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Puts the number of each row's key into `numbers`.
    pub(crate) fn find(&self, columns: &[KeyColumn], rows: usize, numbers: &mut Vec<u32>) {
        numbers.clear();
        numbers.resize(rows, if self.count == 0 { NO_KEY } else { 0 });
        if self.count == 0 {
            return;
        }
        for (place, (column, values)) in columns.iter().zip(&self.columns).enumerate() {
            let before = if place > 0 { std::mem::replace(numbers, vec![0; rows]) } else { Vec::new() };
            match (column, values) {
                (KeyColumn::Integers(column), Values::Integers(values)) => values.find(column, numbers),
                (KeyColumn::Bytes(column), Values::Bytes(values)) => values.find(column, numbers),
                // The forms of one join key are always the same.
                _ => numbers.fill(NO_KEY),
            }
            if place > 0 {
                let pairs = pairs_of(&before, numbers);
                numbers.fill(0);
                self.pairs[place - 1].find(&pairs, numbers);
            }
        }
    }

    /// Returns, for each key column, which values there are: the bounds of keys that matter.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<KeyValues>> + '_ {
        self.columns.iter().map(|values| match values {
            Values::Integers(integers) => integers.values(),
            Values::Bytes(strings) => strings.values(),
        })
    }
}

/// Returns pairs of numbers as integers, null where one of them is [`NO_KEY`].
fn pairs_of(first: &[u32], second: &[u32]) -> Int64Array {
    let pair = |(&a, &b): (&u32, &u32)| (a != NO_KEY && b != NO_KEY).then_some((i64::from(a) << 32) | i64::from(b));
    first.iter().zip(second).map(pair).collect()
}

/// Returns hashes of the keys of rows. Those of one call go together; another call hashes otherwise.
pub(crate) fn key_hashes(columns: &[KeyColumn], rows: usize) -> Vec<u64> {
    let hasher = DefaultHashBuilder::default();
    let mut hashes = vec![0_u64; rows];
    for column in columns {
        for (row, hash) in hashes.iter_mut().enumerate() {
            let value = match column {
                KeyColumn::Integers(values) => hasher.hash_one(values.value(row)),
                KeyColumn::Bytes(values) => hasher.hash_one(values.value(row)),
            };
            *hash = mix(*hash ^ value);
        }
    }
    hashes
}

/// Spreads the bits of an integer over all of its result.
fn mix(value: u64) -> u64 {
    let wide = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// Distinct integers and their numbers: an array over their range where that is dense, else a table
/// with open addressing.
#[derive(Debug)]
enum Integers {
    Dense { least: i64, numbers: Vec<u32> },
    Hashed { slots: Vec<Slot>, least: i64, greatest: i64 },
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    value: i64,
    number: u32,
}

const EMPTY: Slot = Slot { value: 0, number: NO_KEY };

impl Integers {
    /// Numbers the values of rows that have some number already; null values get none.
    fn number(values: &Int64Array, numbers: &mut [u32]) -> Self {
        let wanted = |row: usize, number: u32| number != NO_KEY && values.is_valid(row);
        let mut count = 0_usize;
        let (mut least, mut greatest) = (i64::MAX, i64::MIN);
        for (row, number) in numbers.iter().enumerate() {
            if wanted(row, *number) {
                (least, greatest) = (least.min(values.value(row)), greatest.max(values.value(row)));
                count += 1;
            }
        }
        let range = greatest.checked_sub(least).and_then(|range| usize::try_from(range).ok());
        let dense = range.filter(|range| *range < 4 * count + 1024);
        let mut found = match dense {
            Some(range) => Self::Dense { least, numbers: vec![NO_KEY; range + 1] },
            None => Self::Hashed { slots: vec![EMPTY; (2 * count).next_power_of_two().max(4)], least, greatest },
        };
        let mut next = 0;
        for (row, number) in numbers.iter_mut().enumerate() {
            *number = if wanted(row, *number) { found.insert(values.value(row), &mut next) } else { NO_KEY };
        }
        found.shrink(next as usize);
        found
    }

    fn insert(&mut self, value: i64, next: &mut u32) -> u32 {
        let number = match self {
            Self::Dense { least, numbers } => &mut numbers[(value - *least) as usize],
            Self::Hashed { slots, .. } => {
                let place = probe(slots, value);
                slots[place].value = value;
                &mut slots[place].number
            }
        };
        if *number == NO_KEY {
            *number = *next;
            *next += 1;
        }
        *number
    }

    /// Gives back what many equal values did not need.
    fn shrink(&mut self, distinct: usize) {
        let Self::Hashed { slots, .. } = self else { return };
        let fitting = (2 * distinct).next_power_of_two().max(4);
        if fitting < slots.len() {
            let all = std::mem::replace(slots, vec![EMPTY; fitting]);
            for slot in all.into_iter().filter(|slot| slot.number != NO_KEY) {
                let place = probe(slots, slot.value);
                slots[place] = slot;
            }
        }
    }

    fn find(&self, values: &Int64Array, numbers: &mut [u32]) {
        match self {
            Self::Dense { least, numbers: known } => {
                for (number, value) in numbers.iter_mut().zip(values.values()) {
                    let place = value.wrapping_sub(*least) as u64;
                    *number = known.get(usize::try_from(place).unwrap_or(usize::MAX)).copied().unwrap_or(NO_KEY);
                }
            }
            Self::Hashed { slots, least, greatest } => {
                for (number, value) in numbers.iter_mut().zip(values.values()) {
                    let within = (*least..=*greatest).contains(value);
                    *number = if within { slots[probe(slots, *value)].number } else { NO_KEY };
                }
            }
        }
        if let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) {
            for (number, is_valid) in numbers.iter_mut().zip(nulls) {
                *number = if is_valid { *number } else { NO_KEY };
            }
        }
    }

    fn values(&self) -> Option<KeyValues> {
        let mut known: Box<dyn Iterator<Item = i64>> = match self {
            Self::Dense { least, numbers } => {
                let known = numbers.iter().enumerate().filter(|(_, number)| **number != NO_KEY);
                Box::new(known.map(|(place, _)| *least + place as i64))
            }
            Self::Hashed { slots, .. } => {
                Box::new(slots.iter().filter(|slot| slot.number != NO_KEY).map(|slot| slot.value))
            }
        };
        let first = known.next()?;
        let (mut least, mut greatest, mut few) = (first, first, vec![first]);
        for value in known {
            (least, greatest) = (least.min(value), greatest.max(value));
            if few.len() <= FEW_VALUES {
                few.push(value);
            }
        }
        Some(KeyValues::Integers { least, greatest, few: (few.len() <= FEW_VALUES).then_some(few) })
    }
}

/// Returns the slot that a value has, or would have. There is always an empty one.
#[inline]
fn probe(slots: &[Slot], value: i64) -> usize {
    let mask = slots.len() - 1;
    let mut place = mix(value as u64) as usize & mask;
    loop {
        let slot = slots[place];
        if slot.number == NO_KEY || slot.value == value {
            return place;
        }
        place = (place + 1) & mask;
    }
}

/// Distinct byte strings and their numbers.
#[derive(Debug)]
struct ByteStrings {
    hasher: DefaultHashBuilder,
    numbers: HashTable<(u32, u32)>,
    /// The strings, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl ByteStrings {
    fn number(values: &BinaryArray, numbers: &mut [u32]) -> Self {
        let mut found = Self {
            hasher: DefaultHashBuilder::default(),
            numbers: HashTable::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        for (row, number) in numbers.iter_mut().enumerate() {
            let wanted = *number != NO_KEY && values.is_valid(row);
            *number = if wanted { found.insert(values.value(row)) } else { NO_KEY };
        }
        found
    }

    fn insert(&mut self, value: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(value);
        let (bytes, ends) = (&self.bytes, &self.ends);
        let same = |&(short, number): &(u32, u32)| short == hash as u32 && string(bytes, ends, number) == value;
        let rehash = |&(_, number): &(u32, u32)| self.hasher.hash_one(string(bytes, ends, number));
        match self.numbers.entry(hash, same, rehash) {
            Entry::Occupied(known) => known.get().1,
            Entry::Vacant(place) => {
                let number = self.ends.len() as u32;
                place.insert((hash as u32, number));
                self.bytes.extend_from_slice(value);
                self.ends.push(self.bytes.len());
                number
            }
        }
    }

    fn find(&self, values: &BinaryArray, numbers: &mut [u32]) {
        for (row, number) in numbers.iter_mut().enumerate() {
            let value = values.value(row);
            let hash = self.hasher.hash_one(value);
            let same = |&(short, number): &(u32, u32)| {
                short == hash as u32 && string(&self.bytes, &self.ends, number) == value
            };
            let known = if values.is_valid(row) { self.numbers.find(hash, same) } else { None };
            *number = known.map_or(NO_KEY, |(_, number)| *number);
        }
    }

    fn values(&self) -> Option<KeyValues> {
        if self.ends.is_empty() {
            return None;
        }
        let text = |number: usize| std::str::from_utf8(string(&self.bytes, &self.ends, number as u32)).ok();
        let (mut least, mut greatest) = (text(0)?, text(0)?);
        for number in 0..self.ends.len() {
            let value = text(number)?;
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        let count = self.ends.len();
        let few = (count <= FEW_VALUES).then(|| (0..count).filter_map(text).map(str::to_owned).collect());
        Some(KeyValues::Texts { least: least.to_owned(), greatest: greatest.to_owned(), few })
    }
}

fn string<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start..ends[number]]
}
