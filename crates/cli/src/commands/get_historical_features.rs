//! `lodestore get-historical-features`

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::StreamExt;
use lodestore::core::offline::{BatchStream, HistoricalOptions};
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use lodestore::{HistoricalQuestions, write_frame};
use serde_json::{Value, json};

use super::{features, values};
use crate::args::HistoricalArgs;
use crate::error::Exit;
use crate::printer::{Format, Printer, table};
use crate::session::Session;

/// How many rows are printed.
const SHOWN: usize = 20;

pub(super) fn run(session: &Session, args: &HistoricalArgs) -> Result<Exit> {
    let printer = session.printer;
    let (features, names) = features(&args.features)?;
    let options = HistoricalOptions { as_known: args.as_known, use_defaults: args.features.use_defaults };
    let store = session.store()?;
    session.block_on(async {
        let request = store.historical_request(&features, names).await?;
        let questions = questions(args)?;
        let job = store.historical_features(request, questions, options).await?;
        if args.explain {
            let explained = job.explain().await?;
            printer.answer(&explained, &json!({"plan": explained}))?;
            return Ok(Exit::Fine);
        }
        match &args.output {
            Some(file) => write(printer, job.run().await?, file).await?,
            None => preview(printer, job.run().await?).await?,
        }
        Ok(Exit::Fine)
    })
}

fn questions(args: &HistoricalArgs) -> Result<HistoricalQuestions> {
    if let Some(file) = &args.entities {
        let file = std::path::absolute(file).map_err(|e| Error::io(format!("finding '{}'", file.display()), e))?;
        return Ok(HistoricalQuestions::File(file));
    }
    let time = |text: &Option<String>| text.as_deref().map(EventTime::parse).transpose();
    Ok(HistoricalQuestions::Interval { start: time(&args.start)?, end: time(&args.end)? })
}

async fn write(printer: Printer, answer: BatchStream, file: &Path) -> Result<()> {
    let rows = write_frame(answer, file).await?;
    let text = format!("Wrote {rows} rows to '{}'", file.display());
    printer.answer(text, &json!({"file": file, "rows": rows}))
}

/// Prints the first rows, and counts all.
async fn preview(printer: Printer, mut answer: BatchStream) -> Result<()> {
    let mut first = Vec::new();
    let mut rows = 0;
    while let Some(batch) = answer.batches.next().await {
        let batch = batch?;
        if rows < SHOWN {
            first.push(batch.slice(0, batch.num_rows().min(SHOWN - rows)));
        }
        rows += batch.num_rows();
    }
    let first = concat_batches(&answer.schema, &first)?;
    match printer.format() {
        Format::Text => printer.answer(to_table(&first)?, &Value::Null)?,
        Format::Json => {
            let objects = values::to_objects(&first)?;
            printer.answer("", &json!({"rows": objects, "total_rows": rows}))?;
        }
    }
    if rows > SHOWN {
        printer.note(format!("{SHOWN} of {rows} rows; -o FILE writes all of them"));
    }
    Ok(())
}

fn to_table(rows: &RecordBatch) -> Result<String> {
    let headings: Vec<String> = rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let columns = rows.columns().iter().map(|column| values::to_texts(column)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    Ok(table(&headings, (0..rows.num_rows()).map(row)))
}
