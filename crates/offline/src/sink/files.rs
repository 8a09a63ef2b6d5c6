//! The files of an answer: one, or a folder of them with one open for each partition.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use lodestore_core::offline::{WriteFormat, WriteTarget, Written};
use lodestore_core::{Error, Result};

use super::encode::Encoder;
use super::local::Staging;
use super::objects::{Objects, Spread, check_empty};
use super::partition::Partitions;
use super::upload::Upload;
use crate::source::Place;

/// How many files are open at a time, at the most.
const OPEN_FILES: usize = 64;

/// How many bytes of rows are held for open files, about.
const HELD_BYTES: usize = 256 << 20;

/// How many bytes of rows wait for others of their partitions, about.
const WAITING_BYTES: usize = 128 << 20;

/// Files that are written to. They are there when all of them are finished.
pub(super) struct Files {
    format: WriteFormat,
    is_folder: bool,
    max_rows: u64,
    partitions: Partitions,
    /// Rows that are not split by their partitions yet: files get many at a time, however many partitions there are.
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    /// By their folders.
    open: HashMap<String, OpenFile>,
    /// Those that have all of their rows.
    full: Vec<Sink>,
    /// The paths of all files below the target, in the order in which they were begun.
    names: Vec<String>,
    rows: u64,
    /// Dropped after the files, whose end it waits for.
    output: Output,
}

enum Output {
    Local(Staging),
    Store(Objects),
}

struct OpenFile {
    encoder: Encoder,
    sink: Sink,
    rows: u64,
}

/// Where the bytes of a file go.
enum Sink {
    Local { file: File, writing: String },
    Object(Upload),
}

impl Sink {
    /// Returns what is being done, for errors.
    fn writing(&self) -> String {
        match self {
            Self::Local { writing, .. } => writing.clone(),
            Self::Object(upload) => format!("writing {}", upload.what()),
        }
    }
}

impl Files {
    /// Makes room for rows of this schema.
    ///
    /// # Errors
    /// As [`super::write`].
    pub(super) async fn open(place: Place, target: &WriteTarget, schema: &Schema) -> Result<Self> {
        let partitions = Partitions::new(schema, &target.partition_by)?;
        let is_folder = target.is_folder();
        let output = match &place.local {
            Some(path) if is_folder => Output::Local(Staging::for_folder(path)?),
            Some(path) => Output::Local(Staging::for_file(path)?),
            None if place.is_web() => {
                return Err(Error::unsupported(format!(
                    "'{}' can't be written to: http:// and https:// are for reading; write to a path or object store",
                    target.path
                )));
            }
            None => {
                let spread = if target.partition_by.is_empty() { Spread::OneFile } else { Spread::ManyFiles };
                if is_folder {
                    check_empty(&place).await?;
                }
                Output::Store(Objects::new(place, spread))
            }
        };
        Ok(Self {
            format: target.format,
            is_folder,
            max_rows: target.max_rows_per_file.unwrap_or(u64::MAX),
            partitions,
            waiting: Vec::new(),
            waiting_bytes: 0,
            open: HashMap::new(),
            full: Vec::new(),
            names: Vec::new(),
            rows: 0,
            output,
        })
    }

    /// Writes rows, each to the file of its partition.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        if !self.partitions.are_there() {
            self.append("", batch.clone()).await?;
            return self.bound().await;
        }
        self.waiting_bytes += bytes_of(batch);
        self.waiting.push(batch.clone());
        if self.waiting_bytes > WAITING_BYTES { self.split().await } else { Ok(()) }
    }

    /// Writes the rows that wait.
    async fn split(&mut self) -> Result<()> {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        let rows = concat_batches(first.schema_ref(), &self.waiting)?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        let split = self.partitions.split(&rows)?;
        drop(rows);
        for (folder, part) in split.groups {
            let rows = take_record_batch(&split.rows, &UInt32Array::from(part))?;
            self.append(&folder, rows).await?;
            self.bound().await?;
        }
        Ok(())
    }

    /// Ends row groups until what is held for open files is little enough.
    async fn bound(&mut self) -> Result<()> {
        while self.open.values().map(OpenFile::held).sum::<usize>() > HELD_BYTES {
            let Some(largest) = self.open.values_mut().max_by_key(|file| file.encoder.held()) else { break };
            if largest.encoder.held() == 0 {
                break;
            }
            largest.encoder.flush()?;
            largest.pass_on().await?;
        }
        Ok(())
    }

    /// Finishes all files, and puts them in their places.
    pub(super) async fn finish(mut self) -> Result<Written> {
        self.split().await?;
        if self.names.is_empty() {
            // Readers learn the columns from it.
            let folder = self.partitions.folder_of_nulls();
            self.begin(&folder)?;
        }
        for (_, mut file) in self.open.drain() {
            file.encoder.finish()?;
            file.pass_on().await?;
            self.full.push(file.sink);
        }
        let local = |sink: &Sink| match sink {
            Sink::Local { file, writing } => file.sync_all().map_err(|e| Error::io(writing, e)),
            Sink::Object(_) => Ok(()),
        };
        self.full.iter().try_for_each(local)?;
        let files = match &mut self.output {
            Output::Local(staging) => {
                staging.finish()?;
                self.names.iter().map(|name| staging.path(name).display().to_string()).collect()
            }
            Output::Store(objects) => {
                let uploads = self.full.iter_mut().filter_map(|sink| match sink {
                    Sink::Object(upload) => Some(upload),
                    Sink::Local { .. } => None,
                });
                objects.finish(uploads).await?;
                self.names.iter().map(|name| objects.url(name)).collect()
            }
        };
        Ok(Written { rows: self.rows, files })
    }

    async fn append(&mut self, folder: &str, mut rows: RecordBatch) -> Result<()> {
        loop {
            if !self.open.contains_key(folder) {
                self.begin(folder)?;
                self.close_the_largest(folder).await?;
            }
            let Some(file) = self.open.get_mut(folder) else { return Ok(()) };
            let room = usize::try_from(self.max_rows - file.rows).unwrap_or(usize::MAX);
            let now = rows.num_rows().min(room);
            file.write(&rows.slice(0, now)).await?;
            if file.rows == self.max_rows {
                self.close(folder).await?;
            }
            if now == rows.num_rows() {
                return Ok(());
            }
            rows = rows.slice(now, rows.num_rows() - now);
        }
    }

    /// Begins a file in a folder.
    fn begin(&mut self, folder: &str) -> Result<()> {
        let name = match self.is_folder {
            true => format!("{folder}part-{:05}{}", self.names.len(), self.format.ending()),
            false => String::new(),
        };
        let sink = match &self.output {
            Output::Local(staging) => Sink::Local { file: staging.create(&name)?, writing: staging.writing(&name) },
            Output::Store(objects) => Sink::Object(objects.create(&name)?),
        };
        let schema: &SchemaRef = self.partitions.schema();
        let file = OpenFile { encoder: Encoder::new(self.format, schema)?, sink, rows: 0 };
        self.open.insert(folder.to_owned(), file);
        self.names.push(name);
        Ok(())
    }

    /// Closes the file with the most rows but for one folder's, if too many are open.
    async fn close_the_largest(&mut self, but_for: &str) -> Result<()> {
        if self.open.len() <= OPEN_FILES {
            return Ok(());
        }
        let others = self.open.iter().filter(|(folder, _)| *folder != but_for);
        let largest = others.max_by_key(|(_, file)| file.rows).map(|(folder, _)| folder.clone());
        match largest {
            Some(folder) => self.close(&folder).await,
            None => Ok(()),
        }
    }

    /// Ends the file of a folder, whose next rows go to another one.
    async fn close(&mut self, folder: &str) -> Result<()> {
        let Some(mut file) = self.open.remove(folder) else { return Ok(()) };
        file.encoder.finish()?;
        file.pass_on().await?;
        match &mut file.sink {
            Sink::Local { file, writing } => file.sync_all().map_err(|e| Error::io(writing, e))?,
            Sink::Object(upload) => {
                upload.seal().await?;
                self.full.push(file.sink);
            }
        }
        Ok(())
    }
}

impl OpenFile {
    async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let encoded = self.encoder.write(rows);
        encoded
            .map_err(|e| Error::new(e.kind(), format!("{}: {}", self.sink.writing(), e.message())).with_source(e))?;
        self.rows += rows.num_rows() as u64;
        self.pass_on().await
    }

    /// Hands the bytes that came to be to where they go.
    async fn pass_on(&mut self) -> Result<()> {
        let bytes = self.encoder.take();
        match &mut self.sink {
            Sink::Local { file, writing } => file.write_all(&bytes).map_err(|e| Error::io(writing, e)),
            Sink::Object(upload) => upload.put(&bytes).await,
        }
    }

    fn held(&self) -> usize {
        let waiting = match &self.sink {
            Sink::Local { .. } => 0,
            Sink::Object(upload) => upload.held(),
        };
        self.encoder.held() + waiting
    }
}

/// Returns how many bytes rows take. A batch may be a slice of a much larger one.
fn bytes_of(rows: &RecordBatch) -> usize {
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(column.get_array_memory_size());
    rows.columns().iter().map(bytes).sum()
}
