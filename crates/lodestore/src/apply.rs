//! Plan and apply.

use std::sync::Arc;

use lodestore_core::definition::{Definitions, ObjectId, ViewVersion};
use lodestore_core::name::unknown;
use lodestore_core::registry::{ApplyRecord, Mutation, Snapshot};
use lodestore_core::{Error, ErrorKind, Result};
use lodestore_registry::plan::{Effect, Step};
use lodestore_registry::{Plan, PlanOptions, Scope};

use crate::infer::{infer, left_without_key_types};
use crate::store::FeatureStore;

/// A plan, and what its author should know besides.
#[derive(Debug, Clone)]
pub struct PlannedChange {
    /// What an apply would change.
    pub plan: Plan,
    /// Things that are not wrong yet, such as a source without files.
    pub warnings: Vec<String>,
}

impl FeatureStore {
    /// Plans a change of the registry. Schemas and key types that are left out are inferred from the
    /// sources, and declared ones are checked against them where the sources can be read.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` for definitions that don't fit together or don't fit their sources.
    pub async fn plan(&self, mut wanted: Definitions, options: PlanOptions) -> Result<PlannedChange> {
        let current = self.snapshot().await?;
        if let Scope::Subset { remove } = &options.scope {
            remove.iter().try_for_each(|id| check_registered(&current, id))?;
        }
        let mut merged = Definitions::default();
        if options.scope != Scope::Everything {
            merged = current.definitions.clone();
        }
        merged.overlay(&wanted);
        wanted.feature_views.extend(left_without_key_types(&wanted, &merged));
        infer(self.components.engine.as_ref(), &mut wanted, &merged).await?;
        let plan = lodestore_registry::plan(&current, &wanted, &options, self.components.clock.now())?;
        let warnings = self.check_sources(&plan).await?;
        Ok(PlannedChange { plan, warnings })
    }

    /// Checks definitions on their own, whatever is registered, and the sources of all their views.
    /// Returns what is wrong with the sources, each view by itself.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` for definitions that don't fit together, or a source that can't be read
    /// although its view takes its schema from there.
    pub async fn validate(&self, mut wanted: Definitions) -> Result<Vec<Error>> {
        let all = wanted.clone();
        infer(self.components.engine.as_ref(), &mut wanted, &all).await?;
        wanted.check()?;
        let mut problems = Vec::new();
        for view in wanted.feature_views.values() {
            let version = wanted.resolve(view, self.components.clock.now(), 1)?;
            let Some(table) = &version.table else { continue };
            let checked = match self.components.engine.schema(table).await {
                Ok(columns) => version.check_columns(&columns),
                Err(error) => Err(error.with_context("view", &view.name)),
            };
            problems.extend(checked.err());
        }
        Ok(problems)
    }

    /// Applies a plan in one commit, then makes room online for new versions and drops the online
    /// rows of removed views.
    ///
    /// # Errors
    /// `Conflict` if somebody else applied since the plan was made; `Invalid` for a plan that drops
    /// what a feature service pins and was not forced.
    pub async fn apply(&self, plan: &Plan) -> Result<u64> {
        let now = self.components.clock.now();
        let revision = lodestore_registry::apply(self.components.registry.as_ref(), plan, &user(), now).await?;
        self.components.online.prepare(&plan.prepared_views()).await?;
        self.components.online.retire(&plan.retired_views()).await?;
        self.snapshot().await?;
        Ok(revision)
    }

    /// Returns the newest `limit` changes, the newest first.
    ///
    /// # Errors
    /// What the registry store says.
    pub async fn history(&self, limit: usize) -> Result<Vec<ApplyRecord>> {
        self.components.registry.history(&self.project, limit).await
    }

    /// Checks the columns of new versions against their sources; a source without files is a warning.
    async fn check_sources(&self, plan: &Plan) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for version in plan.steps.iter().filter_map(new_version) {
            let Some(table) = &version.table else { continue };
            match self.components.engine.schema(table).await {
                Ok(schema) => version.check_columns(&schema)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    warnings.push(format!("view '{}': {error}", version.reference()));
                }
                // The types of text are inferred from its rows, which may hold what is not read.
                Err(error) if !table.format.is_typed() && error.kind() == ErrorKind::Invalid => {
                    warnings.push(format!("view '{}': {error}", version.reference()));
                }
                Err(error) => return Err(error.with_context("view", version.reference())),
            }
        }
        Ok(warnings)
    }
}

/// Returns the view version that a step adds.
fn new_version(step: &Step) -> Option<&Arc<ViewVersion>> {
    let adds = step.effects.iter().any(|effect| matches!(effect, Effect::AddsVersion { .. }));
    match &step.mutation {
        Mutation::PutView(version) if adds => Some(version),
        _ => None,
    }
}

fn check_registered(snapshot: &Snapshot, id: &ObjectId) -> Result<()> {
    if snapshot.definitions.ids().any(|known| known == *id) {
        return Ok(());
    }
    let of_kind = snapshot.definitions.ids().filter(|known: &ObjectId| known.kind == id.kind);
    Err(unknown(id, &id.name, of_kind.map(|known| known.name)))
}

/// Returns who runs this process, as far as the environment says.
pub(crate) fn user() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}
