//! Making a plan: what is wanted is merged with what is stored, checked, and compared object by object.

use std::collections::BTreeSet;
use std::sync::Arc;

use lodestore_core::definition::{Definitions, FeatureService, FeatureView, ObjectId, ObjectKind, ViewVersion};
use lodestore_core::document::Document;
use lodestore_core::name::{ServiceName, ViewName, unknown};
use lodestore_core::registry::{Mutation, Snapshot, ViewHistory};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};
use serde_json::Value;

use super::references::{check_unused, names_version, pins, uses, versions_read};
use super::{Action, Blocker, Consumer, Effect, Loss, Plan, PlanOptions, Reads, Scope, Step, diff};

/// Returns what it takes to get from the present state to the wanted definitions. A new version is
/// created at `now`.
///
/// # Behavior
/// - A view gets a version when its content hash changes, also where only an entity or data source it
///   refers to changed; it returns to an older version of the same hash (rules N1 and N2).
/// - Feature services among the wanted definitions pin the versions current after the plan. Others
///   keep their pins and are not checked against newer versions (rule N2).
/// - What would drop a pinned version is a [blocker](Plan::blockers), or forced (rule N3).
///
/// # Errors
/// `Invalid` or `NotFound` if the definitions after the plan do not fit together, if what remains
/// uses an object that is removed, or for a removal of something unknown.
pub fn plan(current: &Snapshot, wanted: &Definitions, options: &PlanOptions, now: EventTime) -> Result<Plan> {
    let wanted = as_stored(wanted)?;
    let merged = merge(current, &wanted, &options.scope)?;
    let stays: BTreeSet<ObjectId> = merged.ids().collect();
    let removed: BTreeSet<ObjectId> = current.definitions.ids().filter(|id| !stays.contains(id)).collect();
    check_unused(&merged, &removed)?;
    check(&merged, &wanted)?;

    let mut planning = Planning { current, wanted: &wanted, merged, now, after: current.clone(), steps: Vec::new() };
    planning.put_entities_and_sources()?;
    planning.put_views()?;
    planning.put_services()?;
    let mut blockers = planning.services_left_without_a_view(&removed);
    let forced = if options.force { std::mem::take(&mut blockers) } else { Vec::new() };
    planning.remove(removed, &forced);
    let prepared = planning.prepared_rows()?;
    let (retired, lost) = planning.dropped_rows();
    if !options.force {
        blockers.extend(lost);
    }
    for i in 0..planning.steps.len() {
        planning.steps[i].consumers = planning.consumers(&planning.steps[i]);
    }
    Ok(Plan {
        project: current.project.clone(),
        base_revision: current.revision,
        steps: planning.steps,
        blockers,
        prepared,
        retired,
    })
}

/// Returns definitions as a later load will give them, so that a plan right after an apply is empty.
/// A default of null, for one, is stored as no default.
fn as_stored(definitions: &Definitions) -> Result<Definitions> {
    let form = diff::form(&Document::from_definitions(definitions))?;
    let document: Document = serde_json::from_value(form)
        .map_err(|e| Error::invalid(format!("the definitions can't be stored: {e}")).with_source(e))?;
    document.into_definitions()
}

/// Returns the definitions after the plan.
fn merge(current: &Snapshot, wanted: &Definitions, scope: &Scope) -> Result<Definitions> {
    let Scope::Subset { remove } = scope else { return Ok(wanted.clone()) };
    let mut merged = current.definitions.clone();
    let given: BTreeSet<ObjectId> = wanted.ids().collect();
    for id in remove.iter().collect::<BTreeSet<_>>() {
        if given.contains(id) {
            return Err(Error::invalid(format!("{id} is both wanted and to be removed; give it once")));
        }
        if !merged.remove(id) {
            let known = current.definitions.ids().filter(|known| known.kind == id.kind).map(|known| known.name);
            return Err(unknown(id, &id.name, known));
        }
    }
    merged.overlay(wanted);
    Ok(merged)
}

/// Checks the definitions after the plan. Services that keep their pins are left out: they go on
/// reading versions that may have what the current ones no longer have.
fn check(merged: &Definitions, wanted: &Definitions) -> Result<()> {
    let mut checked = merged.clone();
    checked.feature_services.retain(|name, _| wanted.feature_services.contains_key(name));
    checked.check()
}

struct Planning<'a> {
    current: &'a Snapshot,
    wanted: &'a Definitions,
    merged: Definitions,
    now: EventTime,
    /// The state after the steps so far.
    after: Snapshot,
    steps: Vec<Step>,
}

impl Planning<'_> {
    fn push(&mut self, id: ObjectId, forms: (Option<&Value>, &Value), effects: Vec<Effect>, mutation: Mutation) {
        let action = if forms.0.is_some() { Action::Update } else { Action::Create };
        self.after.apply(&mutation);
        let changes = diff::changes(forms.0, forms.1);
        self.steps.push(Step { id, action, changes, effects, consumers: Vec::new(), mutation });
    }

    fn put_entities_and_sources(&mut self) -> Result<()> {
        let current = self.current;
        for (name, entity) in self.merged.entities.clone() {
            let before = current.definitions.entities.get(&name).map(diff::form).transpose()?;
            let after = diff::form(&entity)?;
            if before.as_ref() != Some(&after) {
                let id = ObjectId::new(ObjectKind::Entity, name);
                self.push(id, (before.as_ref(), &after), Vec::new(), Mutation::PutEntity(entity));
            }
        }
        for (name, source) in self.merged.data_sources.clone() {
            let before = current.definitions.data_sources.get(&name).map(diff::form).transpose()?;
            let after = diff::form(&source)?;
            if before.as_ref() != Some(&after) {
                let id = ObjectId::new(ObjectKind::DataSource, name);
                self.push(id, (before.as_ref(), &after), Vec::new(), Mutation::PutDataSource(source));
            }
        }
        Ok(())
    }

    fn put_views(&mut self) -> Result<()> {
        let current = self.current;
        for (name, view) in self.merged.feature_views.clone() {
            let id = ObjectId::new(ObjectKind::FeatureView, &name);
            let after = diff::view_form(&view)?;
            let Some(history) = current.views.get(&name) else {
                let version = self.merged.resolve(&view, self.now, 1)?;
                let needs_materializing = needs_materializing(&version);
                let effects = vec![Effect::AddsVersion { number: 1, beside: None, needs_materializing }];
                self.push(id, (None, &after), effects, Mutation::PutView(Arc::new(version)));
                continue;
            };
            let before = diff::view_form(&current_version(history)?.definition)?;
            let (version, mut effects) = self.next_version(&view, history)?;
            let stays = effects == [Effect::KeepsVersion { number: version.number }];
            if stays && before == after {
                continue;
            }
            effects.extend(online_effect(history, &version));
            self.push(id, (Some(&before), &after), effects, Mutation::PutView(Arc::new(version)));
        }
        Ok(())
    }

    /// Returns the version that a view has after the plan, and how it came to it.
    fn next_version(&self, view: &FeatureView, history: &ViewHistory) -> Result<(ViewVersion, Vec<Effect>)> {
        let old = current_version(history)?;
        let mut version = self.merged.resolve(view, self.now, old.number)?;
        let hash = version.hash()?;
        if hash == old.hash()? {
            (version.created_at, version.grown_from) = (old.created_at, old.grown_from);
            let effects = vec![Effect::KeepsVersion { number: version.number }];
            return Ok((version, effects));
        }
        let mut same = None;
        for older in history.versions.values() {
            if older.hash()? == hash {
                same = Some(older);
            }
        }
        let from = old.number;
        let mut effects = Vec::new();
        if let Some(older) = same {
            (version.number, version.created_at) = (older.number, older.created_at);
            version.grown_from = older.grown_from;
            effects.push(Effect::ReturnsToVersion { number: older.number, from });
        } else {
            version.number = history.versions.keys().last().map_or(1, |last| last + 1);
            let needs_materializing = needs_materializing(&version);
            effects.push(Effect::AddsVersion { number: version.number, beside: Some(from), needs_materializing });
            version.grown_from = grown_from(&version, old, history);
            effects.extend(version.grown_from.map(|with| Effect::SharesOnlineRows { with }));
        }
        if (&version.table, &version.push_source, &version.keys) != (&old.table, &old.push_source, &old.keys) {
            let used = uses(&self.merged, view);
            let changed = self.steps.iter().filter(|step| step.action == Action::Update && used.contains(&step.id));
            effects.extend(changed.map(|step| Effect::FollowsFrom { id: step.id.clone() }));
        }
        Ok((version, effects))
    }

    fn put_services(&mut self) -> Result<()> {
        let current = self.current;
        for (name, service) in self.wanted.feature_services.clone() {
            let pins = pins(&self.after, &service)?;
            let before = current.definitions.feature_services.get(&name).map(diff::service_form).transpose()?;
            let after = diff::service_form(&service)?;
            let old_pins = current.pins.get(&name);
            if before.as_ref() == Some(&after) && old_pins == Some(&pins) {
                continue;
            }
            let effect = |(view, &to): (&ViewName, &u32)| match old_pins.and_then(|old| old.get(view)) {
                None => Some(Effect::ServicePins { view: view.clone(), version: to }),
                Some(&from) if from != to => Some(Effect::ServicePinsMove { view: view.clone(), from, to }),
                Some(_) => None,
            };
            let effects = pins.iter().filter_map(effect).collect();
            let id = ObjectId::new(ObjectKind::FeatureService, name);
            self.push(id, (before.as_ref(), &after), effects, Mutation::PutFeatureService(service, pins));
        }
        Ok(())
    }

    /// Returns, for the services that stay as they are, the pins to views that are removed.
    fn services_left_without_a_view(&self, removed: &BTreeSet<ObjectId>) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        for service in self.merged.feature_services.keys() {
            for (view, _) in self
                .current
                .views
                .iter()
                .filter(|(name, _)| removed.contains(&ObjectId::new(ObjectKind::FeatureView, name)))
            {
                let versions = versions_read(&self.after, service, view);
                blockers.extend(versions.into_iter().map(|version| Blocker {
                    service: service.clone(),
                    view: view.clone(),
                    version,
                    loss: Loss::View,
                }));
            }
        }
        blockers
    }

    /// Removes objects and, by force, the services that would be left without a view.
    fn remove(&mut self, mut removed: BTreeSet<ObjectId>, forced: &[Blocker]) {
        let service_id = |service: &ServiceName| ObjectId::new(ObjectKind::FeatureService, service);
        removed.extend(forced.iter().map(|blocker| service_id(&blocker.service)));
        for id in removed.into_iter().rev() {
            let mut effects: Vec<Effect> = Vec::new();
            for blocker in forced.iter().filter(|blocker| service_id(&blocker.service) == id) {
                let effect = Effect::ServiceLosesView { view: blocker.view.clone() };
                if !effects.contains(&effect) {
                    effects.push(effect);
                }
            }
            if id.kind == ObjectKind::FeatureView {
                let history = self.current.views.get(id.name.as_str());
                let versions: Vec<_> = online_versions(history).map(|version| version.number).collect();
                if !versions.is_empty() {
                    effects.push(Effect::DropsOnlineRows { versions });
                }
            }
            let mutation = Mutation::Remove(id.clone());
            self.after.apply(&mutation);
            let (changes, consumers) = (Vec::new(), Vec::new());
            self.steps.push(Step { id, action: Action::Remove, changes, effects, consumers, mutation });
        }
    }

    /// Returns the parts of versions that are served online after the plan and were put by it.
    fn prepared_rows(&self) -> Result<Vec<Arc<ViewVersion>>> {
        let put = self.steps.iter().filter_map(|step| match &step.mutation {
            Mutation::PutView(version) if version.definition.online => Some(self.after.parts(version)),
            _ => None,
        });
        Ok(put.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Returns the versions whose online rows are dropped, and the pins to those that stay as versions.
    fn dropped_rows(&self) -> (Vec<Arc<ViewVersion>>, Vec<Blocker>) {
        let (mut retired, mut blockers) = (Vec::new(), Vec::new());
        for step in &self.steps {
            let history = self.current.views.get(step.id.name.as_str());
            match &step.mutation {
                Mutation::Remove(id) if id.kind == ObjectKind::FeatureView => {
                    retired.extend(online_versions(history).cloned());
                }
                Mutation::PutView(version) if !version.definition.online => {
                    let dropped = online_versions(history).filter(|old| old.number == version.number);
                    for old in dropped {
                        retired.push(Arc::clone(old));
                        blockers.extend(self.readers_of_rows(version, history));
                    }
                }
                _ => {}
            }
        }
        (retired, blockers)
    }

    /// Returns the pins to a version and to those that share its online rows.
    fn readers_of_rows(&self, version: &ViewVersion, history: Option<&ViewHistory>) -> Vec<Blocker> {
        let mut pins = Vec::new();
        for service in self.after.definitions.feature_services.keys() {
            for read in versions_read(&self.after, service, version.name()) {
                let reads = |history: &ViewHistory| {
                    let read = history.versions.get(&read);
                    read.is_some_and(|read| sharing(read, history).any(|shared| shared.number == version.number))
                };
                if read == version.number || history.is_some_and(reads) {
                    let (service, view) = (service.clone(), version.name().clone());
                    pins.push(Blocker { service, view, version: read, loss: Loss::OnlineRows });
                }
            }
        }
        pins
    }

    /// Returns the services that read what a step changes, as they are after the whole plan.
    fn consumers(&self, step: &Step) -> Vec<Consumer> {
        if step.id.kind != ObjectKind::FeatureView || step.action == Action::Create {
            return Vec::new();
        }
        let services = self.after.definitions.feature_services.values();
        services.flat_map(|service| self.reads(step, service)).collect()
    }

    fn reads(&self, step: &Step, service: &FeatureService) -> Vec<Consumer> {
        let Some((view, _)) = self.current.views.get_key_value(step.id.name.as_str()) else { return Vec::new() };
        let before = versions_read(self.current, &service.name, view);
        let after = versions_read(&self.after, &service.name, view);
        let changed = match &step.mutation {
            Mutation::PutView(version) => Some(version.number),
            _ => None,
        };
        let in_place = changed.is_some_and(|number| step.effects.contains(&Effect::KeepsVersion { number }));
        let reads = after.iter().filter_map(|&version| {
            if changed.is_none_or(|number| number == version) {
                return match before.last() {
                    Some(&from) if !before.contains(&version) => Some(Reads::MovesTo { from, to: version }),
                    Some(_) => Some(Reads::Changed(version)),
                    // A service that begins to read the view says so itself.
                    None => None,
                };
            }
            let named = names_version(service, view, version);
            (!in_place).then_some(if named { Reads::Names(version) } else { Reads::StaysOn(version) })
        });
        reads.map(|reads| Consumer { service: service.name.clone(), reads }).collect()
    }
}

fn current_version(history: &ViewHistory) -> Result<&Arc<ViewVersion>> {
    history
        .versions
        .get(&history.current)
        .ok_or_else(|| Error::corrupt(format!("the registry lacks the current version {} of a view", history.current)))
}

fn online_versions(history: Option<&ViewHistory>) -> impl Iterator<Item = &Arc<ViewVersion>> {
    history.into_iter().flat_map(|h| h.versions.values()).filter(|version| version.definition.online)
}

/// Returns the version whose online rows a new one shares: the present one or one that it shares rows with itself, for
/// these are kept up to date.
fn grown_from(version: &ViewVersion, current: &ViewVersion, history: &ViewHistory) -> Option<u32> {
    sharing(current, history).find(|older| version.grows_from(older)).map(|older| older.number)
}

/// Returns a version, the one whose online rows it shares, the one whose rows that one shares, and so on.
fn sharing<'a>(version: &'a ViewVersion, history: &'a ViewHistory) -> impl Iterator<Item = &'a ViewVersion> {
    let older = |version: &&'a ViewVersion| Some(history.versions.get(&version.grown_from?)?.as_ref());
    std::iter::successors(Some(version), older)
}

fn needs_materializing(version: &ViewVersion) -> bool {
    // What is only pushed has no history to materialize from.
    version.definition.online && version.table.is_some()
}

/// Returns what happens to the online rows of a version whose definition is replaced.
fn online_effect(history: &ViewHistory, version: &ViewVersion) -> Option<Effect> {
    let replaced = history.versions.get(&version.number)?;
    let number = version.number;
    match (replaced.definition.online, version.definition.online) {
        (true, false) => Some(Effect::DropsOnlineRows { versions: vec![number] }),
        (false, true) => {
            Some(Effect::OpensOnlineRows { version: number, needs_materializing: needs_materializing(version) })
        }
        _ => None,
    }
}
