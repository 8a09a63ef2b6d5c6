//! The features that answer the questions about one view: in memory or, where they don't fit, in
//! temporary files, one for each window of questions.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array, new_empty_array, new_null_array};
use arrow::compute::{BatchCoalescer, concat, interleave, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use lodestore_core::{Error, Result};

/// Rows are written to temporary files in batches of this many.
const SPILLED_BATCH: usize = 8 * 1024;

/// Where the row that answers a question is: the piece of the columns, and the row in it.
type Pick = (u32, u32);

/// The first piece of every column is one null, for questions that no row answers.
const NO_ROW: Pick = (0, 0);

/// Features of the rows that answer questions, as they were found: in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// For each feature its pieces.
    columns: Arc<[Vec<ArrayRef>]>,
    /// For each question, from the first on, the row that answers it.
    picks: Arc<[Pick]>,
    first: usize,
}

/// The rows that answer some questions in a row.
#[derive(Debug)]
pub(crate) struct Picked {
    rows: Vec<(usize, usize)>,
    /// Which questions are answered; nothing if all are.
    pub(crate) answered: Option<BooleanArray>,
}

impl Features {
    fn new(pieces: Vec<Vec<ArrayRef>>, types: &[DataType], picks: Vec<Pick>, first: usize) -> Self {
        let mut columns: Vec<Vec<ArrayRef>> = types.iter().map(|ty| vec![new_null_array(ty, 1)]).collect();
        for piece in pieces {
            columns.iter_mut().zip(piece).for_each(|(column, array)| column.push(array));
        }
        Self { columns: columns.into(), picks: picks.into(), first }
    }

    /// Returns which rows answer questions.
    pub(crate) fn picked(&self, questions: &Range<usize>) -> Picked {
        let picks = &self.picks[questions.start - self.first..questions.end - self.first];
        if picks.contains(&NO_ROW) {
            let answered = picks.iter().map(|pick| Some(*pick != NO_ROW)).collect();
            let rows = picks.iter().map(|&(piece, row)| (piece as usize, row as usize));
            return Picked { rows: rows.collect(), answered: Some(answered) };
        }
        // Without the piece that is null, the values are put together without a look at nulls.
        let rows = picks.iter().map(|&(piece, row)| (piece as usize - 1, row as usize));
        Picked { rows: rows.collect(), answered: None }
    }

    /// Returns the values of a feature for the questions that were picked, null where no row answers.
    pub(crate) fn values(&self, feature: usize, picked: &Picked) -> Result<ArrayRef> {
        let pieces = &self.columns[feature][usize::from(picked.answered.is_none())..];
        if picked.rows.is_empty() {
            return Ok(self.columns[feature][0].slice(0, 0));
        }
        Ok(interleave(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &picked.rows)?)
    }
}

/// Where the features of a view are put, in pieces, by any number of threads.
#[derive(Debug)]
pub(crate) enum FeatureStore {
    /// Pieces of columns, and which of their rows answers each question.
    Memory(Mutex<Pieces>),
    /// Rows with their questions in temporary files.
    Spilled(Arc<Spill>),
}

#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: Vec<Vec<ArrayRef>>,
    picks: Vec<Pick>,
}

impl FeatureStore {
    /// Returns a place in memory for so many questions.
    pub(crate) fn in_memory(questions: usize) -> Self {
        Self::Memory(Mutex::new(Pieces { pieces: Vec::new(), picks: vec![NO_ROW; questions] }))
    }

    /// Adds rows; each of `answers` is a question and the row of these columns that answers it.
    pub(crate) fn add(&self, columns: Vec<ArrayRef>, answers: &[(u32, u32)]) -> Result<()> {
        match self {
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.pieces.push(columns);
                let piece = memory.pieces.len() as u32;
                for &(question, row) in answers {
                    memory.picks[question as usize] = (piece, row);
                }
                Ok(())
            }
            Self::Spilled(spill) => spill.write(&columns, answers),
        }
    }

    /// Ends the adding of features of these types.
    pub(crate) fn finish(self, types: &[DataType]) -> Result<StoredFeatures> {
        match self {
            Self::Memory(memory) => {
                let Pieces { pieces, picks } = memory.into_inner().unwrap_or_else(PoisonError::into_inner);
                Ok(StoredFeatures::Memory(Features::new(pieces, types, picks, 0)))
            }
            Self::Spilled(spill) => {
                spill.finish()?;
                Ok(StoredFeatures::Spilled(spill))
            }
        }
    }
}

/// Puts pieces of columns together, one column after the other so that little is held twice.
pub(crate) fn concat_pieces(mut pieces: Vec<Vec<ArrayRef>>, types: &[DataType]) -> Result<Vec<ArrayRef>> {
    let column = |(place, ty): (usize, &DataType)| {
        let empty = || new_empty_array(ty);
        let arrays: Vec<ArrayRef> =
            pieces.iter_mut().map(|piece| std::mem::replace(&mut piece[place], empty())).collect();
        match arrays.as_slice() {
            [] => Ok(empty()),
            [only] => Ok(Arc::clone(only)),
            several => Ok(concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        }
    };
    types.iter().enumerate().map(column).collect()
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
        let types: Vec<DataType> = self.schema.fields().iter().skip(1).map(|field| field.data_type().clone()).collect();
        let mut pieces = Vec::new();
        let mut picks = vec![NO_ROW; window.len()];
        for batch in reader {
            let mut columns = batch?.columns().to_vec();
            let questions = columns.remove(0);
            pieces.push(columns);
            for (row, question) in questions.as_primitive::<UInt32Type>().values().iter().enumerate() {
                picks[*question as usize - window.start] = (pieces.len() as u32, row as u32);
            }
        }
        Ok(Features::new(pieces, &types, picks, window.start))
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
