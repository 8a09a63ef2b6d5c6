//! From stored values to an Arrow column.

use arrow::array::{ArrayData, ArrayRef, BooleanBufferBuilder, NullBufferBuilder, make_array};
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::DataType;
use lodestore_core::types::FeatureType;
use lodestore_core::{Error, ErrorKind, Result};

use super::layout::Shape;
use super::value::{Items, Record, corrupt};

/// Collects stored values of one feature into an array of its Arrow type.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    data_type: DataType,
    shape: Shape,
    sink: Sink,
}

impl ColumnBuilder {
    /// Returns an empty column with room for `rows` values.
    pub(super) fn new(ty: &FeatureType, rows: usize) -> Self {
        let shape = Shape::of(ty);
        Self { data_type: ty.to_arrow(), sink: Sink::new(&shape, rows), shape }
    }

    /// Appends a value by its stored bytes, or null.
    pub(super) fn append(&mut self, slot: Option<&[u8]>) -> Result<()> {
        self.sink.append_slot(&self.shape, slot)
    }

    /// Returns the values as an array.
    ///
    /// # Errors
    /// `Corrupt` if the values are none of the type: a text that is not UTF-8, a null key of a map.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        Ok(make_array(self.sink.finish(&self.data_type)?))
    }
}

#[derive(Debug)]
struct Sink {
    nulls: NullBufferBuilder,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBufferBuilder),
    Fixed { bytes: MutableBuffer, width: usize },
    Bytes { offsets: Offsets, bytes: Vec<u8> },
    List { offsets: Offsets, items: Box<Sink> },
    Vector { dim: usize, items: Box<Sink> },
    Record(Vec<Sink>),
}

impl Sink {
    fn new(shape: &Shape, rows: usize) -> Self {
        let values = match shape {
            Shape::Bool => Values::Bool(BooleanBufferBuilder::new(rows)),
            Shape::Text | Shape::Bytes => Values::Bytes { offsets: Offsets::new(rows), bytes: Vec::new() },
            Shape::List(item) | Shape::Map(item) => {
                Values::List { offsets: Offsets::new(rows), items: Box::new(Self::new(item, 0)) }
            }
            Shape::Vector { item, dim } => Values::Vector { dim: *dim, items: Box::new(Self::new(item, rows * dim)) },
            Shape::Record(layout) => {
                Values::Record(layout.fields.iter().map(|field| Self::new(&field.shape, rows)).collect())
            }
            fixed => {
                let width = fixed.fixed_width().unwrap_or_default();
                Values::Fixed { bytes: MutableBuffer::with_capacity(rows * width), width }
            }
        };
        Self { nulls: NullBufferBuilder::new(rows), values }
    }

    fn append(&mut self, shape: &Shape, slot: &[u8]) -> Result<()> {
        match (&mut self.values, shape) {
            (Values::Bool(bits), Shape::Bool) => match slot {
                [bit @ (0 | 1)] => bits.append(*bit == 1),
                _ => return Err(corrupt("a bool is neither 0 nor 1")),
            },
            (Values::Fixed { bytes, .. }, _) => bytes.extend_from_slice(slot),
            (Values::Bytes { offsets, bytes }, _) => {
                bytes.extend_from_slice(slot);
                offsets.push(bytes.len())?;
            }
            (Values::List { offsets, items }, Shape::List(item) | Shape::Map(item)) => {
                items.append_items(item, Items::counted(item, slot)?)?;
                offsets.push(items.nulls.len())?;
            }
            (Values::Vector { items, .. }, Shape::Vector { item, dim }) => {
                items.append_items(item, Items::new(item, *dim, slot)?)?;
            }
            (Values::Record(sinks), Shape::Record(layout)) => {
                let record = Record::new(layout, slot)?;
                for (index, (sink, field)) in sinks.iter_mut().zip(&layout.fields).enumerate() {
                    sink.append_slot(&field.shape, record.slot(index)?)?;
                }
            }
            _ => return Err(Error::internal("a column is not of the shape of its values")),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    fn append_items(&mut self, shape: &Shape, items: Items<'_>) -> Result<()> {
        match (&mut self.values, items.as_fixed()) {
            (Values::Fixed { bytes, .. }, Some(all)) => {
                bytes.extend_from_slice(all);
                self.nulls.append_n_non_nulls(items.len());
                Ok(())
            }
            _ => (0..items.len()).try_for_each(|index| self.append_slot(shape, items.slot(index)?)),
        }
    }

    fn append_slot(&mut self, shape: &Shape, slot: Option<&[u8]>) -> Result<()> {
        match slot {
            Some(bytes) => self.append(shape, bytes),
            None => {
                self.append_null();
                Ok(())
            }
        }
    }

    fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(bits) => bits.append(false),
            Values::Fixed { bytes, width } => bytes.extend_zeros(*width),
            Values::Bytes { offsets, .. } | Values::List { offsets, .. } => offsets.repeat(),
            Values::Vector { dim, items } => (0..*dim).for_each(|_| items.append_null()),
            Values::Record(sinks) => sinks.iter_mut().for_each(Self::append_null),
        }
        self.nulls.append_null();
    }

    fn finish(mut self, data_type: &DataType) -> Result<ArrayData> {
        let array = ArrayData::builder(data_type.clone()).len(self.nulls.len()).nulls(self.nulls.finish());
        let array = match (self.values, data_type) {
            (Values::Bool(mut bits), _) => array.add_buffer(bits.finish().into_inner()),
            (Values::Fixed { bytes, .. }, _) => array.add_buffer(bytes.into()),
            (Values::Bytes { offsets, bytes }, _) => array.add_buffer(offsets.finish()).add_buffer(bytes.into()),
            (Values::List { offsets, items }, DataType::List(item) | DataType::Map(item, _)) => {
                array.add_buffer(offsets.finish()).add_child_data(items.finish(item.data_type())?)
            }
            (Values::Vector { items, .. }, DataType::FixedSizeList(item, _)) => {
                array.add_child_data(items.finish(item.data_type())?)
            }
            (Values::Record(sinks), DataType::Struct(fields)) => {
                let children = sinks.into_iter().zip(fields).map(|(sink, field)| sink.finish(field.data_type()));
                array.child_data(children.collect::<Result<_>>()?)
            }
            (_, other) => return Err(Error::internal(format!("a column of {other} has values of another type"))),
        };
        // Checks what only shows in the whole: that texts are UTF-8 and keys of maps are not null.
        array.build().map_err(|e| corrupt(&e.to_string()).with_source(e))
    }
}

/// The ends of lists and texts, as Arrow keeps them.
#[derive(Debug)]
struct Offsets(Vec<i32>);

impl Offsets {
    fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self(offsets)
    }

    fn push(&mut self, end: usize) -> Result<()> {
        self.0.push(i32::try_from(end).map_err(|_| {
            Error::new(ErrorKind::Exhausted, "the values of one feature exceed 2 GiB; ask for fewer keys at once")
        })?);
        Ok(())
    }

    fn repeat(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or_default());
    }

    fn finish(self) -> Buffer {
        Buffer::from_vec(self.0)
    }
}
