//! Plans: what an apply would change, as a value that prints before anything is done.

mod build;
mod diff;
mod json;
mod print;
mod references;

use std::sync::Arc;

use lodestore_core::definition::{ObjectId, ViewVersion};
use lodestore_core::name::{ProjectName, ServiceName, ViewName};
use lodestore_core::online::OnlineView;
use lodestore_core::registry::Mutation;

pub use build::plan;
pub use diff::FieldChange;

/// What the wanted definitions are measured against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything: what is stored but not wanted is removed.
    #[default]
    Everything,
    /// Only the wanted objects, and explicit removals; all else stays.
    Subset {
        /// What is removed.
        remove: Vec<ObjectId>,
    },
}

/// What a caller may choose about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanOptions {
    /// What the wanted definitions are measured against.
    pub scope: Scope,
    /// Whether what feature services pin may be dropped (rule N3). A service that would be left
    /// with a pin to a removed view is then removed too, and the plan says so.
    pub force: bool,
}

/// What an apply changes, in the order it changes it. `Display` prints it for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The project.
    pub project: ProjectName,
    /// The revision that the plan was made for; it can be applied to no other.
    pub base_revision: u64,
    /// What is created and updated, in the order of creation, then what is removed, in reverse.
    pub steps: Vec<Step>,
    blockers: Vec<Blocker>,
    prepared: Vec<Arc<ViewVersion>>,
    retired: Vec<Arc<ViewVersion>>,
}

/// The change of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The object.
    pub id: ObjectId,
    /// What is done with it.
    pub action: Action,
    /// What changes in its definition; every field for a created object, none for a removed one.
    pub changes: Vec<FieldChange>,
    /// What follows from it.
    pub effects: Vec<Effect>,
    /// The feature services that read what changes.
    pub consumers: Vec<Consumer>,
    /// What is committed.
    pub mutation: Mutation,
}

/// What a step does with its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Adds an object.
    Create,
    /// Changes an object.
    Update,
    /// Removes an object.
    Remove,
}

/// What follows from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The view gets a version, beside those it has (rules N1 and N2).
    AddsVersion {
        /// The new version's number.
        number: u32,
        /// The version that was the current one; `None` for a new view.
        beside: Option<u32>,
        /// Whether its online rows are to be materialized before it can be served.
        needs_materializing: bool,
    },
    /// The new version has all aggregations of another one, whose online rows serve it too: only what it has beyond them
    /// is to be materialized.
    SharesOnlineRows {
        /// The other version's number.
        with: u32,
    },
    /// The view's content is again that of an older version, which becomes the current one.
    ReturnsToVersion {
        /// The older version's number.
        number: u32,
        /// The version that was the current one.
        from: u32,
    },
    /// The definition changes within its version (rule N1).
    KeepsVersion {
        /// The version's number.
        number: u32,
    },
    /// The change comes from an object that the view refers to.
    FollowsFrom {
        /// That object.
        id: ObjectId,
    },
    /// A version that was not served online is from now on.
    OpensOnlineRows {
        /// The version's number.
        version: u32,
        /// Whether its online rows are to be materialized before it can be served.
        needs_materializing: bool,
    },
    /// The online rows of versions are dropped.
    DropsOnlineRows {
        /// The versions' numbers.
        versions: Vec<u32>,
    },
    /// The service pins a view that it did not read before (rule N2).
    ServicePins {
        /// The view.
        view: ViewName,
        /// The version it pins.
        version: u32,
    },
    /// The service reads another version of a view than before (rule N2).
    ServicePinsMove {
        /// The view.
        view: ViewName,
        /// The version it pinned.
        from: u32,
        /// The version it pins after the plan.
        to: u32,
    },
    /// The service is removed by force, since it reads a view that is removed (rule N3).
    ServiceLosesView {
        /// The view.
        view: ViewName,
    },
}

/// A feature service that reads what a step changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The service.
    pub service: ServiceName,
    /// Which version it reads after the plan, and why.
    pub reads: Reads,
}

/// Which version of a changed view a feature service reads after the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The very version that changes.
    Changed(u32),
    /// Another one than before, since the service is applied with the plan.
    MovesTo {
        /// The version it read.
        from: u32,
        /// The version it reads.
        to: u32,
    },
    /// The one it pinned, until the service is applied again.
    StaysOn(u32),
    /// The one that the service's definition names.
    Names(u32),
}

/// A pinned version that the plan would drop (rule N3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The feature service that pins it.
    pub service: ServiceName,
    /// The view.
    pub view: ViewName,
    /// The version.
    pub version: u32,
    /// What of it would be dropped.
    pub loss: Loss,
}

/// What of a pinned version a plan would drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it: the view is removed.
    View,
    /// Its online rows: the view is no longer served online.
    OnlineRows,
}

impl Plan {
    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns what keeps the plan from being applied: pinned versions that it would drop (rule N3).
    /// None for a plan that was forced.
    #[must_use]
    pub fn blockers(&self) -> &[Blocker] {
        &self.blockers
    }

    /// Returns how many steps do something.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.action == action).count()
    }

    /// Returns the view versions that the online store must have room for once the plan is applied.
    #[must_use]
    pub fn prepared_views(&self) -> Vec<OnlineView> {
        self.prepared.iter().map(|version| self.online_view(version)).collect()
    }

    /// Returns the view versions whose online rows go once the plan is applied.
    #[must_use]
    pub fn retired_views(&self) -> Vec<OnlineView> {
        self.retired.iter().map(|version| self.online_view(version)).collect()
    }

    fn online_view(&self, version: &Arc<ViewVersion>) -> OnlineView {
        OnlineView::new(self.project.clone(), Arc::clone(version))
    }
}
