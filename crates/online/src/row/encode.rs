//! From Arrow columns to stored rows, row by row and without arrays in between.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::{Error, Result};

use super::layout::{Place, RecordLayout, RowLayout, Shape};
use super::state::{size, write_row_head};

/// The columns of a batch of rows, ready to be written row by row.
#[derive(Debug)]
pub struct RowEncoder<'a> {
    layout: &'a RowLayout,
    columns: Vec<Option<Column>>,
}

impl<'a> RowEncoder<'a> {
    /// Returns an encoder of a batch's rows.
    ///
    /// # Errors
    /// `Internal` if a column is not of its feature's type.
    pub fn new(layout: &'a RowLayout, rows: &FeatureRows) -> Result<Self> {
        let mut columns = Vec::new();
        columns.resize_with(layout.types.len(), || None);
        for (feature, array) in rows.features() {
            let field = layout.record.fields.get(*feature).ok_or_else(|| Error::internal("rows have more features"))?;
            columns[*feature] = Some(Column::new(&field.shape, array)?);
        }
        Ok(Self { layout, columns })
    }

    /// Appends a stored row with the values of one row of the batch, in the form of a single entry.
    ///
    /// # Errors
    /// `Invalid` if the row is larger than 4 GiB.
    pub fn encode(&self, row: usize, stamp: RowStamp, out: &mut Vec<u8>) -> Result<()> {
        write_row_head(stamp, out);
        self.encode_record(row, out)
    }

    /// Appends a record with the values of one row; features that the batch does not have are null.
    pub(super) fn encode_record(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        append_record(&self.layout.record, row, &self.columns, out);
        size(out.len() - start).map(|_| ())
    }
}

#[derive(Debug)]
struct Column {
    nulls: Option<NullBuffer>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBuffer),
    Fixed { bytes: Buffer, width: usize },
    Bytes { offsets: OffsetBuffer<i32>, bytes: Buffer },
    List { offsets: OffsetBuffer<i32>, items: Box<Column> },
    Vector { dim: usize, items: Box<Column> },
    Record { layout: RecordLayout, columns: Vec<Option<Column>> },
}

impl Column {
    fn new(shape: &Shape, array: &ArrayRef) -> Result<Self> {
        let values = match (shape, array.data_type()) {
            (Shape::Bool, DataType::Boolean) => Values::Bool(array.as_boolean().values().clone()),
            (Shape::Text, DataType::Utf8) => {
                let array = array.as_string::<i32>();
                Values::Bytes { offsets: array.offsets().clone(), bytes: array.values().clone() }
            }
            (Shape::Bytes, DataType::Binary) => {
                let array = array.as_binary::<i32>();
                Values::Bytes { offsets: array.offsets().clone(), bytes: array.values().clone() }
            }
            (Shape::List(item), DataType::List(_)) => {
                let array = array.as_list::<i32>();
                let items = Box::new(Self::new(item, array.values())?);
                Values::List { offsets: array.offsets().clone(), items }
            }
            (Shape::Map(pair), DataType::Map(..)) => {
                let array = array.as_map();
                let entries: ArrayRef = std::sync::Arc::new(array.entries().clone());
                Values::List { offsets: array.offsets().clone(), items: Box::new(Self::new(pair, &entries)?) }
            }
            (Shape::Vector { item, dim }, DataType::FixedSizeList(_, n)) if usize::try_from(*n) == Ok(*dim) => {
                Values::Vector { dim: *dim, items: Box::new(Self::new(item, array.as_fixed_size_list().values())?) }
            }
            (Shape::Record(layout), DataType::Struct(fields)) if fields.len() == layout.fields.len() => {
                let columns = layout.fields.iter().zip(array.as_struct().columns());
                let columns = columns.map(|(field, column)| Self::new(&field.shape, column).map(Some));
                Values::Record { layout: layout.clone(), columns: columns.collect::<Result<_>>()? }
            }
            (shape, ty) => match (shape.fixed_width(), is_same_number(shape, ty)) {
                (Some(width), true) => fixed(array, width),
                _ => return Err(Error::internal(format!("a column of {ty} was given for a feature of another type"))),
            },
        };
        Ok(Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0).cloned(), values })
    }

    #[inline]
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes a value of fixed width that is not null.
    #[inline]
    fn copy_fixed(&self, row: usize, out: &mut [u8]) {
        match &self.values {
            Values::Bool(bits) => out[0] = u8::from(bits.value(row)),
            Values::Fixed { bytes, width: 8 } => out.copy_from_slice(&bytes[row * 8..row * 8 + 8]),
            Values::Fixed { bytes, width: 4 } => out.copy_from_slice(&bytes[row * 4..row * 4 + 4]),
            Values::Fixed { bytes, width } => out.copy_from_slice(&bytes[row * width..(row + 1) * width]),
            _ => {}
        }
    }

    /// Appends a value of variable width that is not null.
    fn append(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Bytes { offsets, bytes } => {
                out.extend_from_slice(&bytes[offsets[row] as usize..offsets[row + 1] as usize]);
            }
            Values::List { offsets, items } => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                out.extend_from_slice(&((end - start) as u32).to_le_bytes());
                items.append_sequence(start, end, out);
            }
            Values::Vector { dim, items } => items.append_sequence(row * dim, (row + 1) * dim, out),
            Values::Record { layout, columns } => append_record(layout, row, columns, out),
            Values::Bool(_) | Values::Fixed { .. } => {}
        }
    }

    fn append_sequence(&self, start: usize, end: usize, out: &mut Vec<u8>) {
        let count = end - start;
        let has_nulls = self.nulls.is_some() && (start..end).any(|row| self.is_null(row));
        out.push(u8::from(has_nulls));
        if has_nulls {
            let bits = out.len();
            out.resize(bits + count.div_ceil(8), 0);
            (0..count).filter(|i| !self.is_null(start + i)).for_each(|i| out[bits + i / 8] |= 1 << (i % 8));
        }
        let width = match &self.values {
            Values::Bool(_) => 1,
            Values::Fixed { width, .. } => *width,
            _ => return self.append_variable_items(start, end, out),
        };
        let at = out.len();
        out.resize(at + count * width, 0);
        match &self.values {
            Values::Fixed { bytes, width } if !has_nulls => {
                out[at..].copy_from_slice(&bytes[start * width..end * width]);
            }
            _ => (0..count)
                .filter(|i| !self.is_null(start + i))
                .for_each(|i| self.copy_fixed(start + i, &mut out[at + i * width..at + (i + 1) * width])),
        }
    }

    fn append_variable_items(&self, start: usize, end: usize, out: &mut Vec<u8>) {
        let ends = out.len();
        out.resize(ends + 4 * (end - start), 0);
        let first = out.len();
        for (i, row) in (start..end).enumerate() {
            if !self.is_null(row) {
                self.append(row, out);
            }
            let end = (out.len() - first) as u32;
            out[ends + 4 * i..][..4].copy_from_slice(&end.to_le_bytes());
        }
    }
}

fn append_record(layout: &RecordLayout, row: usize, columns: &[Option<Column>], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + layout.head, 0);
    for (index, (field, column)) in layout.fields.iter().zip(columns).enumerate() {
        let column = column.as_ref().filter(|column| !column.is_null(row));
        if column.is_some() {
            out[start + index / 8] |= 1 << (index % 8);
        }
        match (field.place, column) {
            (Place::Fixed { at, width }, Some(column)) => {
                column.copy_fixed(row, &mut out[start + at..start + at + width]);
            }
            (Place::Fixed { .. }, None) => {}
            (Place::Variable { index }, column) => {
                if let Some(column) = column {
                    column.append(row, out);
                }
                let end = (out.len() - start - layout.head) as u32;
                out[start + layout.ends_at + 4 * index..][..4].copy_from_slice(&end.to_le_bytes());
            }
        }
    }
}

fn is_same_number(shape: &Shape, ty: &DataType) -> bool {
    matches!(
        (shape, ty),
        (Shape::Int32, DataType::Int32)
            | (Shape::Int64, DataType::Int64)
            | (Shape::Float32, DataType::Float32)
            | (Shape::Float64, DataType::Float64)
            | (Shape::Date, DataType::Date32)
            | (Shape::Timestamp, DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _))
    ) || matches!((shape, ty), (Shape::Decimal { scale }, DataType::Decimal128(_, s)) if scale == s)
}

/// Returns the values of an array of numbers, the first row first.
fn fixed(array: &ArrayRef, width: usize) -> Values {
    let data = array.to_data();
    let bytes = data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
    Values::Fixed { bytes, width }
}
