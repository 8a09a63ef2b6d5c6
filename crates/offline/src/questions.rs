//! The questions of a retrieval: which columns of the entity frame are keys, which is the time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use lodestore_core::entity_key::KeyColumn;
use lodestore_core::offline::HistoricalPlan;
use lodestore_core::request::RequestedView;
use lodestore_core::types::{KeyType, Rounding, event_times};
use lodestore_core::{Error, Result};

use crate::pit::Asked;

/// The questions' key columns, each with its type, and whether they are asked at a time: what views
/// must have in common to share an index.
type IndexId = (Vec<(String, KeyType)>, bool);

/// The key and time columns of the questions, in one piece.
pub(crate) struct Questions<'a> {
    plan: &'a HistoricalPlan,
    columns: RecordBatch,
    times: Option<Int64Array>,
}

impl<'a> Questions<'a> {
    /// Takes the key and time columns out of the questions.
    ///
    /// # Errors
    /// `Invalid` for a time that is out of range.
    pub(crate) fn new(plan: &'a HistoricalPlan, batches: &[RecordBatch]) -> Result<Self> {
        let mut wanted = plan.request.key_columns().into_keys().collect::<Vec<_>>();
        wanted.extend(plan.time_column.as_deref().filter(|time| !wanted.contains(time)));
        let wanted = wanted.iter().map(|name| Ok(plan.questions.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        let batches = batches.iter().map(|batch| Ok(batch.project(&wanted)?)).collect::<Result<Vec<_>>>()?;
        let columns = match batches.as_slice() {
            [only] => only.clone(),
            several => concat_batches(&Arc::new(plan.questions.project(&wanted)?), several)?,
        };
        let times = match &plan.time_column {
            Some(name) => Some(event_times(name, &columns[name.as_str()], Rounding::Down)?),
            None => None,
        };
        Ok(Self { plan, columns, times })
    }

    /// Returns what each view is asked, shared where that is the same.
    ///
    /// # Errors
    /// `Invalid`, naming the column, for a value that is no key.
    pub(crate) fn shared(&self) -> Result<Vec<Arc<Asked>>> {
        let mut known: HashMap<IndexId, Arc<Asked>> = HashMap::new();
        let asked = |view| {
            Ok(match known.entry(self.index_id(view)) {
                Entry::Occupied(same) => Arc::clone(same.get()),
                Entry::Vacant(place) => Arc::clone(place.insert(Arc::new(self.asked(view)?))),
            })
        };
        self.plan.request.views.iter().map(asked).collect()
    }

    /// A timeless view answers every question, even one whose time is null, unless it must have been
    /// known by then.
    fn needs_time(&self, view: &RequestedView) -> bool {
        self.plan.options.as_known || !view.version.is_timeless()
    }

    fn index_id(&self, view: &RequestedView) -> IndexId {
        let keys = view.version.keys.iter().zip(&view.key_columns);
        (keys.map(|(key, column)| (column.clone(), key.key_type)).collect(), self.needs_time(view))
    }

    fn asked(&self, view: &RequestedView) -> Result<Asked> {
        let keys = view.version.keys.iter().zip(&view.key_columns);
        let keys = keys.map(|(key, name)| KeyColumn::new(name, &self.columns[name.as_str()], key.key_type));
        let keys =
            keys.collect::<Result<Vec<_>>>().map_err(|e| Error::invalid(format!("entity frame: {}", e.message())))?;
        let times = self.times.as_ref().filter(|_| self.needs_time(view)).cloned();
        Ok(Asked::new(keys, times, self.columns.num_rows()))
    }
}
