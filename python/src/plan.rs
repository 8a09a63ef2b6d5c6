//! Plans.

use lodestore::PlannedChange;
use pyo3::prelude::*;

#[pyclass(name = "Plan", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyPlan(pub(crate) PlannedChange);

#[pymethods]
impl PyPlan {
    fn __str__(&self) -> String {
        let warnings = self.0.warnings.iter().map(|warning| format!("\nwarning: {warning}"));
        std::iter::once(self.0.plan.to_string().trim_end().to_owned()).chain(warnings).collect()
    }

    #[getter]
    fn is_empty(&self) -> bool {
        self.0.plan.is_empty()
    }

    fn to_json(&self) -> String {
        self.0.plan.to_json().to_string()
    }
}
