//! `lodestore get-historical-features`

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::StreamExt;
use lodestore::HistoricalQuestions;
use lodestore::core::offline::{BatchStream, HistoricalOptions, RunReport, WriteTarget, Written};
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use serde_json::{Value, json};

use super::{features, values};
use crate::args::{Explain, HistoricalArgs};
use crate::error::Exit;
use crate::printer::{Format, Printer, table};
use crate::progress::{Interrupt, watch};
use crate::session::Session;

/// How many rows are printed.
const SHOWN: usize = 20;

pub(super) fn run(session: &Session, args: &HistoricalArgs) -> Result<Exit> {
    let printer = session.printer;
    let (features, names) = features(&args.features)?;
    let options = HistoricalOptions { as_known: args.as_known, use_defaults: args.features.use_defaults };
    let (explain, output) = (args.explain, args.output.clone());
    let store = session.store()?;
    let questions = questions(args)?;
    let interrupt = Interrupt::listen_and_say(printer, "stopping; Ctrl-C again stops at once")?;
    let report = Arc::new(RunReport::default());
    let work = {
        let report = Arc::clone(&report);
        async move {
            let request = store.historical_request(&features, names).await?;
            let job = store.historical_features(request, questions, options).await?;
            let explained = match explain {
                Some(Explain::Plan) => job.explain().await?,
                Some(Explain::Analyze) => job.explain_analyze().await?,
                None => {
                    return match &output {
                        Some(path) => {
                            let target = WriteTarget::by_ending(path.as_str())?;
                            Ok(written(path, &job.write(&target, &report).await?))
                        }
                        None => preview(printer, report.until_cancelled(job.run_reporting(&report).await?)).await,
                    };
                }
            };
            let json = json!({"plan": explained});
            Ok(Shown { text: explained, json, note: None })
        }
    };
    let done = session.block_on(async { watch(printer, &report, &interrupt, work).await });
    match done {
        Err(error) if interrupt.is_set() => {
            printer.error(&error);
            Ok(Exit::Interrupted)
        }
        done => {
            let Shown { text, json, note } = done?;
            printer.answer(text, &json)?;
            note.iter().for_each(|note| printer.note(note));
            Ok(Exit::Fine)
        }
    }
}

/// What is printed in the end, as text or JSON, and what people are told besides.
struct Shown {
    text: String,
    json: Value,
    note: Option<String>,
}

fn questions(args: &HistoricalArgs) -> Result<HistoricalQuestions> {
    if let Some(file) = &args.entities {
        let file = std::path::absolute(file).map_err(|e| Error::io(format!("finding '{}'", file.display()), e))?;
        return Ok(HistoricalQuestions::File(file));
    }
    if let Some(sql) = &args.entities_sql {
        return Ok(HistoricalQuestions::Sql(sql.clone()));
    }
    let time = |text: &Option<String>| text.as_deref().map(EventTime::parse).transpose();
    Ok(HistoricalQuestions::Interval { start: time(&args.start)?, end: time(&args.end)? })
}

fn written(path: &str, Written { rows, files }: &Written) -> Shown {
    let text = format!("Wrote {rows} rows to '{path}'");
    Shown { text, json: json!({"file": path, "files": files, "rows": rows}), note: None }
}

/// Shows the first rows, and counts all.
async fn preview(printer: Printer, mut answer: BatchStream) -> Result<Shown> {
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
    let note = (rows > SHOWN).then(|| format!("{SHOWN} of {rows} rows; -o FILE writes all of them"));
    Ok(match printer.format() {
        Format::Text => Shown { text: to_table(&first)?, json: Value::Null, note },
        Format::Json => {
            let json = json!({"rows": values::to_objects(&first)?, "total_rows": rows});
            Shown { text: String::new(), json, note }
        }
    })
}

fn to_table(rows: &RecordBatch) -> Result<String> {
    let headings: Vec<String> = rows.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let columns = rows.columns().iter().map(|column| values::to_texts(column)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| columns.iter().map(|column| column[row].clone()).collect();
    Ok(table(&headings, (0..rows.num_rows()).map(row)))
}
