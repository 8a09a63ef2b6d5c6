//! Random definitions, tables and questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, NullArray, RecordBatch, RecordBatchOptions, StringArray,
    TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field as ArrowField, Schema, TimeUnit, TimestampNanosecondType};
use libtest_mimic::Failed;
use lodestore_core::definition::{
    DataSource, Definitions, FeatureService, FeatureView, FileSource, Projection, TableRef,
};
use lodestore_core::name::{FeatureRef, ViewRef};
use lodestore_core::offline::HistoricalOptions;
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::time::Micros;
use lodestore_core::types::{FeatureType, KeyType};

use super::types::{EPOCH, encoding, feature_type, key_encoding, value};
use super::{Rng, size_of_case};
use crate::fixture::{Retrieval, snapshot};
use crate::oracle::{Value, build};

/// What a family of cases dwells on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// Delays, validity, TTL edges, units and zones of time (rules T1 to T5 and P2).
    Time,
    /// Views, entities, keys, aliases (rules P1 to P8).
    Join,
    /// What was known at the time (rule P4).
    AsKnown,
    /// Every feature type, and ties that only values decide (rules P3 and V1).
    Types,
    /// Defaults (rule V3).
    Defaults,
}

/// A random retrieval, and the names its answer columns must have.
#[derive(Debug, Clone)]
pub struct GeneratedRetrieval {
    /// The retrieval.
    pub retrieval: Retrieval,
    /// The names of the feature columns, in order.
    pub names: Vec<String>,
}

/// The scale of a case's times: steps between events, and how many there are.
pub(super) struct Times {
    step: i64,
    steps: i64,
}

impl Times {
    /// Returns a time on a step, or a microsecond beside it.
    fn near_a_step(&self, rng: &mut Rng) -> i64 {
        let beside = if rng.chance(30) { *rng.pick(&[-1, 1]) } else { 0 };
        EPOCH + self.step * rng.between(0, self.steps) + beside
    }

    /// Returns a length of some steps.
    pub(super) fn length(&self, rng: &mut Rng) -> Result<Micros, Failed> {
        Ok(Micros::new(self.step * rng.between(1, 3))?)
    }
}

/// A case as it grows: first its definitions, then tables, then what is asked.
pub(super) struct Generator {
    pub(super) rng: Rng,
    pub(super) focus: Focus,
    size: usize,
    pub(super) times: Times,
    pub(super) definitions: Definitions,
    /// Each join key's name, type and few values.
    pub(super) keys: Vec<(String, KeyType, Vec<Value>)>,
}

impl GeneratedRetrieval {
    /// Returns the case of a seed.
    ///
    /// # Errors
    /// If the generator makes something that is refused: a bug of the generator.
    pub fn from_seed(focus: Focus, seed: u64) -> Result<Self, Failed> {
        let mut rng = Rng::new(seed);
        let step = *rng.pick(&[1, 1_000_000, 86_400_000_000]);
        let size = size_of_case(seed);
        let times = Times { step, steps: 2 + size as i64 / 2 };
        let definitions = Definitions::default();
        let mut generator = Generator { rng, focus, size, times, definitions, keys: Vec::new() };
        generator.entities()?;
        let views = match focus {
            Focus::Time | Focus::Types => 1,
            _ => 1 + generator.rng.below(3),
        };
        for view in 0..views {
            generator.view(view)?;
        }
        if focus != Focus::Time && generator.rng.chance(25) {
            generator.view_of_the_same_source()?;
        }
        generator.definitions.check()?;
        let mut tables = Vec::new();
        for source in generator.definitions.data_sources.clone().values() {
            if let DataSource::File(source) = source {
                tables.push((source.table()?, generator.table(source)?));
            }
        }
        generator.retrieval(tables)
    }
}

impl Generator {
    fn table(&mut self, source: &FileSource) -> Result<RecordBatch, Failed> {
        let rows = self.rng.below(3 * self.size + 1);
        let view = self.definitions.feature_views.values().find(|view| view.source == source.name).cloned();
        let view = view.ok_or("every source has a view")?;
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        let version = self.definitions.resolve(&view, lodestore_core::time::EventTime::MIN, 1)?;
        for key in &version.keys {
            columns.push((key.name.to_string(), self.key_column(key.name.as_str(), rows)?));
        }
        let table = source.table()?;
        for (i, time) in table.times.columns().enumerate() {
            let nulls = if i == 0 { 5 } else { 25 };
            columns.push((time.to_owned(), self.time_column(rows, nulls, &[])?));
        }
        for feature in &version.features {
            let ty = &feature.feature_type;
            let array = if self.rng.chance(2) {
                Arc::new(NullArray::new(rows)) as ArrayRef
            } else {
                let values: Vec<Value> = (0..rows).map(|_| value(&mut self.rng, ty)).collect();
                cast(&build(ty, &values)?, &encoding(&mut self.rng, ty))?
            };
            columns.push((feature.name.to_string(), array));
        }
        columns.push(("not used".into(), Arc::new(Int32Array::from(vec![7; rows]))));
        self.rng.shuffle(&mut columns);
        for (name, _) in &mut columns {
            *name = table.file_column(name).to_owned();
        }
        batch(columns, rows)
    }

    fn key_column(&mut self, key: &str, rows: usize) -> Result<ArrayRef, Failed> {
        let (_, ty, pool) = self.keys.iter().find(|(name, ..)| name == key).ok_or("every key has a pool")?;
        let rng = &mut self.rng;
        let values: Vec<Value> =
            (0..rows).map(|_| if rng.chance(6) { Value::Null } else { rng.pick(pool).clone() }).collect();
        let array = cast(&build(&ty.feature_type(), &values)?, &key_encoding(rng, *ty))?;
        match array.as_primitive_opt::<TimestampNanosecondType>() {
            // A nanosecond beside a key's microsecond is no key at all.
            Some(nanos) if rng.chance(30) => Ok(beside(rng, nanos)),
            _ => Ok(array),
        }
    }

    /// Returns times in a random unit and zone; `more` are units that only some places allow.
    fn time_column(&mut self, rows: usize, percent_null: usize, more: &[DataType]) -> Result<ArrayRef, Failed> {
        let rng = &mut self.rng;
        let mut units = vec![
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+02:00".into())),
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Timestamp(TimeUnit::Second, Some("UTC".into())),
        ];
        units.extend(more.iter().cloned());
        let unit = if rng.chance(50) { units[0].clone() } else { rng.pick(&units).clone() };
        let values: Vec<Value> = (0..rows)
            .map(|_| match rng.below(100) {
                n if n < percent_null => Value::Null,
                99 if unit == units[0] => Value::Timestamp(*rng.pick(&[i64::MIN + 1, i64::MAX - 1, -1, 0])),
                _ => Value::Timestamp(self.times.near_a_step(rng)),
            })
            .collect();
        let array = cast(&build(&FeatureType::Timestamp, &values)?, &unit)?;
        match array.as_primitive_opt::<TimestampNanosecondType>() {
            Some(nanos) => Ok(beside(rng, nanos)),
            None => Ok(array),
        }
    }

    fn retrieval(mut self, tables: Vec<(TableRef, RecordBatch)>) -> Result<GeneratedRetrieval, Failed> {
        let (request, names) = if self.rng.chance(50) { self.references()? } else { self.service()? };
        let has_created = request.views.iter().all(|view| {
            view.version.table.as_ref().is_some_and(|table| table.times.created_timestamp_column.is_some())
        });
        let options = HistoricalOptions {
            as_known: has_created && self.rng.chance(if self.focus == Focus::AsKnown { 85 } else { 15 }),
            use_defaults: self.rng.chance(if self.focus == Focus::Defaults { 80 } else { 15 }),
        };
        let questions = self.questions(&request, options)?;
        Ok(GeneratedRetrieval { retrieval: Retrieval { tables, request, questions, options }, names })
    }

    /// Asks for some features of the views, in any order, by name.
    fn references(&mut self) -> Result<(FeatureRequest, Vec<String>), Failed> {
        let views = self.definitions.feature_views.values();
        let mut all: Vec<(String, String)> = views
            .flat_map(|view| view.schema.iter().map(|field| (view.name.to_string(), field.name.clone())))
            .collect();
        self.rng.shuffle(&mut all);
        all.truncate(1 + self.rng.below(all.len()));
        let short: Vec<String> = all.iter().map(|(_, feature)| feature.clone()).collect();
        let refs = all.iter().map(|(view, feature)| format!("{view}:{feature}").parse::<FeatureRef>());
        let refs = refs.collect::<Result<Vec<_>, _>>()?;
        let snapshot = snapshot(&self.definitions)?;
        if self.rng.chance(50) && is_distinct(&short) {
            return Ok((FeatureRequest::from_refs(&snapshot, &refs, ColumnNames::Feature)?, short));
        }
        let long = all.iter().map(|(view, feature)| format!("{view}__{feature}")).collect();
        Ok((FeatureRequest::from_refs(&snapshot, &refs, ColumnNames::ViewAndFeature)?, long))
    }

    /// Asks through a feature service: views whole, under aliases, with other key columns.
    fn service(&mut self) -> Result<(FeatureRequest, Vec<String>), Failed> {
        let mut features = Vec::new();
        let mut names = Vec::new();
        let views: Vec<FeatureView> = self.definitions.feature_views.values().cloned().collect();
        for (i, view) in views.iter().chain(&views).enumerate() {
            let mut projection = Projection::all(ViewRef { name: view.name.clone(), version: None });
            if i >= views.len() {
                if self.rng.chance(40) {
                    continue;
                }
                projection.alias = Some(format!("{}_other", view.name).parse()?);
                for key in view.entities.iter().flat_map(|entity| &self.definitions.entities[entity].join_keys) {
                    if self.rng.chance(60) {
                        projection.join_key_map.insert(key.name.clone(), format!("other_{}", key.name));
                    }
                }
            }
            let mut asked: Vec<String> = view.schema.iter().map(|field| field.name.clone()).collect();
            if self.rng.chance(50) {
                self.rng.shuffle(&mut asked);
                asked.truncate(1 + self.rng.below(asked.len()));
                projection.features = Some(asked.iter().map(|f| f.parse()).collect::<Result<_, _>>()?);
            }
            let shown = projection.alias.as_ref().unwrap_or(&view.name);
            names.extend(asked.iter().map(|feature| format!("{shown}__{feature}")));
            features.push(projection);
        }
        let service = FeatureService {
            name: "model".parse()?,
            features,
            description: String::new(),
            tags: BTreeMap::new(),
            owner: String::new(),
        };
        let mut definitions = self.definitions.clone();
        definitions.add_feature_service(service)?;
        definitions.check()?;
        let request =
            FeatureRequest::from_service(&snapshot(&definitions)?, &"model".parse()?, ColumnNames::ViewAndFeature)?;
        Ok((request, names))
    }

    fn questions(&mut self, request: &FeatureRequest, options: HistoricalOptions) -> Result<RecordBatch, Failed> {
        let rows = self.rng.below(2 * self.size + 1);
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for name in request.key_columns().into_keys() {
            let key = name.strip_prefix("other_").unwrap_or(name);
            columns.push((name.to_owned(), self.key_column(key, rows)?));
        }
        let needs_time = options.as_known || request.views.iter().any(|view| !view.version.is_timeless());
        let is_only_time = columns.iter().all(|(_, array)| !matches!(array.data_type(), DataType::Timestamp(..)));
        if needs_time || self.rng.chance(50) {
            if is_only_time && self.rng.chance(20) {
                columns.push(("asked_at".into(), self.time_column(rows, 8, &[])?));
            } else {
                columns.push(("event_timestamp".into(), self.time_column(rows, 8, &[DataType::Date32])?));
            }
        }
        let rng = &mut self.rng;
        if rng.chance(50) {
            let labels = (0..rows).map(|_| *rng.pick(&[Some("yes"), Some("no"), None]));
            let labels: ArrayRef = Arc::new(labels.collect::<StringArray>());
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let encoding = rng.pick(&[DataType::Utf8, DataType::Utf8View, dictionary]).clone();
            columns.push(("label".into(), cast(&labels, &encoding)?));
        }
        if rng.chance(30) {
            let ty = feature_type(rng);
            // A second timestamp would make it a question which one is the question's time.
            if ty != FeatureType::Timestamp {
                let values: Vec<Value> = (0..rows).map(|_| value(rng, &ty)).collect();
                columns.push(("at home".into(), build(&ty, &values)?));
            }
        }
        if columns.is_empty() {
            columns.push(("number".into(), Arc::new(Int32Array::from(vec![0; rows]))));
        }
        rng.shuffle(&mut columns);
        let questions = batch(columns, rows)?;
        // Asked twice in places that are not next to each other: answered twice.
        if rows > 0 && rng.chance(30) {
            let twice = arrow::compute::concat_batches(&questions.schema(), [&questions, &questions])?;
            return Ok(twice);
        }
        Ok(questions)
    }
}

fn beside(rng: &mut Rng, nanos: &TimestampNanosecondArray) -> ArrayRef {
    let zone = nanos.timezone().map(Arc::from);
    let moved = nanos.iter().map(|time| time.map(|time| time.saturating_add(*rng.pick(&[0, 0, 1, -1, 999]))));
    Arc::new(moved.collect::<TimestampNanosecondArray>().with_timezone_opt::<Arc<str>>(zone))
}

fn is_distinct(names: &[String]) -> bool {
    names.iter().enumerate().all(|(i, name)| !names[..i].contains(name))
}

fn batch(columns: Vec<(String, ArrayRef)>, rows: usize) -> Result<RecordBatch, Failed> {
    let fields = columns.iter().map(|(name, array)| ArrowField::new(name, array.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns.into_iter().map(|(_, array)| array).collect(), &options)?)
}
