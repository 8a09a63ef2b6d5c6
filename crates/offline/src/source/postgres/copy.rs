//! The binary form of `COPY`: a head, then each row as its number of fields and, for each field, its length
//! and bytes; -1 is the length of a null, and as a number of fields the end. All numbers are big-endian.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use lodestore_core::{Error, Result};

use super::Column;
use super::values::{Values, take, values_of};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// A batch has at most so many rows, and is handed on once so many bytes were read for it.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Turns the bytes of a `COPY` into record batches.
pub(super) struct CopyReader {
    schema: SchemaRef,
    columns: Vec<Box<dyn Values>>,
    /// The start of a row whose end has not come yet. The server sends whole rows, but does not promise to.
    torn: Vec<u8>,
    rows: usize,
    bytes: usize,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Head,
    Rows,
    End,
}

impl CopyReader {
    /// Returns a reader of rows of these columns, called as in `schema`.
    ///
    /// # Errors
    /// `Unsupported`, naming the column, for a type that is not read.
    pub(super) fn new(schema: SchemaRef, columns: &[&Column]) -> Result<Self> {
        let columns = columns.iter().map(|column| values_of(&column.ty).map_err(|e| in_column(&column.name, &e)));
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { schema, columns, torn: Vec::new(), rows: 0, bytes: 0, state: State::Head })
    }

    /// Reads bytes that follow those read before.
    ///
    /// # Errors
    /// `Invalid`, naming the column, for a value that can't be held; `Corrupt` for bytes that are no rows.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len();
        if self.torn.is_empty() {
            let rest = self.read(bytes)?;
            self.torn.extend_from_slice(rest);
        } else {
            let mut all = std::mem::take(&mut self.torn);
            all.extend_from_slice(bytes);
            let rest = self.read(&all)?.len();
            all.drain(..all.len() - rest);
            self.torn = all;
        }
        Ok(())
    }

    /// Returns whether enough was read for a batch.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES && self.rows > 0
    }

    /// Returns the rows that were read since the last batch, `None` if there are none.
    pub(super) fn batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = self.columns.iter_mut().map(|column| column.finish()).collect::<Result<_>>()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }

    /// Returns whether the end was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.state == State::End && self.torn.is_empty()
    }

    /// Reads whole rows and returns what is left.
    fn read<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8]> {
        if self.state == State::Head {
            match after_head(bytes)? {
                Some(rows) => (self.state, bytes) = (State::Rows, rows),
                None => return Ok(bytes),
            }
        }
        while self.state == State::Rows {
            match self.row(bytes)? {
                Some(rest) => bytes = rest,
                None => break,
            }
        }
        Ok(bytes)
    }

    /// Reads a row and returns what follows it, `None` if the row is not there to its end.
    fn row<'a>(&mut self, mut bytes: &'a [u8]) -> Result<Option<&'a [u8]>> {
        let Some(count) = take(&mut bytes).map(i16::from_be_bytes) else { return Ok(None) };
        if count == -1 {
            self.state = State::End;
            return Ok(Some(bytes));
        }
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(Error::corrupt(format!("a row has {count} fields, not {}", self.columns.len())));
        }
        // Columns must stay of one length: nothing is added before the row is there to its end.
        let Some(end) = fields_end(bytes, self.columns.len()) else { return Ok(None) };
        let (mut fields, rest) = bytes.split_at(end);
        for (values, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let value = take_field(&mut fields).ok_or_else(|| Error::internal("a row that was there is gone"))?;
            values.push(value).map_err(|e| in_column(field.name(), &e))?;
        }
        self.rows += 1;
        Ok(Some(rest))
    }
}

fn in_column(name: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("column '{name}' {}", error.message()))
}

/// Returns what follows the head: a signature, flags, and more that says how long it is.
fn after_head(mut bytes: &[u8]) -> Result<Option<&[u8]>> {
    if !bytes.starts_with(&SIGNATURE[..bytes.len().min(SIGNATURE.len())]) {
        return Err(Error::corrupt("the server's answer is no binary copy"));
    }
    let mut rows = || {
        let _signature = bytes.split_off(..SIGNATURE.len())?;
        let _flags = take::<4>(&mut bytes)?;
        let _more = take_field(&mut bytes)?;
        Some(bytes)
    };
    Ok(rows())
}

/// Takes a field with its length from the front: `None` if it is not there to its end, `Some(None)` for null.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(take(bytes).map(i32::from_be_bytes)?) {
        Ok(length) => bytes.split_off(..length).map(Some),
        Err(_) => Some(None),
    }
}

/// Returns how many bytes so many fields take, `None` if they are not there to their end.
fn fields_end(bytes: &[u8], count: usize) -> Option<usize> {
    let mut rest = bytes;
    for _ in 0..count {
        take_field(&mut rest)?;
    }
    Some(bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::super::types::ValueType;
    use super::*;

    fn reader(types: &[ValueType]) -> Result<CopyReader> {
        let columns = types.iter().enumerate();
        let columns: Vec<_> = columns.map(|(i, ty)| Column { name: format!("c{i}"), ty: ty.clone() }).collect();
        let fields = columns.iter().map(|column| Field::new(&column.name, column.ty.arrow(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        CopyReader::new(schema, &columns.iter().collect::<Vec<_>>())
    }

    fn field(value: Option<&[u8]>) -> Vec<u8> {
        let length = value.map_or(-1, |bytes| bytes.len() as i32);
        [&length.to_be_bytes(), value.unwrap_or_default()].concat()
    }

    fn copy(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; 8]].concat();
        for row in rows {
            bytes.extend((row.len() as i16).to_be_bytes());
            row.iter().for_each(|value| bytes.extend(field(*value)));
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_may_be_torn_at_any_byte() -> Result<()> {
        let bytes =
            copy(&[&[Some(&[0, 0, 0, 7]), Some("é".as_bytes())], &[None, None], &[Some(&[0xff; 4]), Some(b"")]]);
        for cut in 0..=bytes.len() {
            let mut reader = reader(&[ValueType::Int32, ValueType::Text])?;
            let (first, second) = bytes.split_at(cut);
            reader.push(first)?;
            assert!(!reader.is_at_end() || second.is_empty());
            reader.push(second)?;
            assert!(reader.is_at_end());
            let batch = reader.batch()?.unwrap();
            let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-1)]));
            let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("é"), None, Some("")]));
            assert_eq!(batch.columns(), [numbers, texts], "cut at {cut}");
            assert!(reader.batch()?.is_none());
        }
        Ok(())
    }

    #[test]
    fn rows_without_columns_are_counted() -> Result<()> {
        let mut reader = reader(&[])?;
        reader.push(&copy(&[&[], &[], &[]]))?;
        assert_eq!(reader.batch()?.unwrap().num_rows(), 3);
        Ok(())
    }

    #[test]
    fn what_is_no_copy_is_refused_and_wrong_values_name_their_column() -> Result<()> {
        assert!(reader(&[])?.push(b"PGCOPX").is_err());
        let mut one = reader(&[ValueType::Int32])?;
        assert!(one.push(&copy(&[&[None, None]])).unwrap_err().message().contains("2 fields, not 1"));
        let mut two = reader(&[ValueType::Int32])?;
        let error = two.push(&copy(&[&[Some(b"12345")]])).unwrap_err();
        assert_eq!(error.message(), "column 'c0' has a value of 5 bytes, which is none of its type");
        let interval = ValueType::Other("interval".into());
        let error = reader(&[interval]).map(|_| ()).unwrap_err();
        assert!(error.message().starts_with("column 'c0' has the PostgreSQL type interval"), "{error}");
        Ok(())
    }

    #[test]
    fn large_rows_fill_a_batch_early() -> Result<()> {
        let mut reader = reader(&[ValueType::Text])?;
        let large = vec![b'x'; BATCH_BYTES];
        reader.push(&copy(&[&[Some(&large)]]))?;
        assert!(reader.is_full());
        reader.batch()?;
        assert!(!reader.is_full());
        Ok(())
    }
}
