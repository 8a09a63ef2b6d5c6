//! Reading features online.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::offline::take_winners;
use lodestore_core::online::{FeatureStatus, OnlineColumn};
use lodestore_core::request::{ColumnNames, FeatureRequest, RequestedView};
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;
use lodestore_core::{Error, Result};

use crate::store::FeatureStore;
use crate::write::{Features, check_online};

/// The answer to an online request. Row i answers key i.
#[derive(Debug)]
pub struct OnlineAnswer {
    /// The caller's columns, as they came.
    pub rows: RecordBatch,
    /// The features, in the order asked.
    pub features: Vec<OnlineFeature>,
}

/// One feature of an answer.
#[derive(Debug)]
pub struct OnlineFeature {
    /// What the column is called.
    pub name: String,
    /// The feature's type.
    pub feature_type: FeatureType,
    /// The values; a default where one was asked for and the value is missing.
    pub values: ArrayRef,
    /// What was found, also where a default stands for it.
    pub statuses: Vec<FeatureStatus>,
    /// The event time of the row that answered.
    pub event_times: Vec<Option<EventTime>>,
}

impl OnlineAnswer {
    /// Returns the caller's columns and the features as one batch.
    ///
    /// # Errors
    /// `Internal` if the columns differ in length.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        let mut fields: Vec<_> = self.rows.schema_ref().fields().iter().map(Arc::clone).collect();
        let mut columns = self.rows.columns().to_vec();
        for feature in &self.features {
            fields.push(Arc::new(Field::new(&feature.name, feature.values.data_type().clone(), true)));
            columns.push(Arc::clone(&feature.values));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

impl FeatureStore {
    /// Resolves what is to be read online; the registry's state may be a second old.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for what can't be resolved, or for a view that is not served online.
    pub async fn online_request(&self, features: &Features, names: ColumnNames) -> Result<FeatureRequest> {
        let request = features.resolve(self.recent_snapshot().await?.as_ref(), names)?;
        request.views.iter().try_for_each(|view| check_online(&view.version))?;
        Ok(request)
    }

    /// Reads features of the keys in `rows` as of now (rules O2 and O6).
    ///
    /// # Errors
    /// `Invalid`, naming the column, for rows without a key column or with one of another type.
    pub async fn online_features(
        &self,
        request: &FeatureRequest,
        rows: RecordBatch,
        defaults: Defaults,
    ) -> Result<OnlineAnswer> {
        request.check_keys(rows.schema_ref()).map_err(|e| Error::invalid(format!("entity rows: {}", e.message())))?;
        let now = self.components.clock.now();
        let mut of_views = Vec::with_capacity(request.views.len());
        for (place, view) in request.views.iter().enumerate() {
            let features = request.features_of(place);
            let keys = keys(view, &rows)?;
            let online_view = self.online_view(Arc::clone(&view.version));
            let columns = self.components.online.read(&online_view, &keys, &features, now).await?;
            of_views.push((features, columns));
        }
        let features = request.columns.iter().map(|column| {
            let (features, columns) = &of_views[column.view];
            let found = &columns[features.partition_point(|&feature| feature < column.feature)];
            let feature = &request.views[column.view].version.features[column.feature];
            let values = match (&feature.default, defaults) {
                (Some(default), Defaults::ForMissing) => {
                    with_default(found, &feature.feature_type.array_from_json(default)?)?
                }
                _ => Arc::clone(&found.values),
            };
            Ok(OnlineFeature {
                name: column.name.clone(),
                feature_type: feature.feature_type.clone(),
                values,
                statuses: found.statuses.clone(),
                event_times: found.event_times.clone(),
            })
        });
        Ok(OnlineAnswer { features: features.collect::<Result<_>>()?, rows })
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

fn keys(view: &RequestedView, rows: &RecordBatch) -> Result<EntityKeys> {
    let columns = view.version.keys.iter().zip(&view.key_columns);
    let columns: Vec<_> = columns.map(|(key, name)| (name.as_str(), &rows[name.as_str()], key.key_type)).collect();
    EntityKeys::encode(rows.num_rows(), &columns).map_err(|e| Error::invalid(format!("entity rows: {}", e.message())))
}

fn with_default(found: &OnlineColumn, default: &ArrayRef) -> Result<ArrayRef> {
    let present = |(row, status): (usize, &FeatureStatus)| match status {
        FeatureStatus::Present | FeatureStatus::NullValue => Some(row as u32),
        FeatureStatus::NotFound | FeatureStatus::OutsideMaxAge => None,
    };
    let rows: UInt32Array = found.statuses.iter().enumerate().map(present).collect();
    take_winners(&found.values, &rows, Some(default))
}
