//! Features in temporary files, one for each window of questions.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{BatchCoalescer, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use lodestore_core::{Error, Result};

use super::features::{Answer, Features, FeaturesInMemory, Layout};

/// Rows are written to temporary files in batches of this many.
const SPILLED_BATCH: usize = 8 * 1024;

/// Temporary files, one for each window of questions. They have no names: when the process ends, however
/// it does, they are gone.
#[derive(Debug)]
pub(crate) struct Spill {
    window: usize,
    schema: SchemaRef,
    files: Vec<Mutex<SpillFile>>,
}

struct SpillFile {
    file: File,
    waiting: BatchCoalescer,
    writer: Option<StreamWriter<BufWriter<File>>>,
}

const QUESTION: &str = "question";

impl Spill {
    /// Makes files in `folder`, or the system's place for temporary ones.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn new(folder: Option<&Path>, questions: usize, window: usize, types: &[DataType]) -> Result<Self> {
        let question = Field::new(QUESTION, DataType::UInt32, false);
        let features = types.iter().enumerate().map(|(i, ty)| Field::new(format!("{i}"), ty.clone(), true));
        let schema = Arc::new(Schema::new(std::iter::once(question).chain(features).collect::<Vec<_>>()));
        let file = |_| {
            let made = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
            let file = made.map_err(|e| Error::io("making a temporary file for features", e))?;
            let copy = file.try_clone().map_err(|e| Error::io("opening a temporary file", e))?;
            let writer = StreamWriter::try_new(BufWriter::new(copy), &schema)?;
            let waiting = BatchCoalescer::new(Arc::clone(&schema), SPILLED_BATCH);
            Ok(Mutex::new(SpillFile { file, waiting, writer: Some(writer) }))
        };
        let files = (0..questions.div_ceil(window)).map(file).collect::<Result<_>>()?;
        Ok(Self { window, schema, files })
    }

    /// Writes rows to the windows of the questions that they answer.
    pub(super) fn write(&self, columns: &[ArrayRef], answers: &[Answer]) -> Result<()> {
        let mut sorted: Vec<Answer> = answers.to_vec();
        sorted.sort_unstable_by_key(|(question, _)| *question as usize / self.window);
        for chunk in sorted.chunk_by(|a, b| a.0 as usize / self.window == b.0 as usize / self.window) {
            let questions: UInt32Array = chunk.iter().map(|(question, _)| *question).collect::<Vec<_>>().into();
            let rows: UInt32Array = chunk.iter().map(|(_, row)| *row).collect::<Vec<_>>().into();
            let mut arrays: Vec<ArrayRef> = vec![Arc::new(questions)];
            for column in columns {
                arrays.push(take(column, &rows, None)?);
            }
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
            let mut file = self.lock(chunk[0].0 as usize / self.window);
            file.waiting.push_batch(batch)?;
            file.write_completed()?;
        }
        Ok(())
    }

    /// Ends the writing.
    pub(super) fn finish(&self) -> Result<()> {
        for place in 0..self.files.len() {
            let mut file = self.lock(place);
            file.waiting.finish_buffered_batch()?;
            file.write_completed()?;
            if let Some(mut writer) = file.writer.take() {
                writer.finish()?;
                writer.into_inner()?.into_inner().map_err(|e| Error::io("writing features", e.into_error()))?;
            }
        }
        Ok(())
    }

    /// Returns how many bytes were written.
    pub(super) fn bytes(&self) -> u64 {
        let length = |place| self.lock(place).file.metadata().map_or(0, |metadata| metadata.len());
        (0..self.files.len()).map(length).sum()
    }

    pub(super) fn read(&self, window: &Range<usize>) -> Result<Features> {
        let mut file = self.lock(window.start / self.window);
        let reading = |e| Error::io("reading a temporary file of features", e);
        file.file.rewind().map_err(reading)?;
        let reader = StreamReader::try_new(BufReader::new(file.file.try_clone().map_err(reading)?), None)?;
        let types: Vec<DataType> = self.schema.fields().iter().skip(1).map(|field| field.data_type().clone()).collect();
        let features = FeaturesInMemory::new(window.clone(), &types, Layout::Placed);
        let all: Vec<usize> = (0..types.len()).collect();
        for batch in reader {
            let mut columns = batch?.columns().to_vec();
            let questions = columns.remove(0);
            let questions = questions.as_primitive::<UInt32Type>().values();
            features.add(&all, columns, &questions.iter().copied().zip(0..).collect::<Vec<_>>())?;
        }
        Ok(features.finish())
    }

    fn lock(&self, place: usize) -> std::sync::MutexGuard<'_, SpillFile> {
        self.files[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SpillFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillFile").finish_non_exhaustive()
    }
}

impl SpillFile {
    fn write_completed(&mut self) -> Result<()> {
        while let Some(batch) = self.waiting.next_completed_batch() {
            if let Some(writer) = &mut self.writer {
                writer.write(&batch)?;
            }
        }
        Ok(())
    }
}
