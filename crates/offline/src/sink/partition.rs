//! Rows by the folders that they belong to, named as Hive names them.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use lodestore_core::name::unknown;
use lodestore_core::{Error, Result};

use crate::source::NULL_PARTITION;

/// The characters, besides control characters, that Hive does not leave as they are in names of folders.
const ENCODED: &str = "\"#%'*/:=?[\\]^{";

/// Splits rows by the values of their partition columns, which the files then do not have.
pub(super) struct Partitions {
    names: Vec<String>,
    /// The partition columns, by their places.
    columns: Vec<usize>,
    /// The other columns.
    kept: Vec<usize>,
    converter: RowConverter,
    schema: SchemaRef,
}

/// Rows of files, and which of them each folder has.
pub(super) struct Split {
    pub(super) rows: RecordBatch,
    /// Folders by names that end with `/`, with the numbers of their rows, ascending.
    pub(super) groups: Vec<(String, Vec<u32>)>,
}

impl Partitions {
    /// Returns what splits rows of this schema by columns.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there, that no path can hold the values of, or that is the last one.
    pub(super) fn new(schema: &Schema, partition_by: &[String]) -> Result<Self> {
        let mut columns = Vec::new();
        for name in partition_by {
            let place = schema.index_of(name).map_err(|_| {
                let known = schema.fields().iter().map(|field| field.name());
                Error::invalid(unknown(format!("column '{name}' in partition_by"), name, known).message())
            })?;
            check(schema.field(place))?;
            columns.push(place);
        }
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|place| !columns.contains(place)).collect();
        if kept.is_empty() && !columns.is_empty() {
            return Err(Error::invalid("partition_by names every column, so that none is left for the files"));
        }
        let fields = columns.iter().map(|&place| SortField::new(schema.field(place).data_type().clone()));
        Ok(Self {
            names: partition_by.iter().map(|name| encoded_name(name)).collect(),
            converter: RowConverter::new(fields.collect())?,
            schema: Arc::new(schema.project(&kept)?),
            columns,
            kept,
        })
    }

    /// Returns the columns of the files.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns the folder of rows that are null in all partition columns.
    pub(super) fn folder_of_nulls(&self) -> String {
        self.names.iter().map(|name| format!("{name}={NULL_PARTITION}/")).collect()
    }

    /// Returns whether there is any partition column.
    pub(super) fn are_there(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Returns which rows each folder has.
    pub(super) fn split(&self, rows: &RecordBatch) -> Result<Split> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|&place| Arc::clone(rows.column(place))).collect();
        let values = self.converter.convert_columns(&columns)?;
        let mut found = HashMap::new();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for (row, value) in (0_u32..).zip(values.iter()) {
            let group = *found.entry(value).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].push(row);
        }
        let folders = self.folders(&columns, &UInt32Array::from_iter_values(groups.iter().map(|group| group[0])))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let kept = self.kept.iter().map(|&place| Arc::clone(rows.column(place))).collect();
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), kept, &options)?;
        Ok(Split { rows, groups: folders.into_iter().zip(groups).collect() })
    }

    /// Returns the folders of some rows.
    fn folders(&self, columns: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<String>> {
        let mut folders = vec![String::new(); rows.len()];
        for (name, column) in self.names.iter().zip(columns) {
            let strictly = CastOptions { safe: false, ..CastOptions::default() };
            let texts = cast_with_options(&take(column, rows, None)?, &DataType::Utf8, &strictly)?;
            let texts: StringArray = texts.to_data().into();
            for (folder, text) in folders.iter_mut().zip(&texts) {
                folder.push_str(name);
                folder.push('=');
                match text {
                    None => folder.push_str(NULL_PARTITION),
                    // The text is no null: readers compare before they decode.
                    Some(NULL_PARTITION) => folder.push_str(&NULL_PARTITION.replacen('_', "%5F", 1)),
                    Some(text) => folder.push_str(&encoded(text)),
                }
                folder.push('/');
            }
        }
        Ok(folders)
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii_control() || ENCODED.contains(char) {
            let _ = write!(encoded, "%{:02X}", u32::from(char));
        } else {
            encoded.push(char);
        }
    }
    encoded
}

/// Returns the name of a column as it begins the name of a folder, which would be hidden behind a dot.
fn encoded_name(name: &str) -> String {
    let encoded = encoded(name);
    encoded.strip_prefix('.').map_or(encoded.clone(), |rest| format!("%2E{rest}"))
}

fn check(field: &Field) -> Result<()> {
    let is_bytes = matches!(
        field.data_type(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    );
    if field.data_type().is_nested() || is_bytes {
        return Err(Error::invalid(format!(
            "partition_by can't name the column '{}': its type {} has no form in a path; expected text, numbers, \
             booleans, dates or times",
            field.name(),
            field.data_type()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array};
    use lodestore_core::ErrorKind;

    use super::*;

    fn rows() -> RecordBatch {
        let cities = [Some("a b/c=d%é"), None, Some(""), Some(NULL_PARTITION), None, Some("..")];
        let columns: [(&str, ArrayRef); 3] = [
            ("city", Arc::new(StringArray::from_iter(cities))),
            (".rate", Arc::new(Float64Array::from(vec![0.5, f64::NAN, -0.0, 0.0, f64::NAN, 1e300]))),
            ("trips", Arc::new(Int64Array::from_iter_values(0..6))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    #[test]
    fn folders_are_named_as_hive_names_them() {
        let rows = rows();
        let partitions = Partitions::new(rows.schema_ref(), &["city".into(), ".rate".into()]).unwrap();
        let split = partitions.split(&rows).unwrap();
        let found: Vec<_> = split.groups.iter().map(|(folder, rows)| (folder.as_str(), rows.as_slice())).collect();
        let expected = [
            ("city=a b%2Fc%3Dd%25é/%2Erate=0.5/", &[0][..]),
            ("city=__HIVE_DEFAULT_PARTITION__/%2Erate=NaN/", &[1, 4]),
            ("city=/%2Erate=-0.0/", &[2]),
            ("city=%5F_HIVE_DEFAULT_PARTITION__/%2Erate=0.0/", &[3]),
            ("city=../%2Erate=1e300/", &[5]),
        ];
        assert_eq!(found, expected);
        assert_eq!(split.rows.num_columns(), 1);
        assert_eq!(split.rows["trips"].as_ref(), rows["trips"].as_ref());
    }

    #[test]
    fn columns_that_can_not_be_partitions_are_refused() {
        let list = DataType::new_list(DataType::Int64, true);
        let fields = [("tags", list), ("raw", DataType::Binary), ("a", DataType::Utf8)];
        let schema = Schema::new(fields.map(|(name, ty)| Field::new(name, ty, true)).to_vec());
        for names in [&["tags"][..], &["raw"], &["b"]] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let refused = Partitions::new(&schema, &names).err().map(|e| e.kind());
            assert_eq!(refused, Some(ErrorKind::Invalid), "{names:?}");
        }
        let all = Partitions::new(&schema.project(&[2]).unwrap(), &["a".into()]).err().unwrap();
        assert!(all.message().contains("every column"), "{all}");
    }
}
