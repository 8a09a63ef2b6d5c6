//! The feature store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lodestore::core::Error;
use lodestore::core::definition::{Definitions, ObjectId};
use lodestore::core::document::Document;
use lodestore::core::name::ViewRef;
use lodestore::core::offline::{HistoricalOptions, RunReport};
use lodestore::core::registry::SavedDataset;
use lodestore::core::request::ColumnNames;
use lodestore::core::time::EventTime;
use lodestore::{
    AskedFeatures, Defaults, Existing, FeatureStore, Features, HistoricalQuestions, Interval, OpenOptions, PlanOptions,
    Report, Scope, load_repo,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString, PyTuple};
use serde_json::{Value, json};

use crate::arrow_stream::PyArrowTable;
use crate::error::Result;
use crate::job::PyRetrievalJob;
use crate::plan::PyPlan;
use crate::progress::Line;
use crate::response::{PyOnlinePlan, PyOnlineResponse};
use crate::rows::{Declared, batch, frame, key_types, online_rows, view_types};
use crate::runtime::{run, wait, wait_if_needed};

/// How many plans are kept; beyond, all are forgotten.
const MOST_PLANS: usize = 256;

/// Reading so few rows takes less time than to give other threads of Python their turn.
const FEW_ROWS: usize = 100;

#[pyclass(name = "FeatureStore", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyFeatureStore {
    store: Arc<FeatureStore>,
    /// Plans by the tuple of features, or the service, and whether names are full: Python knows the hashes of its
    /// texts, which takes a fraction of reading them.
    plans: Py<PyDict>,
}

#[pymethods]
impl PyFeatureStore {
    #[staticmethod]
    fn open(
        py: Python<'_>,
        repo_path: Option<PathBuf>,
        settings_file: Option<PathBuf>,
        settings: Option<String>,
        now_us: Option<i64>,
    ) -> Result<Self> {
        let now = now_us.map(EventTime::from_micros);
        let options = OpenOptions { repo_path, settings_file, settings_text: settings, now };
        let store = Arc::new(py.detach(|| FeatureStore::open(&options))?);
        if store.memory_limit().is_some() {
            lodestore_allocator::give_back_at_once();
        }
        Ok(Self { store, plans: PyDict::new(py).unbind() })
    }

    #[getter]
    fn project(&self) -> &str {
        self.store.project().as_str()
    }

    fn refresh(&self, py: Python<'_>) -> Result<()> {
        wait(py, self.store.snapshot()).map(|_| ())
    }

    fn plan(
        &self,
        py: Python<'_>,
        document: Option<&str>,
        delete: Vec<(String, String)>,
        force: bool,
    ) -> Result<PyPlan> {
        let (wanted, scope) = match document {
            Some(text) => {
                let id = |(kind, name): (String, String)| Ok(ObjectId::new(kind.parse()?, name));
                let remove = delete.into_iter().map(id).collect::<lodestore::core::Result<_>>()?;
                (Document::parse_json(text, "definitions")?.into_definitions()?, Scope::Subset { remove })
            }
            None => (self.repo(py)?, Scope::Everything),
        };
        let change = wait(py, self.store.plan(wanted, PlanOptions { scope, force }))?;
        Ok(PyPlan(change))
    }

    fn apply(&self, py: Python<'_>, plan: &PyPlan) -> Result<()> {
        wait(py, self.store.apply(&plan.0.plan)).map(|_| ())
    }

    fn keep_frame(&self, source: &str, rows: &Bound<'_, PyAny>) -> Result<()> {
        let rows = frame(rows, &Declared::Nothing)?;
        self.store.keep_frame(source, rows.schema, rows.batches);
        Ok(())
    }

    fn teardown(&self, py: Python<'_>) -> Result<()> {
        wait(py, self.store.teardown())
    }

    fn definitions(&self, py: Python<'_>) -> Result<String> {
        document_json(&wait(py, self.store.snapshot())?.definitions)
    }

    fn definition(&self, py: Python<'_>, kind: &str, name: &str) -> Result<String> {
        let snapshot = wait(py, self.store.snapshot())?;
        document_json(&snapshot.definitions.with_references(&ObjectId::new(kind.parse()?, name))?)
    }

    fn feature_view_versions(&self, py: Python<'_>, name: &str) -> Result<String> {
        let snapshot = wait(py, self.store.snapshot())?;
        let reference = ViewRef { name: name.parse()?, version: None };
        let current = snapshot.view(&reference)?.number;
        let versions = snapshot.views.get(name).into_iter().flat_map(|history| history.versions.values());
        let versions = versions.map(|version| {
            Ok(json!({
                "version": version.number,
                "hash": version.hash()?,
                "created_at_us": version.created_at.as_micros(),
                "current": version.number == current,
            }))
        });
        Ok(Value::Array(versions.collect::<Result<_>>()?).to_string())
    }

    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "the interface of the Python layer"
    )]
    fn historical_features(
        &self,
        py: Python<'_>,
        questions: Option<&Bound<'_, PyAny>>,
        features: &Bound<'_, PyAny>,
        full_feature_names: bool,
        start_us: Option<i64>,
        end_us: Option<i64>,
        as_known: bool,
        use_defaults: bool,
    ) -> Result<PyRetrievalJob> {
        let asked = wanted_features(features)?;
        let request = wait(py, self.store.historical_request(&asked, names(full_feature_names)))?;
        let interval = start_us.is_some() || end_us.is_some();
        let questions = match questions {
            Some(_) if interval => {
                return Err(Error::invalid("give entity_df, or start_date and end_date, not both").into());
            }
            Some(sql) if sql.is_instance_of::<PyString>() => HistoricalQuestions::Sql(sql.extract()?),
            Some(file) if file.hasattr("__fspath__")? => HistoricalQuestions::File(file.extract()?),
            Some(rows) => {
                let rows = frame(rows, &Declared::Types(key_types(&request)))?;
                HistoricalQuestions::Frame { schema: rows.schema, rows: rows.batches }
            }
            None if !interval => {
                return Err(Error::invalid("give entity_df, or start_date and end_date").into());
            }
            None => HistoricalQuestions::Interval {
                start: start_us.map(EventTime::from_micros),
                end: end_us.map(EventTime::from_micros),
            },
        };
        let options = HistoricalOptions { as_known, use_defaults };
        let store = Arc::clone(&self.store);
        let planned = async move { store.historical_features(request, questions, options).await };
        Ok(PyRetrievalJob(run(py, &RunReport::default(), planned)?))
    }

    fn create_saved_dataset(
        &self,
        py: Python<'_>,
        job: &PyRetrievalJob,
        name: &str,
        path: &str,
        tags: BTreeMap<String, String>,
        overwrite: bool,
    ) -> Result<String> {
        let existing = if overwrite { Existing::Replace } else { Existing::Keep };
        let (store, job, name, path) = (Arc::clone(&self.store), job.0.clone(), name.parse()?, path.to_owned());
        let saved = async move { store.create_saved_dataset(&job, name, &path, tags, existing).await };
        Ok(dataset_json(&run(py, &RunReport::default(), saved)?).to_string())
    }

    fn saved_datasets(&self, py: Python<'_>) -> Result<String> {
        let snapshot = wait(py, self.store.snapshot())?;
        Ok(Value::Array(snapshot.datasets.values().map(dataset_json).collect()).to_string())
    }

    fn saved_dataset(&self, py: Python<'_>, name: &str) -> Result<String> {
        Ok(dataset_json(&wait(py, self.store.saved_dataset(&name.parse()?))?).to_string())
    }

    fn read_saved_dataset(&self, py: Python<'_>, name: &str) -> Result<PyArrowTable> {
        wait(py, self.store.read_saved_dataset(&name.parse()?)).map(PyArrowTable)
    }

    fn materialize(
        &self,
        py: Python<'_>,
        start_us: i64,
        end_us: i64,
        feature_views: Option<Vec<String>>,
        progress: Option<bool>,
    ) -> Result<String> {
        let (start, until) = (EventTime::from_micros(start_us), EventTime::from_micros(end_us));
        self.run_materialize(py, Interval::Between { start, until }, feature_views, progress)
    }

    fn materialize_incremental(
        &self,
        py: Python<'_>,
        end_us: i64,
        feature_views: Option<Vec<String>>,
        progress: Option<bool>,
    ) -> Result<String> {
        self.run_materialize(py, Interval::Since { until: EventTime::from_micros(end_us) }, feature_views, progress)
    }

    fn online_features(
        &self,
        py: Python<'_>,
        features: &Bound<'_, PyAny>,
        rows: &Bound<'_, PyAny>,
        full_feature_names: bool,
        use_defaults: bool,
    ) -> Result<PyOnlineResponse> {
        let plan = self.online_plan(py, features, full_feature_names)?;
        let rows = online_rows(rows, plan.get())?;
        let defaults = if use_defaults { Defaults::ForMissing } else { Defaults::None };
        let is_short = rows.num_rows() <= FEW_ROWS;
        let answer = self.store.online_features(&plan.get().plan, rows, defaults);
        let answer = if is_short { wait_if_needed(py, answer) } else { wait(py, answer) };
        Ok(PyOnlineResponse { answer: answer?, plan: plan.unbind() })
    }

    fn push(&self, py: Python<'_>, push_source: &str, rows: &Bound<'_, PyAny>, to: &str) -> Result<()> {
        if to != "online" {
            return Err(Error::unsupported(format!(
                "pushing to '{to}' is not supported: only to 'online'; write history to the batch source's files"
            ))
            .into());
        }
        let source = push_source.parse()?;
        let views = wait(py, self.store.pushed_views(&source))?;
        let declared = views.iter().flat_map(|view| view_types(view)).collect();
        let rows = batch(rows, &Declared::Types(declared))?;
        wait(py, self.store.push(&source, &rows)).map(|_| ())
    }

    fn write_online(&self, py: Python<'_>, feature_view: &str, rows: &Bound<'_, PyAny>) -> Result<()> {
        let (name, rows) = self.rows_of_view(py, feature_view, rows)?;
        wait(py, self.store.write_to_online_store(&name, &rows)).map(|_| ())
    }

    fn delete_online(&self, py: Python<'_>, feature_view: &str, rows: &Bound<'_, PyAny>) -> Result<()> {
        let (name, rows) = self.rows_of_view(py, feature_view, rows)?;
        wait(py, self.store.delete_from_online_store(&name, &rows))
    }
}

impl PyFeatureStore {
    /// Returns the plan of an online request, prepared again when the registry changed.
    fn online_plan<'py>(
        &self,
        py: Python<'py>,
        features: &Bound<'py, PyAny>,
        full: bool,
    ) -> Result<Bound<'py, PyOnlinePlan>> {
        let key = (features, full).into_pyobject(py)?;
        let plans = self.plans.bind(py);
        if let Some(known) = plans.get_item(&key)? {
            let known = known.cast_into::<PyOnlinePlan>().map_err(PyErr::from)?;
            if self.store.is_current(&known.get().plan) {
                return Ok(known);
            }
        }
        let prepared = match features.cast::<PyTuple>() {
            Ok(asked) => {
                let refs = asked.iter().map(|item| item.extract::<PyBackedStr>()).collect::<PyResult<Vec<_>>>()?;
                let refs: Vec<&str> = refs.iter().map(|text| &**text).collect();
                wait_if_needed(py, self.store.online_plan(AskedFeatures::Refs(&refs), names(full)))?
            }
            Err(_) => {
                let service = features.extract::<PyBackedStr>()?;
                wait_if_needed(py, self.store.online_plan(AskedFeatures::Service(&service), names(full)))?
            }
        };
        let plan = Bound::new(py, PyOnlinePlan::new(py, prepared)?)?;
        if plans.len() >= MOST_PLANS {
            plans.clear();
        }
        plans.set_item(key, &plan)?;
        Ok(plan)
    }

    fn repo(&self, py: Python<'_>) -> Result<Definitions> {
        let python: PathBuf = py.import("sys")?.getattr("executable")?.extract()?;
        Ok(py.detach(|| load_repo(self.store.repo(), Some(Path::new(&python))))?.definitions)
    }

    fn rows_of_view(
        &self,
        py: Python<'_>,
        view: &str,
        rows: &Bound<'_, PyAny>,
    ) -> Result<(lodestore::core::name::ViewName, arrow::array::RecordBatch)> {
        let reference = ViewRef { name: view.parse()?, version: None };
        let version = wait(py, self.store.feature_view(&reference))?;
        Ok((reference.name, batch(rows, &Declared::Types(view_types(&version)))?))
    }

    fn run_materialize(
        &self,
        py: Python<'_>,
        interval: Interval,
        feature_views: Option<Vec<String>>,
        progress: Option<bool>,
    ) -> Result<String> {
        let views = feature_views.unwrap_or_default();
        let views = views.iter().map(|view| view.parse()).collect::<lodestore::core::Result<Vec<ViewRef>>>()?;
        let line = Line::new(progress);
        let mut reports = Vec::new();
        for version in wait(py, self.store.materializable(&views))? {
            let report = wait(py, self.store.materialize(version, interval, &line));
            line.clear();
            reports.push(report_json(&report?));
        }
        Ok(Value::Array(reports).to_string())
    }
}

fn names(full: bool) -> ColumnNames {
    if full { ColumnNames::ViewAndFeature } else { ColumnNames::Feature }
}

fn wanted_features(features: &Bound<'_, PyAny>) -> Result<Features> {
    match features.cast::<PyTuple>() {
        Ok(asked) => {
            let refs = asked.iter().map(|item| item.extract::<String>()).collect::<PyResult<Vec<_>>>()?;
            Ok(Features::parse(&refs)?)
        }
        Err(_) => Ok(Features::Service(features.extract::<String>()?.parse()?)),
    }
}

fn document_json(definitions: &Definitions) -> Result<String> {
    let document = Document::from_definitions(definitions);
    Ok(serde_json::to_string(&document).map_err(|e| Error::internal("writing definitions as json").with_source(e))?)
}

fn dataset_json(dataset: &SavedDataset) -> Value {
    json!({
        "name": dataset.name.as_str(),
        "path": dataset.path,
        "created_at_us": dataset.created_at.as_micros(),
        "rows": dataset.rows,
        "features": dataset.features,
        "plan": dataset.plan,
        "fingerprints": dataset.fingerprints,
        "tags": dataset.tags,
    })
}

fn report_json(report: &Report) -> Value {
    json!({
        "view": report.view,
        "start_us": report.start.map(EventTime::as_micros),
        "until_us": report.until.as_micros(),
        "rows_read": report.rows_read,
        "rows_written": report.rows_written,
        "rows_skipped": report.rows_skipped,
        "rows_refused": report.rows_refused,
        "refused": report.refused,
        "refused_file": report.refused_file,
        "seconds": report.seconds,
    })
}
