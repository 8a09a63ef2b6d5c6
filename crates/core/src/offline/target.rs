//! Where an answer is written to, and in which form.

use crate::error::{Error, Result};

/// The format of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFormat {
    /// Parquet files.
    Parquet,
    /// CSV files with a header.
    Csv,
    /// A Delta Lake table.
    Delta,
}

/// What becomes of a Delta table that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// There must be none.
    #[default]
    Create,
    /// It keeps its rows; if there is none, it is created.
    Append,
}

/// Where an answer is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteTarget {
    /// A path of the file system, or the URL of an object store.
    pub path: String,
    /// What is written there.
    pub format: WriteFormat,
    /// The columns whose values become folders, outermost first.
    pub partition_by: Vec<String>,
    /// What becomes of a Delta table that is there already.
    pub mode: WriteMode,
    /// How many rows a file of a folder has at the most.
    pub max_rows_per_file: Option<u64>,
}

impl WriteTarget {
    /// Returns a target that is not partitioned.
    #[must_use]
    pub fn new(path: impl Into<String>, format: WriteFormat) -> Self {
        let (partition_by, mode) = (Vec::new(), WriteMode::Create);
        Self { path: path.into(), format, partition_by, mode, max_rows_per_file: None }
    }

    /// Returns the target whose format the path tells: Parquet or CSV by its ending, a folder of Parquet
    /// files if it ends with `/` or has no ending.
    ///
    /// # Errors
    /// `Invalid` for another ending.
    ///
    /// # Examples
    /// ```
    /// use lodestore_core::offline::{WriteFormat, WriteTarget};
    /// assert_eq!(WriteTarget::by_ending("s3://models/week 1.csv")?.format, WriteFormat::Csv);
    /// assert!(WriteTarget::by_ending("training/")?.is_folder());
    /// assert!(WriteTarget::by_ending("training.txt").is_err());
    /// # Ok::<(), lodestore_core::Error>(())
    /// ```
    pub fn by_ending(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        let format = match ending(&path) {
            None => WriteFormat::Parquet,
            Some(ending) => format_of(&ending).ok_or_else(|| {
                Error::invalid(format!(
                    "the ending of '{path}' tells no format; expected .parquet or .csv, or a / at the end for a \
                     folder of Parquet files"
                ))
            })?,
        };
        Ok(Self::new(path, format))
    }

    /// Returns whether a folder of files is written, and not one file: the path ends with `/` or with
    /// nothing that is the ending of a file, or there are partitions.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        let names_file = ending(&self.path).is_some_and(|ending| format_of(&ending).is_some());
        !names_file || !self.partition_by.is_empty() || self.format == WriteFormat::Delta
    }

    /// Checks that the settings go together.
    ///
    /// # Errors
    /// `Invalid` if they don't, `Unsupported` to append to anything but a Delta table.
    pub fn check(&self) -> Result<()> {
        let path = &self.path;
        if let Some(named) = ending(path).and_then(|ending| format_of(&ending))
            && !self.is_folder()
            && named != self.format
        {
            return Err(Error::invalid(format!(
                "'{path}' has the ending of {}, but {} is to be written; end the path with {}, or with / for a folder",
                named.name(),
                self.format.name(),
                self.format.ending(),
            )));
        }
        if self.max_rows_per_file == Some(0) {
            return Err(Error::invalid("max_rows_per_file is 0; a file needs room for a row"));
        }
        if self.max_rows_per_file.is_some() && !self.is_folder() {
            return Err(Error::invalid(format!(
                "max_rows_per_file needs a folder to write several files to, but '{path}' is one file; end the path with /"
            )));
        }
        if self.max_rows_per_file.is_some() && self.format == WriteFormat::Delta {
            return Err(Error::unsupported(
                "max_rows_per_file is for folders of Parquet and CSV, not for Delta tables",
            ));
        }
        let twice = self.partition_by.iter().enumerate().find(|(at, name)| self.partition_by[..*at].contains(name));
        if let Some((_, name)) = twice {
            return Err(Error::invalid(format!("partition_by names the column '{name}' twice")));
        }
        if self.mode == WriteMode::Append && self.format != WriteFormat::Delta {
            return Err(Error::unsupported(format!(
                "rows can be appended to Delta tables only; write '{path}' anew, or to another folder"
            )));
        }
        Ok(())
    }
}

impl WriteFormat {
    /// Returns the ending of files of this format.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Parquet | Self::Delta => ".parquet",
            Self::Csv => ".csv",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
            Self::Delta => "Delta",
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// How many rows.
    pub rows: u64,
    /// The files, as paths or URLs; for a Delta table its path.
    pub files: Vec<String>,
}

/// Returns the ending of a path's last piece, in lower case.
fn ending(path: &str) -> Option<String> {
    let (stem, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    (!stem.is_empty()).then(|| ending.to_ascii_lowercase())
}

fn format_of(ending: &str) -> Option<WriteFormat> {
    match ending {
        "parquet" | "pq" => Some(WriteFormat::Parquet),
        "csv" => Some(WriteFormat::Csv),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn parquet(path: &str) -> WriteTarget {
        WriteTarget::new(path, WriteFormat::Parquet)
    }

    #[test]
    fn a_path_tells_a_file_from_a_folder() {
        for path in ["a.parquet", "/x/A.PQ", "s3://bucket/x/a.csv"] {
            assert!(!parquet(path).is_folder(), "{path}");
        }
        for path in ["a", "a.parquet/", "v1.2", "s3://bucket", "s3://bucket.eu/", "x.csv/part", ".parquet"] {
            assert!(parquet(path).is_folder(), "{path}");
        }
        let by_city = WriteTarget { partition_by: vec!["city".to_owned()], ..parquet("a.parquet") };
        assert!(by_city.is_folder());
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let few = Some(10);
        let cases = [
            (parquet("a.csv"), ErrorKind::Invalid),
            (WriteTarget { max_rows_per_file: few, ..parquet("a.parquet") }, ErrorKind::Invalid),
            (WriteTarget { max_rows_per_file: Some(0), ..parquet("a/") }, ErrorKind::Invalid),
            (
                WriteTarget { partition_by: vec!["a".into(), "b".into(), "a".into()], ..parquet("a/") },
                ErrorKind::Invalid,
            ),
            (WriteTarget { mode: WriteMode::Append, ..parquet("a/") }, ErrorKind::Unsupported),
            (
                WriteTarget { max_rows_per_file: few, ..WriteTarget::new("a", WriteFormat::Delta) },
                ErrorKind::Unsupported,
            ),
        ];
        for (target, kind) in cases {
            assert_eq!(target.check().map_err(|e| e.kind()), Err(kind), "{target:?}");
        }
        assert!(WriteTarget { max_rows_per_file: few, ..parquet("a/") }.check().is_ok());
        assert!(parquet("a.csv/").check().is_ok());
    }
}
