//! Entities and their join keys.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Tags, text_or_map};
use crate::error::{Error, Result};
use crate::name::{EntityName, JoinKeyName};
use crate::types::{FeatureType, KeyType};

/// A thing that features describe, and the columns that identify it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// The entity's name.
    pub name: EntityName,
    /// The columns that identify it. Empty in a definition file: one column, called as the entity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub join_keys: Vec<JoinKey>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

impl Entity {
    /// Returns an entity identified by one column of the same name.
    ///
    /// # Errors
    /// `Invalid` if the name can't be one.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: EntityName::new(name)?,
            join_keys: Vec::new(),
            description: String::new(),
            tags: Tags::new(),
            owner: String::new(),
        })
    }

    /// Returns the entity with its join keys spelled out.
    ///
    /// # Errors
    /// `Invalid` for a join key given twice.
    pub fn normalized(mut self) -> Result<Self> {
        if self.join_keys.is_empty() {
            self.join_keys.push(JoinKey { name: JoinKeyName::new(self.name.as_str())?, key_type: None });
        }
        for (i, key) in self.join_keys.iter().enumerate() {
            if self.join_keys[..i].iter().any(|other| other.name == key.name) {
                return Err(Error::invalid(format!(
                    "join key '{}' is given twice in entity '{}'",
                    key.name, self.name
                )));
            }
        }
        Ok(self)
    }
}

/// A column that identifies an entity. Its type may be left to a view's field of that name.
///
/// The short form of a definition file is the name alone: `join_keys: [driver_id]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JoinKey {
    /// The column's name.
    pub name: JoinKeyName,
    /// The type of its values.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub key_type: Option<KeyType>,
}

impl<'de> Deserialize<'de> for JoinKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            name: JoinKeyName,
            #[serde(default, rename = "type")]
            key_type: Option<KeyType>,
        }
        text_or_map(
            deserializer,
            "a join key: its name, or a map with name and type",
            |name| Ok(Self { name: JoinKeyName::new(name)?, key_type: None }),
            |Long { name, key_type }| Self { name, key_type },
        )
    }
}

impl Serialize for KeyType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ty = FeatureType::deserialize(deserializer)?;
        Self::try_from(&ty).map_err(serde::de::Error::custom)
    }
}
