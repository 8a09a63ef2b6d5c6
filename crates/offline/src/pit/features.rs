//! The features that answer the questions about one view: in memory or, where they don't fit, in
//! temporary files, one for each window of questions.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{BatchCoalescer, concat, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use lodestore_core::{Error, Result};

/// The rank of a question that no row answers.
pub(crate) const NO_RANK: u32 = u32::MAX;

/// Rows are written to temporary files in batches of this many.
const SPILLED_BATCH: usize = 8 * 1024;

/// Features of the rows that answer questions: row `ranks[i]` of the columns answers question `first + i`.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) ranks: Arc<[u32]>,
    pub(crate) first: usize,
}

impl Features {
    /// Returns, for questions, which row answers: null where none does.
    pub(crate) fn rows(&self, questions: &Range<usize>) -> UInt32Array {
        let ranks = &self.ranks[questions.start - self.first..questions.end - self.first];
        if ranks.contains(&NO_RANK) {
            ranks.iter().map(|rank| (*rank != NO_RANK).then_some(*rank)).collect()
        } else {
            ranks.to_vec().into()
        }
    }
}

/// Where the features of a view are put, in pieces.
#[derive(Debug)]
pub(crate) enum FeatureStore {
    /// Pieces of columns, and which row of them answers each question.
    Memory { pieces: Vec<Vec<ArrayRef>>, rows: u32, ranks: Vec<u32> },
    /// Rows with their questions in temporary files.
    Spilled(Arc<Spill>),
}

impl FeatureStore {
    /// Returns a place in memory for so many questions.
    pub(crate) fn in_memory(questions: usize) -> Self {
        Self::Memory { pieces: Vec::new(), rows: 0, ranks: vec![NO_RANK; questions] }
    }

    /// Adds rows; each of `answers` is a question and the row of these columns that answers it.
    pub(crate) fn add(&mut self, columns: Vec<ArrayRef>, answers: &[(u32, u32)]) -> Result<()> {
        match self {
            Self::Memory { pieces, rows, ranks } => {
                for (question, row) in answers {
                    ranks[*question as usize] = *rows + row;
                }
                *rows += columns.first().map_or(0, |column| column.len() as u32);
                pieces.push(columns);
                Ok(())
            }
            Self::Spilled(spill) => spill.write(&columns, answers),
        }
    }

    /// Ends the adding. Columns without any row are empty ones of these types.
    pub(crate) fn finish(self, types: &[DataType], threads: usize) -> Result<StoredFeatures> {
        match self {
            Self::Memory { pieces, ranks, .. } => {
                let columns = concat_pieces(pieces, types, threads)?;
                Ok(StoredFeatures::Memory(Features { columns, ranks: ranks.into(), first: 0 }))
            }
            Self::Spilled(spill) => {
                spill.finish()?;
                Ok(StoredFeatures::Spilled(spill))
            }
        }
    }
}

/// Puts pieces of columns together, on several threads, each one column after the other so that little is held
/// twice.
pub(crate) fn concat_pieces(pieces: Vec<Vec<ArrayRef>>, types: &[DataType], threads: usize) -> Result<Vec<ArrayRef>> {
    let mut columns: Vec<Vec<ArrayRef>> = types.iter().map(|_| Vec::with_capacity(pieces.len())).collect();
    for piece in pieces {
        columns.iter_mut().zip(piece).for_each(|(column, array)| column.push(array));
    }
    let mut columns: Vec<(Vec<ArrayRef>, &DataType)> = columns.into_iter().zip(types).collect();
    let work = |(arrays, ty): (Vec<ArrayRef>, &DataType)| -> Result<ArrayRef> {
        match arrays.as_slice() {
            [] => Ok(arrow::array::new_empty_array(ty)),
            [only] => Ok(Arc::clone(only)),
            several => Ok(concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    };
    let share = columns.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let mut parts = Vec::new();
        while !columns.is_empty() {
            let rest = columns.split_off(share.min(columns.len()));
            let part = std::mem::replace(&mut columns, rest);
            parts.push(scope.spawn(move || part.into_iter().map(work).collect::<Result<Vec<_>>>()));
        }
        let ended = |_| Error::internal("a thread that puts columns together ended early");
        let parts = parts.into_iter().map(|part| part.join().map_err(ended)?);
        Ok(parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

/// The features of a view for all questions.
#[derive(Debug)]
pub(crate) enum StoredFeatures {
    Memory(Features),
    Spilled(Arc<Spill>),
}

impl StoredFeatures {
    /// Returns how many bytes are in temporary files.
    pub(crate) fn bytes_spilled(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Spilled(spill) => spill.bytes(),
        }
    }

    /// Returns the features of a window of questions.
    pub(crate) fn window(&self, window: &Range<usize>) -> Result<Features> {
        match self {
            Self::Memory(features) => Ok(features.clone()),
            Self::Spilled(spill) => spill.read(window),
        }
    }
}

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
    pub(crate) fn new(folder: Option<&Path>, questions: usize, window: usize, types: &[DataType]) -> Result<Self> {
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
    pub(crate) fn write(&self, columns: &[ArrayRef], answers: &[(u32, u32)]) -> Result<()> {
        let mut sorted: Vec<(u32, u32)> = answers.to_vec();
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
    fn finish(&self) -> Result<()> {
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
    fn bytes(&self) -> u64 {
        let length = |place| self.lock(place).file.metadata().map_or(0, |metadata| metadata.len());
        (0..self.files.len()).map(length).sum()
    }

    fn read(&self, window: &Range<usize>) -> Result<Features> {
        let mut file = self.lock(window.start / self.window);
        let reading = |e| Error::io("reading a temporary file of features", e);
        file.file.rewind().map_err(reading)?;
        let reader = StreamReader::try_new(BufReader::new(file.file.try_clone().map_err(reading)?), None)?;
        let types: Vec<DataType> = self.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let pieces = reader.map(|batch| Ok(batch?.columns().to_vec())).collect::<Result<Vec<_>>>()?;
        let mut columns = concat_pieces(pieces, &types, 1)?;
        let questions = columns.remove(0);
        let mut ranks = vec![NO_RANK; window.len()];
        for (row, question) in questions.as_primitive::<UInt32Type>().values().iter().enumerate() {
            ranks[*question as usize - window.start] = row as u32;
        }
        Ok(Features { columns, ranks: ranks.into(), first: window.start })
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
