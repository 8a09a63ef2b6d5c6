//! Reading features online: prepared once, asked many times.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use lodestore_core::definition::ViewVersion;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineCell, OnlineColumn, OnlineRows, OnlineView, ViewKeys};
use lodestore_core::registry::Snapshot;
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::types::{FeatureType, KeyType, Value};
use lodestore_core::{Error, Result};

use crate::live::AskedFeatures;
use crate::store::FeatureStore;
use crate::write::{Features, check_online};

/// All that a request needs to know of the features it asks for, worked out once.
#[derive(Debug)]
pub struct OnlinePlan {
    snapshot: Arc<Snapshot>,
    request: FeatureRequest,
    keys: Vec<PlannedKey>,
    /// The join keys of each distinct entity key: places in `keys`, with the type of the views.
    key_sets: Vec<Vec<(usize, KeyType)>>,
    parts: Vec<PlannedPart>,
    columns: Vec<PlannedColumn>,
}

/// A column that the caller brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedKey {
    /// What it is called.
    pub name: String,
    /// The type of the join key that it stands for; an integer is as wide as its widest use.
    pub key_type: KeyType,
}

/// A column of the answer.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    /// What it is called.
    pub name: String,
    /// The feature's type.
    pub feature_type: FeatureType,
    /// The view: a place in the request's views.
    pub view: usize,
    /// Where it is found: a place in the plan's parts, and in the order of that part.
    found: (usize, usize),
    /// The feature's default, of length one, where it has one.
    pub default: Option<ArrayRef>,
}

/// What the online store is asked for: a view, or a part of one that shares its rows with another version.
#[derive(Debug)]
struct PlannedPart {
    of: OnlineView,
    /// A place in the request's views.
    view: usize,
    key_set: usize,
}

impl OnlinePlan {
    fn new(store: &FeatureStore, snapshot: &Arc<Snapshot>, features: &Features, names: ColumnNames) -> Result<Self> {
        let request = features.resolve(snapshot, names)?;
        request.views.iter().try_for_each(|view| check_online(&view.version))?;
        let (mut keys, mut key_sets, mut key_set_of) = (Vec::new(), Vec::new(), Vec::new());
        for view in &request.views {
            let parts = view.version.keys.iter().zip(&view.key_columns).map(|(key, name)| {
                let found = keys.iter().position(|known: &PlannedKey| known.name == *name);
                let place = found.unwrap_or_else(|| {
                    keys.push(PlannedKey { name: name.clone(), key_type: key.key_type });
                    keys.len() - 1
                });
                if key.key_type == KeyType::Int64 {
                    keys[place].key_type = KeyType::Int64;
                }
                (place, key.key_type)
            });
            let parts: Vec<_> = parts.collect();
            let key_set = key_sets.iter().position(|known| *known == parts).unwrap_or_else(|| {
                key_sets.push(parts);
                key_sets.len() - 1
            });
            key_set_of.push(key_set);
        }
        let parts = request.views.iter().map(|view| snapshot.parts(&view.version)).collect::<Result<Vec<_>>>()?;
        let mut planned: Vec<PlannedPart> = Vec::with_capacity(parts.len());
        let columns = request.columns.iter().map(|column| {
            let feature = &request.views[column.view].version.features[column.feature];
            let place = |part: &ViewVersion| part.features.iter().position(|own| own.name == feature.name);
            let of = parts[column.view].iter().find_map(|part| Some((part, place(part)?)));
            let (part, place) = of.ok_or_else(|| Error::internal("a feature has no place online"))?;
            let known =
                planned.iter().position(|known| known.view == column.view && Arc::ptr_eq(&known.of.version, part));
            let part = known.unwrap_or_else(|| {
                let of = store.online_view(Arc::clone(part));
                planned.push(PlannedPart { of, view: column.view, key_set: key_set_of[column.view] });
                planned.len() - 1
            });
            let default = feature.default.as_ref().map(|default| feature.feature_type.array_from_json(default));
            Ok(PlannedColumn {
                name: column.name.clone(),
                feature_type: feature.feature_type.clone(),
                view: column.view,
                found: (part, place),
                default: default.transpose()?,
            })
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { snapshot: Arc::clone(snapshot), request, keys, key_sets, parts: planned, columns })
    }

    /// Returns the views and columns that are asked for.
    #[must_use]
    pub fn request(&self) -> &FeatureRequest {
        &self.request
    }

    /// Returns the columns that the caller brings, each once.
    #[must_use]
    pub fn key_columns(&self) -> &[PlannedKey] {
        &self.keys
    }

    /// Returns the columns of the answer, in the order asked.
    #[must_use]
    pub fn columns(&self) -> &[PlannedColumn] {
        &self.columns
    }

    fn encoded_keys(&self, rows: &RecordBatch) -> Result<Vec<EntityKeys>> {
        let in_rows = |error: Error| Error::invalid(format!("entity rows: {}", error.message()));
        let column = |key: &PlannedKey| rows.column_by_name(&key.name);
        let arrays: Option<Vec<&ArrayRef>> = self.keys.iter().map(column).collect();
        let Some(arrays) = arrays else {
            let missing = self.request.check_keys(rows.schema_ref());
            return Err(missing.map_or_else(in_rows, |()| Error::internal("a key column went missing")));
        };
        let encode = |set: &Vec<(usize, KeyType)>| {
            let columns: Vec<_> =
                set.iter().map(|&(place, ty)| (self.keys[place].name.as_str(), arrays[place], ty)).collect();
            EntityKeys::encode(rows.num_rows(), &columns).map_err(in_rows)
        };
        self.key_sets.iter().map(encode).collect()
    }
}

/// What stands for a missing value (rule V3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defaults {
    /// Null.
    #[default]
    None,
    /// The feature's default, where it has one. A stored null stays null.
    ForMissing,
}

/// The answer to an online request. Row i answers row i of the caller.
#[derive(Debug)]
pub struct OnlineAnswer {
    plan: Arc<OnlinePlan>,
    rows: RecordBatch,
    found: Box<dyn OnlineRows>,
    defaults: Defaults,
}

impl OnlineAnswer {
    /// Returns the plan that was asked.
    #[must_use]
    pub fn plan(&self) -> &Arc<OnlinePlan> {
        &self.plan
    }

    /// Returns the caller's columns, as they came.
    #[must_use]
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Returns how many rows were asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Returns whether no row was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what was found for a column of the plan in a row. Where a default stands for a missing value,
    /// the status still says what was missing.
    ///
    /// # Errors
    /// `Corrupt`, naming the view, if the stored row is damaged; `Internal` if there is no such column or row.
    pub fn cell(&self, column: usize, row: usize) -> Result<OnlineCell<'_>> {
        let planned = self.planned(column)?;
        let (part, feature) = planned.found;
        let mut cell = self.found.get(part, row, feature).map_err(|error| self.in_part(part, error))?;
        self.put_default(planned, &mut cell)?;
        Ok(cell)
    }

    /// Appends what was found for a column of the plan, row by row: the same as [`OnlineAnswer::cell`], in a fraction
    /// of the time where there are many rows.
    ///
    /// # Errors
    /// As [`OnlineAnswer::cell`].
    pub fn cells<'a>(&'a self, column: usize, out: &mut Vec<OnlineCell<'a>>) -> Result<()> {
        let planned = self.planned(column)?;
        let ((part, feature), start) = (planned.found, out.len());
        let found = self.found.cells(part, 0..self.len(), feature, out);
        found.map_err(|error| self.in_part(part, error))?;
        if self.defaults == Defaults::ForMissing && planned.default.is_some() {
            out[start..].iter_mut().try_for_each(|cell| self.put_default(planned, cell))?;
        }
        Ok(())
    }

    fn planned(&self, column: usize) -> Result<&PlannedColumn> {
        self.plan.columns.get(column).ok_or_else(|| Error::internal("there is no such column"))
    }

    fn put_default<'a>(&'a self, planned: &'a PlannedColumn, cell: &mut OnlineCell<'a>) -> Result<()> {
        if self.defaults == Defaults::ForMissing
            && matches!(cell.status, FeatureStatus::NotFound | FeatureStatus::OutsideMaxAge)
            && let Some(default) = &planned.default
        {
            cell.value = Value::of(default.as_ref(), 0)?;
        }
        Ok(())
    }

    /// Returns a column of the plan as Arrow values with their statuses and event times.
    ///
    /// # Errors
    /// As [`OnlineAnswer::cell`].
    pub fn column(&self, column: usize) -> Result<OnlineColumn> {
        let mut cells = Vec::with_capacity(self.len());
        self.cells(column, &mut cells)?;
        OnlineColumn::from_cells(&self.planned(column)?.feature_type, cells)
    }

    /// Returns the caller's columns and the features as one batch.
    ///
    /// # Errors
    /// As [`OnlineAnswer::cell`].
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let mut fields: Vec<_> = self.rows.schema_ref().fields().iter().map(Arc::clone).collect();
        let mut columns = self.rows.columns().to_vec();
        for (place, planned) in self.plan.columns.iter().enumerate() {
            let values = self.column(place)?.values;
            fields.push(Arc::new(Field::new(&planned.name, values.data_type().clone(), true)));
            columns.push(values);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }

    #[cold]
    fn in_part(&self, part: usize, error: Error) -> Error {
        error.with_context("view", &self.plan.parts[part].of)
    }
}

impl FeatureStore {
    /// Prepares reads of features; what was prepared is kept and given to whoever asks for the same. The registry's
    /// state is at most a second old and kept by a thread in the background: a request does not touch it, but for
    /// the first.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for what can't be resolved, or for a view that is not served online.
    pub async fn online_plan(&self, features: AskedFeatures<'_>, names: ColumnNames) -> Result<Arc<OnlinePlan>> {
        let state = self.live.recent().await?;
        state.plan(&features, names, || OnlinePlan::new(self, &state.snapshot, &Features::try_from(features)?, names))
    }

    /// As [`FeatureStore::online_plan`] of features that were parsed before; nothing is kept.
    ///
    /// # Errors
    /// As [`FeatureStore::online_plan`].
    pub async fn new_online_plan(&self, features: &Features, names: ColumnNames) -> Result<Arc<OnlinePlan>> {
        let state = self.live.recent().await?;
        Ok(Arc::new(OnlinePlan::new(self, &state.snapshot, features, names)?))
    }

    /// Returns whether a plan is that of the registry's state as requests see it now.
    #[must_use]
    pub fn is_current(&self, plan: &OnlinePlan) -> bool {
        self.live.is_current(&plan.snapshot)
    }

    /// Reads features of the keys in `rows` as of now (rules O2 and O6).
    ///
    /// # Errors
    /// `Invalid`, naming the column, for rows without a key column or with one of another type.
    pub async fn online_features(
        &self,
        plan: &Arc<OnlinePlan>,
        rows: RecordBatch,
        defaults: Defaults,
    ) -> Result<OnlineAnswer> {
        let keys = plan.encoded_keys(&rows)?;
        let asked: Vec<ViewKeys<'_>> =
            plan.parts.iter().map(|part| ViewKeys { view: &part.of, keys: &keys[part.key_set] }).collect();
        let found = self.components.online.find(&asked, self.components.clock.now()).await?;
        Ok(OnlineAnswer { plan: Arc::clone(plan), rows, found, defaults })
    }
}
