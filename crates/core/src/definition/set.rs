//! A set of definitions, checked as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::features::{check_fields, features};
use super::{DataSource, Entity, FeatureService, FeatureView, Key, Projection, PushSource, TableRef, ViewVersion};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{EntityName, ServiceName, SourceName, ViewName, unknown};
use crate::time::EventTime;
use crate::types::KeyType;

/// The kinds of objects that a registry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// An [`Entity`].
    Entity,
    /// A [`DataSource`].
    DataSource,
    /// A [`FeatureView`].
    FeatureView,
    /// A [`FeatureService`].
    FeatureService,
}

impl ObjectKind {
    /// Every kind, in the order in which objects are created.
    pub const ALL: [Self; 4] = [Self::Entity, Self::DataSource, Self::FeatureView, Self::FeatureService];
}

impl std::str::FromStr for ObjectKind {
    type Err = Error;

    /// Parses what `Display` prints, with spaces, hyphens or underscores, singular or plural.
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.replace(['-', '_'], " ").as_str() {
            "entity" | "entities" => Self::Entity,
            "data source" | "data sources" => Self::DataSource,
            "feature view" | "feature views" => Self::FeatureView,
            "feature service" | "feature services" => Self::FeatureService,
            _ => {
                return Err(Error::invalid(format!(
                    "unknown kind of object '{text}'; known: entity, data source, feature view, feature service"
                )));
            }
        })
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entity => "entity",
            Self::DataSource => "data source",
            Self::FeatureView => "feature view",
            Self::FeatureService => "feature service",
        })
    }
}

/// An object of a registry, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, unique within the kind.
    pub name: String,
}

impl ObjectId {
    /// Returns the id of an object.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl fmt::Display) -> Self {
        Self { kind, name: name.to_string() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind, self.name)
    }
}

/// Definitions by name. [`Definitions::check`] says whether they fit together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definitions {
    /// Entities.
    pub entities: BTreeMap<EntityName, Entity>,
    /// Data sources.
    pub data_sources: BTreeMap<SourceName, DataSource>,
    /// Feature views.
    pub feature_views: BTreeMap<ViewName, FeatureView>,
    /// Feature services.
    pub feature_services: BTreeMap<ServiceName, FeatureService>,
}

fn insert<N: Ord + fmt::Display, T>(map: &mut BTreeMap<N, T>, kind: ObjectKind, name: N, value: T) -> Result<()> {
    if map.contains_key(&name) {
        let message = format!("{kind} '{name}' is defined twice; names of one kind are unique in a project");
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    map.insert(name, value);
    Ok(())
}

fn copy<N: Ord + Clone + std::borrow::Borrow<str>, T: Clone>(from: &BTreeMap<N, T>, name: &str) -> Option<(N, T)> {
    from.get_key_value(name).map(|(name, value)| (name.clone(), value.clone()))
}

impl Definitions {
    /// Adds an entity.
    ///
    /// # Errors
    /// `AlreadyExists` if one of that name is there, `Invalid` if a join key is given twice.
    pub fn add_entity(&mut self, entity: Entity) -> Result<()> {
        let entity = entity.normalized()?;
        insert(&mut self.entities, ObjectKind::Entity, entity.name.clone(), entity)
    }

    /// Adds a data source.
    ///
    /// # Errors
    /// `AlreadyExists` if another one of that name is there. The same one again is no error: several
    /// views may bring it along.
    pub fn add_data_source(&mut self, source: DataSource) -> Result<()> {
        if self.data_sources.get(source.name()) == Some(&source) {
            return Ok(());
        }
        insert(&mut self.data_sources, ObjectKind::DataSource, source.name().clone(), source)
    }

    /// Adds a feature view.
    ///
    /// # Errors
    /// `AlreadyExists` if one of that name is there.
    pub fn add_feature_view(&mut self, view: FeatureView) -> Result<()> {
        insert(&mut self.feature_views, ObjectKind::FeatureView, view.name.clone(), view)
    }

    /// Adds a feature service.
    ///
    /// # Errors
    /// `AlreadyExists` if one of that name is there.
    pub fn add_feature_service(&mut self, service: FeatureService) -> Result<()> {
        insert(&mut self.feature_services, ObjectKind::FeatureService, service.name.clone(), service)
    }

    /// Returns the ids of all objects, by kind and name.
    pub fn ids(&self) -> impl Iterator<Item = ObjectId> {
        let entities = self.entities.keys().map(|n| ObjectId::new(ObjectKind::Entity, n));
        let sources = self.data_sources.keys().map(|n| ObjectId::new(ObjectKind::DataSource, n));
        let views = self.feature_views.keys().map(|n| ObjectId::new(ObjectKind::FeatureView, n));
        let services = self.feature_services.keys().map(|n| ObjectId::new(ObjectKind::FeatureService, n));
        entities.chain(sources).chain(views).chain(services)
    }

    /// Returns one object and those that it names, directly or not.
    ///
    /// # Errors
    /// `NotFound` if it is not in the set; it names near ones.
    pub fn with_references(&self, id: &ObjectId) -> Result<Self> {
        if !self.ids().any(|known| known == *id) {
            let of_kind = self.ids().filter(|known| known.kind == id.kind).map(|known| known.name);
            return Err(unknown(id, &id.name, of_kind));
        }
        let mut found = Self::default();
        self.copy_into(id, &mut found);
        Ok(found)
    }

    fn copy_into(&self, id: &ObjectId, found: &mut Self) {
        let name = id.name.as_str();
        let mut named = Vec::new();
        match id.kind {
            ObjectKind::Entity => found.entities.extend(copy(&self.entities, name)),
            ObjectKind::DataSource => {
                found.data_sources.extend(copy(&self.data_sources, name));
                if let Some(DataSource::Push(PushSource { batch_source: Some(batch), .. })) =
                    self.data_sources.get(name)
                {
                    named.push(ObjectId::new(ObjectKind::DataSource, batch));
                }
            }
            ObjectKind::FeatureView => {
                found.feature_views.extend(copy(&self.feature_views, name));
                if let Some(view) = self.feature_views.get(name) {
                    named.extend(view.entities.iter().map(|entity| ObjectId::new(ObjectKind::Entity, entity)));
                    named.push(ObjectId::new(ObjectKind::DataSource, &view.source));
                }
            }
            ObjectKind::FeatureService => {
                found.feature_services.extend(copy(&self.feature_services, name));
                if let Some(service) = self.feature_services.get(name) {
                    let views = service.features.iter().map(|projection| &projection.view.name);
                    named.extend(views.map(|view| ObjectId::new(ObjectKind::FeatureView, view)));
                }
            }
        }
        named.iter().for_each(|id| self.copy_into(id, found));
    }

    /// Removes an object; returns whether it was there.
    pub fn remove(&mut self, id: &ObjectId) -> bool {
        let name = id.name.as_str();
        match id.kind {
            ObjectKind::Entity => self.entities.remove(name).is_some(),
            ObjectKind::DataSource => self.data_sources.remove(name).is_some(),
            ObjectKind::FeatureView => self.feature_views.remove(name).is_some(),
            ObjectKind::FeatureService => self.feature_services.remove(name).is_some(),
        }
    }

    /// Replaces the objects that `other` has, and adds those that are new.
    pub fn overlay(&mut self, other: &Self) {
        self.entities.extend(other.entities.clone());
        self.data_sources.extend(other.data_sources.clone());
        self.feature_views.extend(other.feature_views.clone());
        self.feature_services.extend(other.feature_services.clone());
    }

    /// Checks that the definitions fit together and every view can be resolved.
    ///
    /// # Errors
    /// `Invalid` or `NotFound`, naming the object and what would be right.
    pub fn check(&self) -> Result<()> {
        for source in self.data_sources.values() {
            self.check_source(source)?;
        }
        let mut key_types = BTreeMap::new();
        for view in self.feature_views.values() {
            for key in self.resolve(view, EventTime::MIN, 1)?.keys {
                let same = |a: KeyType, b| a == b || (is_integer(a) && is_integer(b));
                match key_types.insert(key.name.clone(), (key.key_type, &view.name)) {
                    Some((other, first)) if !same(other, key.key_type) => {
                        return Err(Error::invalid(format!(
                            "join key '{}' is {other} in view '{first}' but {} in view '{}'; give its entity a type",
                            key.name, key.key_type, view.name
                        )));
                    }
                    _ => {}
                }
            }
        }
        self.feature_services.values().try_for_each(|service| self.check_service(service))
    }

    /// Returns a view with everything its values depend on, as version `number`.
    ///
    /// # Errors
    /// `NotFound` for an entity or source that is not defined, `Invalid` for what contradicts itself.
    pub fn resolve(&self, view: &FeatureView, created_at: EventTime, number: u32) -> Result<ViewVersion> {
        let in_view = |error: Error| error.with_context("view", &view.name);
        let keys = self.keys(view).map_err(in_view)?;
        let (table, push_source) = self.table(view).map_err(in_view)?;
        let features = features(view, &keys, table.as_ref()).map_err(in_view)?;
        let event_id = self.event_id(view);
        let definition = view.clone();
        let grown_from = None;
        let version =
            ViewVersion { number, created_at, definition, keys, features, table, push_source, event_id, grown_from };
        if version.is_timeless() && version.ttl().is_some() {
            return Err(in_view(Error::invalid(format!(
                "view '{}' has a ttl but source '{}' has no timestamp_field to count it from",
                view.name, view.source
            ))));
        }
        Ok(version)
    }

    fn check_source(&self, source: &DataSource) -> Result<()> {
        match source {
            DataSource::File(_) | DataSource::Postgres(_) | DataSource::Memory(_) => source.table().map(|_| ()),
            DataSource::Push(push) => match &push.batch_source {
                Some(batch) if push.event_id.is_some() => Err(Error::invalid(format!(
                    "push source '{}' has an event_id, which its batch source '{batch}' tells; give it there",
                    push.name
                ))),
                Some(batch) => self.batch_table(batch).map(|_| ()),
                None => Ok(()),
            },
            DataSource::Request(request) => check_fields(&request.schema),
        }
    }

    fn source(&self, name: &SourceName) -> Result<&DataSource> {
        self.data_sources.get(name).ok_or_else(|| {
            unknown(format!("data source '{name}'"), name.as_str(), self.data_sources.keys().map(SourceName::as_str))
        })
    }

    fn batch_table(&self, name: &SourceName) -> Result<TableRef> {
        let table = self.source(name)?.table()?;
        table.ok_or_else(|| Error::invalid(format!("batch source '{name}' must be a source with history of its own")))
    }

    fn table(&self, view: &FeatureView) -> Result<(Option<TableRef>, Option<SourceName>)> {
        match self.source(&view.source)? {
            source @ (DataSource::File(_) | DataSource::Postgres(_) | DataSource::Memory(_)) => {
                Ok((source.table()?, None))
            }
            DataSource::Push(push) => {
                let batch = push.batch_source.as_ref().map(|batch| self.batch_table(batch)).transpose()?;
                Ok((batch, Some(push.name.clone())))
            }
            DataSource::Request(request) => Err(Error::invalid(format!(
                "request source '{}' can't be the source of feature view '{}': its values come with each request",
                request.name, view.name
            ))),
        }
    }

    /// Returns the column that identifies an event of a view. Views without aggregations take no events.
    fn event_id(&self, view: &FeatureView) -> Option<String> {
        let source = self.data_sources.get(&view.source).filter(|_| view.is_aggregated())?;
        let source = match source {
            DataSource::Push(PushSource { batch_source: Some(batch), .. }) => self.data_sources.get(batch)?,
            other => other,
        };
        source.event_id().map(str::to_owned)
    }

    fn keys(&self, view: &FeatureView) -> Result<Vec<Key>> {
        let mut keys = BTreeMap::new();
        for name in &view.entities {
            let entity = self.entities.get(name).ok_or_else(|| {
                let what = format!("entity '{name}' of view '{}'", view.name);
                unknown(what, name.as_str(), self.entities.keys().map(EntityName::as_str))
            })?;
            for key in &entity.join_keys {
                let field = view.schema.iter().find(|field| field.name == key.name.as_str());
                let from_field = field.map(|field| KeyType::try_from(&field.feature_type)).transpose()?;
                let key_type = match (key.key_type, from_field) {
                    (Some(declared), Some(field)) if declared != field => {
                        return Err(Error::invalid(format!(
                            "join key '{}' is {declared} in entity '{name}' but {field} in view '{}'",
                            key.name, view.name
                        )));
                    }
                    (Some(ty), _) | (None, Some(ty)) => ty,
                    (None, None) => {
                        return Err(Error::invalid(format!(
                            "join key '{}' of entity '{name}' has no type; give it in the entity or as a field of view '{}'",
                            key.name, view.name
                        )));
                    }
                };
                if keys.insert(key.name.clone(), Key { name: key.name.clone(), key_type }).is_some() {
                    return Err(Error::invalid(format!(
                        "join key '{}' belongs to two entities of view '{}'",
                        key.name, view.name
                    )));
                }
            }
        }
        Ok(keys.into_values().collect())
    }

    fn check_service(&self, service: &FeatureService) -> Result<()> {
        let in_service = |error: Error| error.with_context("feature service", &service.name);
        if service.features.is_empty() {
            return Err(in_service(Error::invalid(format!("feature service '{}' has no features", service.name))));
        }
        let mut seen = BTreeSet::new();
        for projection in &service.features {
            self.check_projection(projection).map_err(in_service)?;
            let features = projection.features.iter().flatten().map(|f| Some(f.clone()));
            let features = if projection.features.is_some() { features.collect() } else { vec![None] };
            for feature in features {
                if !seen.insert((projection.shown_name(), feature.clone())) {
                    let shown = feature.map_or_else(String::new, |f| format!(":{f}"));
                    return Err(in_service(Error::invalid(format!(
                        "'{}{shown}' is given twice in feature service '{}'; an alias tells two uses of a view apart",
                        projection.shown_name(),
                        service.name
                    ))));
                }
            }
        }
        Ok(())
    }

    fn check_projection(&self, projection: &Projection) -> Result<()> {
        let name = &projection.view.name;
        let view = self.feature_views.get(name).ok_or_else(|| {
            unknown(format!("feature view '{name}'"), name.as_str(), self.feature_views.keys().map(ViewName::as_str))
        })?;
        if projection.view.version.is_some() {
            // Another version may have other features and keys: the plan checks it where it is known.
            return Ok(());
        }
        let version = self.resolve(view, EventTime::MIN, 1)?;
        for feature in projection.features.iter().flatten() {
            version.feature_index(feature)?;
        }
        for key in projection.join_key_map.keys() {
            if !version.keys.iter().any(|known| known.name == *key) {
                let what = format!("join key '{key}' in the join_key_map of view '{name}'");
                return Err(unknown(what, key.as_str(), version.keys.iter().map(|k| k.name.as_str())));
            }
        }
        Ok(())
    }
}

fn is_integer(ty: KeyType) -> bool {
    matches!(ty, KeyType::Int32 | KeyType::Int64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    const GOOD: &str = "
version: 1
entities:
  - {name: driver, join_keys: [driver_id]}
data_sources:
  - {type: file, name: stats, path: stats.parquet, timestamp_field: at}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: stats
    schema: [{name: driver_id, type: int64}, {name: trips, type: int32, default: 0}]
feature_services:
  - {name: model, features: ['driver_stats:trips']}
";

    fn definitions(text: &str) -> Result<Definitions> {
        let definitions = Document::parse_yaml(text, "test.yaml")?.into_definitions()?;
        definitions.check()?;
        Ok(definitions)
    }

    /// Replaces one text by another in the good definitions and returns the error.
    fn check_error(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from));
        let error = definitions(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}\n does not contain\n{expected}");
    }

    #[test]
    fn a_field_that_names_a_join_key_gives_its_type() -> Result<()> {
        let definitions = definitions(GOOD)?;
        let view = &definitions.feature_views["driver_stats"];
        let version = definitions.resolve(view, EventTime::MIN, 1)?;
        assert_eq!(version.keys, [Key { name: "driver_id".parse()?, key_type: KeyType::Int64 }]);
        assert_eq!(version.features.len(), 1);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        check_error(
            "entities: [driver]",
            "entities: [drivr]",
            "unknown entity 'drivr' of view 'driver_stats'; did you",
        );
        check_error("source: stats", "source: stat", "unknown data source 'stat'; did you mean 'stats'?");
        check_error(
            "driver_stats:trips",
            "driver_stats:trip",
            "unknown feature 'trip' in view 'driver_stats'; did you",
        );
        check_error("{name: driver_id, type: int64}, ", "", "join key 'driver_id' of entity 'driver' has no type");
        check_error("type: int64", "type: float64", "float64 can't be the type of a join key");
        check_error("default: 0", "default: x", "the default of field 'trips' is wrong");
        check_error("entities: [driver]", "ttl: 1d\n    entities: [driver]\n    nope: 1", "unknown field");
        check_error("stats.parquet", "stats.xls", "the ending '.xls' of \"stats.xls\" tells no format");
        check_error(
            "timestamp_field: at",
            "availability_delay: 1h",
            "has an availability_delay but no timestamp_field",
        );
        check_error("timestamp_field: at", "valid_to: b", "has valid_to but not valid_from");
        check_error("['driver_stats:trips']", "[]", "feature service 'model' has no features");
        check_error("['driver_stats:trips']", "[driver_stats, driver_stats]", "is given twice in feature service");
    }

    #[test]
    fn t5_a_timeless_source_has_no_ttl() {
        let timeless = GOOD.replace(", timestamp_field: at", "");
        assert!(definitions(&timeless).is_ok());
        let error = definitions(&timeless.replace("source: stats", "source: stats\n    ttl: 1d")).unwrap_err();
        assert!(error.message().contains("has a ttl but source 'stats' has no timestamp_field"), "{error}");
    }

    #[test]
    fn n1_words_and_ttl_leave_the_hash_alone_and_content_changes_it() -> Result<()> {
        let hash = |text: &str| {
            let definitions = definitions(text)?;
            definitions.resolve(&definitions.feature_views["driver_stats"], EventTime::MIN, 7)?.hash()
        };
        let before = hash(GOOD)?;
        for same in [
            GOOD.replace("source: stats", "source: stats\n    ttl: 1d\n    owner: me\n    description: words"),
            GOOD.replace("name: stats, path", "name: stats, description: words, path"),
        ] {
            assert_eq!(hash(&same)?, before);
        }
        for (from, to) in [
            ("type: int32", "type: int64"),
            ("path: stats.parquet", "path: other.parquet"),
            ("timestamp_field: at", "timestamp_field: at, availability_delay: 1d"),
            ("default: 0", "default: 1"),
            ("type: int64}", "type: string}"),
        ] {
            assert_ne!(hash(&GOOD.replace(from, to))?, before, "{from} -> {to}");
        }
        Ok(())
    }
}
