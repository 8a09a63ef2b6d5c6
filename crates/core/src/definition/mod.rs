//! What users define: entities, data sources, feature views, feature services.
//!
//! The types here are plain values with one text form each, the one of the definition files
//! ([`crate::document`]). [`Definitions`] is a set of them that was checked as a whole.

mod aggregation;
mod entity;
mod features;
mod growth;
mod service;
mod set;
mod source;
mod version;
mod view;
mod window;

pub use aggregation::Aggregation;
pub use entity::{Entity, JoinKey};
pub use service::{FeatureService, Projection};
pub use set::{Definitions, ObjectId, ObjectKind};
pub use source::{
    DataSource, FileSource, MemorySource, PostgresSource, PushSource, RequestSource, RowTimes, TableFormat, TableRef,
};
pub use version::{Feature, Key, UNTYPED, ViewVersion};
pub use view::{FeatureView, Field};
pub use window::{TimeWindow, Window};

use std::collections::BTreeMap;

/// Labels that users attach to an object.
pub type Tags = BTreeMap<String, String>;

/// Implements serde for a type through its text form.
macro_rules! text_serde {
    ($($name:ty),+ $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

text_serde!(
    crate::name::EntityName,
    crate::name::JoinKeyName,
    crate::name::SourceName,
    crate::name::ViewName,
    crate::name::FeatureName,
    crate::name::ServiceName,
    crate::name::DatasetName,
    crate::name::ProjectName,
    crate::name::ViewRef,
    crate::name::FeatureRef,
    crate::time::EventTime,
    crate::time::Micros,
    crate::types::FeatureType,
    crate::predicate::Predicate,
    TimeWindow,
);

/// Reads a map, or text that stands for one: the short forms of the definition files.
pub(crate) fn text_or_map<'de, D, T, M>(
    deserializer: D,
    expecting: &'static str,
    from_text: fn(&str) -> crate::Result<T>,
    from_map: fn(M) -> T,
) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    M: serde::Deserialize<'de>,
{
    struct Visitor<T, M> {
        expecting: &'static str,
        from_text: fn(&str) -> crate::Result<T>,
        from_map: fn(M) -> T,
    }

    impl<'de, T, M: serde::Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T, M> {
        type Value = T;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.expecting)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            (self.from_text)(text).map_err(E::custom)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            M::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(self.from_map)
        }
    }

    deserializer.deserialize_any(Visitor { expecting, from_text, from_map })
}
