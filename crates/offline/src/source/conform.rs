//! Columns of files as columns of the types that tables have, also where these have changed since.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// Returns a column of a file as one of `to`'s type. The fields of structs are found by their ids where
/// both sides have ids, else by their names, at any depth; one that the file lacks is null.
///
/// # Errors
/// If values can't be cast, or a field that the file lacks must not be null.
pub(crate) fn conform(array: &ArrayRef, to: &Field) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to.data_type()) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let rows = array.as_struct();
            let columns = fields.iter().map(|field| match find(rows.fields(), field) {
                Some(place) => conform(rows.column(place), field),
                None => Ok(new_null_array(field.data_type(), rows.len())),
            });
            let (columns, nulls) = (columns.collect::<Result<_, _>>()?, rows.nulls().cloned());
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.len())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = conform(list.values(), item)?;
            let list = ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?;
            Ok(Arc::new(list))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let DataType::Struct(fields) = entries.data_type() else { return cast(array, to.data_type()) };
            let map = array.as_map();
            // What keys and values are called differs between writers; their order does not.
            let columns = [map.keys(), map.values()].into_iter().zip(fields);
            let columns = columns.map(|(column, field)| conform(column, field)).collect::<Result<Vec<_>, _>>()?;
            let entries_array = StructArray::try_new(fields.clone(), columns, None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, entries_array, nulls, *sorted)?))
        }
        _ => cast(array, to.data_type()),
    }
}

/// Returns where among a file's fields a field is.
pub(crate) fn find(fields: &Fields, wanted: &Field) -> Option<usize> {
    let id = |field: &Field| field.metadata().get(PARQUET_FIELD_ID_META_KEY).cloned();
    let have_ids = id(wanted).is_some() && fields.iter().any(|field| id(field).is_some());
    let is_wanted = |field: &FieldRef| {
        if have_ids { id(field) == id(wanted) } else { field.name() == wanted.name() }
    };
    fields.iter().position(is_wanted)
}

/// Returns a type without what its fields say beside their names and types.
pub(crate) fn without_metadata(ty: &DataType) -> DataType {
    let plain =
        |field: &FieldRef| Arc::new(Field::new(field.name(), without_metadata(field.data_type()), field.is_nullable()));
    match ty {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::List(item) => DataType::List(plain(item)),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    }
}

/// Returns whether a type holds structs at any depth.
pub(crate) fn has_struct(ty: &DataType) -> bool {
    match ty {
        DataType::Struct(_) => true,
        DataType::List(item) => has_struct(item.data_type()),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().any(|field| has_struct(field.data_type())),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};

    use super::*;

    fn with_id(field: Field, id: i32) -> Field {
        field.with_metadata([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())].into())
    }

    fn point(fields: &[Field; 2]) -> ArrayRef {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(vec![1, 2])), Arc::new(StringArray::from(vec!["a", "b"]))];
        Arc::new(StructArray::new(Fields::from(fields.to_vec()), columns, None))
    }

    fn column(array: &ArrayRef, name: &str) -> ArrayRef {
        Arc::clone(array.as_struct().column_by_name(name).unwrap())
    }

    #[test]
    fn fields_of_structs_are_found_by_name_widened_and_filled_with_nulls() {
        let array = point(&[Field::new("x", DataType::Int32, true), Field::new("label", DataType::Utf8, true)]);
        let fields = vec![Field::new("added", DataType::Int32, true), Field::new("x", DataType::Int64, true)];
        let answer = conform(&array, &Field::new_struct("point", fields, true)).unwrap();
        assert_eq!(column(&answer, "x").as_ref(), &Int64Array::from(vec![1, 2]));
        assert_eq!(column(&answer, "added").null_count(), 2);
    }

    #[test]
    fn an_id_goes_before_a_name_that_another_field_has_now() {
        let fields =
            [with_id(Field::new("x", DataType::Int32, true), 1), with_id(Field::new("label", DataType::Utf8, true), 2)];
        let renamed = vec![
            with_id(Field::new("label", DataType::Int32, true), 1),
            with_id(Field::new("x", DataType::Int32, true), 3),
        ];
        let answer = conform(&point(&fields), &Field::new_struct("point", renamed, true)).unwrap();
        assert_eq!(column(&answer, "label").as_ref(), &Int32Array::from(vec![1, 2]));
        assert_eq!(column(&answer, "x").null_count(), 2);
    }

    #[test]
    fn structs_in_lists_are_reached() {
        let fields = [Field::new("x", DataType::Int32, true), Field::new("label", DataType::Utf8, true)];
        let item = Arc::new(Field::new_struct("item", fields.to_vec(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
        let list: ArrayRef = Arc::new(ListArray::new(item, offsets, point(&fields), None));
        let wanted = Field::new_struct("element", vec![Field::new("x", DataType::Int64, true)], true);
        let answer = conform(&list, &Field::new_list("points", wanted, true)).unwrap();
        let points = answer.as_list::<i32>().value(0);
        assert_eq!(column(&points, "x").as_ref(), &Int64Array::from(vec![1, 2]));
    }
}
