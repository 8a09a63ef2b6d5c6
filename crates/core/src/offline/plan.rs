//! The plan of a historical retrieval: a value that can be printed, tested and run by any engine.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::request::FeatureRequest;
use crate::types::is_time;

/// What a caller may choose about a historical retrieval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoricalOptions {
    /// Whether only rows created by the question's time count (rule P4).
    pub as_known: bool,
    /// Whether a feature's default stands for a missing value (rule V3).
    pub use_defaults: bool,
}

/// A historical retrieval: questions of some schema, and the features to add to them.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoricalPlan {
    /// What was asked for.
    pub request: FeatureRequest,
    /// The schema of the questions.
    pub questions: SchemaRef,
    /// The questions' column with their times; `None` where every view asked for is timeless.
    pub time_column: Option<String>,
    /// What the caller chose.
    pub options: HistoricalOptions,
}

impl HistoricalPlan {
    /// Plans a retrieval for questions of a schema.
    ///
    /// # Errors
    /// `Invalid` if the questions lack a key or time column, have two columns of one name, have a
    /// column called as an answer column, or ask for history of a view that keeps none.
    pub fn build(request: FeatureRequest, questions: SchemaRef, options: HistoricalOptions) -> Result<Self> {
        for (i, field) in questions.fields().iter().enumerate() {
            if questions.fields()[..i].iter().any(|other| other.name() == field.name()) {
                return Err(Error::invalid(format!("the entity frame has two columns called '{}'", field.name())));
            }
        }
        request.check_keys(&questions).map_err(|e| Error::invalid(format!("entity frame: {}", e.message())))?;
        if let Some(column) = request.columns.iter().find(|c| questions.field_with_name(&c.name).is_ok()) {
            return Err(Error::invalid(format!(
                "the entity frame has a column '{}', which is also the name of a feature asked for; \
                 rename it, or ask with full_feature_names",
                column.name
            )));
        }
        for view in &request.views {
            if view.version.table.is_none() {
                return Err(Error::invalid(format!(
                    "view '{}' has no history: its push source has no batch_source",
                    view.version.reference()
                )));
            }
            if options.as_known && created_column(view).is_none() {
                return Err(Error::invalid(format!(
                    "as_known needs to know when rows were recorded, but the source of view '{}' has no created_timestamp_column",
                    view.version.reference()
                )));
            }
        }
        let needs_time = options.as_known || request.views.iter().any(|view| !view.version.is_timeless());
        let time_column = match time_column(&questions) {
            Ok(column) => Some(column),
            Err(_) if !needs_time => None,
            Err(error) => return Err(error),
        };
        Ok(Self { request, questions, time_column, options })
    }

    /// Returns the schema of the answer: the questions' columns untouched, then the features (rule P1).
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let mut fields: Vec<_> = self.questions.fields().iter().map(Arc::clone).collect();
        fields.extend(self.request.columns.iter().map(|column| Arc::new(self.request.field(column))));
        Arc::new(Schema::new_with_metadata(fields, self.questions.metadata().clone()))
    }
}

fn created_column(view: &crate::request::RequestedView) -> Option<&str> {
    view.version.table.as_ref()?.times.created_timestamp_column.as_deref()
}

/// Returns the name of the column with the questions' times: `event_timestamp`, else the only one
/// that is a timestamp.
///
/// # Errors
/// `Invalid` if there is none, several, or `event_timestamp` is no time.
pub fn time_column(questions: &Schema) -> Result<String> {
    const USUAL: &str = "event_timestamp";
    if let Ok(field) = questions.field_with_name(USUAL) {
        return match field.data_type() {
            ty if is_time(ty) => Ok(USUAL.to_owned()),
            other => Err(Error::invalid(format!(
                "column '{USUAL}' of the entity frame has type {other}; expected a timestamp \
                 (for text in pandas: df['{USUAL}'] = pd.to_datetime(df['{USUAL}']))"
            ))),
        };
    }
    let times: Vec<&str> = questions
        .fields()
        .iter()
        .filter(|field| matches!(field.data_type(), DataType::Timestamp(..)))
        .map(|field| field.name().as_str())
        .collect();
    match times.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let known: Vec<_> = questions.fields().iter().map(|f| format!("'{}'", f.name())).collect();
            Err(Error::invalid(format!(
                "the entity frame has no time column: expected one called '{USUAL}', or exactly one timestamp column; columns: {}",
                known.join(", ")
            )))
        }
        several => Err(Error::invalid(format!(
            "the entity frame has several timestamp columns ({}); call the one with the questions' times '{USUAL}'",
            several.join(", ")
        ))),
    }
}

impl fmt::Display for HistoricalPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time_column.as_deref().unwrap_or("no time");
        write!(f, "Historical: {} question columns, asked at {time}", self.questions.fields().len())?;
        if self.options.as_known {
            f.write_str(", as known")?;
        }
        if self.options.use_defaults {
            f.write_str(", with defaults")?;
        }
        for (i, view) in self.request.views.iter().enumerate() {
            let version = &view.version;
            let keys = version.keys.iter().zip(&view.key_columns).map(|(key, column)| match column.as_str() {
                same if same == key.name.as_str() => same.to_owned(),
                other => format!("{other} as {}", key.name),
            });
            write!(f, "\n  View: {}", version.reference())?;
            if view.shown_name != version.name().as_str() {
                write!(f, " (shown as {})", view.shown_name)?;
            }
            write!(f, ", keys [{}]", keys.collect::<Vec<_>>().join(", "))?;
            if let Some(table) = &version.table {
                write!(f, ", from {}", table.path)?;
                match table.times.event_time_column() {
                    Some(column) => write!(f, " by {column}")?,
                    None => f.write_str(", timeless")?,
                }
                if !table.times.availability_delay.is_zero() {
                    write!(f, " + {}", table.times.availability_delay)?;
                }
            }
            if let Some(ttl) = version.ttl() {
                write!(f, ", ttl {ttl}")?;
            }
            let features = self.request.features_of(i);
            let features = features.iter().map(|&index| version.features[index].name.as_str());
            write!(f, "\n    features [{}]", features.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}
