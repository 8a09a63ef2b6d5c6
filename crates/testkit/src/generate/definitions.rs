//! Random entities, sources and views.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use lodestore_core::definition::{DataSource, Entity, FeatureView, Field, FileSource, JoinKey};
use lodestore_core::types::{FeatureType, KeyType};

use super::Rng;
use super::retrieval::{Focus, Generator};
use super::types::{feature_type, key_pool, present};
use crate::oracle::to_json;

impl Generator {
    pub(super) fn entities(&mut self) -> Result<(), Failed> {
        let types = [
            KeyType::Int64,
            KeyType::String,
            KeyType::Int32,
            KeyType::Bytes,
            KeyType::Bool,
            KeyType::Timestamp,
            KeyType::Date,
            KeyType::Uuid,
        ];
        for (entity, names) in [("user", &["user_id"][..]), ("place", &["city", "a_street"]), ("item", &["sku"])] {
            let mut definition = Entity::new(entity)?;
            for name in names {
                let usual = if self.rng.chance(50) { 2 } else { types.len() };
                let key_type = types[self.rng.below(usual)];
                definition.join_keys.push(JoinKey { name: name.parse()?, key_type: Some(key_type) });
                let pool = key_pool(&mut self.rng, key_type);
                self.keys.push(((*name).to_owned(), key_type, pool));
            }
            self.definitions.add_entity(definition)?;
        }
        Ok(())
    }

    pub(super) fn view(&mut self, index: usize) -> Result<(), Failed> {
        let rng = &mut self.rng;
        let name = ["v", "v_x", "w"][index];
        let mut source = FileSource::new(&format!("{name}_source"), &format!("{name}.parquet"))?;
        let mut entities = vec!["user", "place", "item"];
        rng.shuffle(&mut entities);
        entities.truncate(*rng.pick(&[0, 1, 1, 1, 1, 2]));
        let kind = rng.below(if self.focus == Focus::Time { 10 } else { 12 });
        match kind {
            0..=1 => {
                source.valid_from = Some("from_time".into());
                source.valid_to = rng.chance(80).then(|| "to_time".into());
            }
            11 => {}
            _ => source.timestamp_field = Some("at".into()),
        }
        if self.focus == Focus::AsKnown || rng.chance(50) {
            source.created_timestamp_column = Some("created".into());
        }
        if source.timestamp_field.is_some() && rng.chance(if self.focus == Focus::Time { 60 } else { 20 }) {
            source.availability_delay = self.times.length(rng)?;
        }
        let mut features = vec!["y", "x_y", "z"];
        rng.shuffle(&mut features);
        features.truncate(1 + rng.below(3));
        for column in features.iter().copied().chain(["at", "user_id", "city"]) {
            if rng.chance(15) {
                source.field_mapping.insert(format!("raw {column}"), column.to_owned());
            }
        }
        let has_time = source.timestamp_field.is_some() || source.valid_from.is_some();
        let ttl = if has_time && rng.chance(60) { Some(self.times.length(rng)?) } else { None };
        let schema = features.iter().map(|feature| self.field(feature)).collect();
        let view = FeatureView {
            name: name.parse()?,
            entities: entities.iter().map(|e| e.parse()).collect::<Result<_, _>>()?,
            schema,
            aggregations: Vec::new(),
            inputs: Vec::new(),
            source: source.name.clone(),
            ttl,
            online: true,
            description: String::new(),
            tags: BTreeMap::new(),
            owner: String::new(),
        };
        self.definitions.add_data_source(DataSource::File(source))?;
        Ok(self.definitions.add_feature_view(view)?)
    }

    fn field(&mut self, name: &str) -> Field {
        let rng = &mut self.rng;
        let ty = match self.focus {
            Focus::Types => feature_type(rng),
            _ if rng.chance(70) => rng.pick(&[FeatureType::Int64, FeatureType::String]).clone(),
            _ => feature_type(rng),
        };
        let mut field = Field::new(name, ty);
        let wanted = if self.focus == Focus::Defaults { 80 } else { 10 };
        if rng.chance(wanted) {
            field.default = default(rng, &field.feature_type);
        }
        field
    }

    /// Adds a view that reads another's table, its features the other way round.
    pub(super) fn view_of_the_same_source(&mut self) -> Result<(), Failed> {
        let mut view = self.definitions.feature_views["v"].clone();
        view.name = "again".parse()?;
        view.schema.reverse();
        let has_time = view.ttl.is_some();
        view.ttl = if has_time && self.rng.chance(50) { Some(self.times.length(&mut self.rng)?) } else { None };
        Ok(self.definitions.add_feature_view(view)?)
    }
}

/// Returns a default of a type, where JSON has one for it.
fn default(rng: &mut Rng, ty: &FeatureType) -> Option<serde_json::Value> {
    let json = match ty {
        FeatureType::Map(key, _) if **key != FeatureType::String => return None,
        FeatureType::Float32 | FeatureType::Float64 => serde_json::json!(rng.pick(&[0.0, -1.5, 0.1])),
        FeatureType::Bool
        | FeatureType::Int32
        | FeatureType::Int64
        | FeatureType::String
        | FeatureType::Json
        | FeatureType::Uuid
        | FeatureType::Bytes
        | FeatureType::Timestamp
        | FeatureType::Date
        | FeatureType::Decimal { .. } => to_json(&present(rng, ty), ty),
        FeatureType::List(item) if **item == FeatureType::Int64 => to_json(&present(rng, ty), ty),
        FeatureType::Set(_) => to_json(&present(rng, ty), ty),
        _ => return None,
    };
    Some(json)
}
