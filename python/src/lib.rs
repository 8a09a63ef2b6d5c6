//! The extension module `lodestore._lodestore`: conversions around the facade, nothing else.
//!
//! The interface is described in `_lodestore.pyi`; the Python layer above it is what users see.

#![allow(missing_docs, reason = "the interface is documented where Python looks for it: _lodestore.pyi")]

mod arrow_stream;
mod convert;
mod error;
mod job;
mod plan;
mod progress;
mod response;
mod rows;
mod runtime;
mod store;

use pyo3::prelude::*;

#[pymodule]
fn _lodestore(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<store::PyFeatureStore>()?;
    module.add_class::<plan::PyPlan>()?;
    module.add_class::<job::PyRetrievalJob>()?;
    module.add_class::<response::PyOnlineResponse>()?;
    module.add_class::<arrow_stream::PyRecordBatches>()?;
    module.add_class::<arrow_stream::PyArrowTable>()
}
