//! Names and references, parsed once into types.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

const MAX_NAME_BYTES: usize = 256;

fn check_name(what: &str, text: &str, forbidden: &[char]) -> Result<()> {
    let wrong = if text.is_empty() {
        "must not be empty".to_owned()
    } else if text.len() > MAX_NAME_BYTES {
        format!("must not be longer than {MAX_NAME_BYTES} bytes")
    } else if text.trim() != text {
        "must not start or end with a space".to_owned()
    } else if let Some(c) = text.chars().find(|c| c.is_control() || forbidden.contains(c)) {
        format!("must not contain {c:?}")
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("{what} name {text:?} {wrong}")))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $forbidden:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name, or `Invalid` if the text can't be one.
            ///
            /// # Errors
            /// `Invalid` for an empty or overlong text, outer spaces or a forbidden character.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                check_name($what, text.as_ref(), $forbidden)?;
                Ok(Self(text.as_ref().into()))
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name_type!(
    /// The name of a project: a namespace of definitions within a registry.
    ProjectName, "project", &[':', '@', '/', '\\']
);
name_type!(
    /// The name of an entity.
    EntityName, "entity", &[':', '@', '/', '\\']
);
name_type!(
    /// The name of a join key: a column that identifies an entity.
    JoinKeyName, "join key", &[]
);
name_type!(
    /// The name of a data source. Paths and URLs are allowed, since an unnamed file source is called by its path.
    SourceName, "data source", &[]
);
name_type!(
    /// The name of a feature view, or an alias of one.
    ViewName, "feature view", &[':', '@', '/', '\\']
);
name_type!(
    /// The name of a feature: a column of a feature view.
    FeatureName, "feature", &[]
);
name_type!(
    /// The name of a feature service.
    ServiceName, "feature service", &[':', '@', '/', '\\']
);
name_type!(
    /// The name of a saved dataset.
    DatasetName, "saved dataset", &[':', '@', '/', '\\']
);

/// A feature view and, where one is named, the version of it: `driver_stats` or `driver_stats@3`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ViewRef {
    /// The view's name.
    pub name: ViewName,
    /// The version that is meant; `None` is the current one.
    pub version: Option<u32>,
}

impl FromStr for ViewRef {
    type Err = Error;

    /// Parses `view`, `view@3`, `view@v3` or `view@latest`.
    fn from_str(text: &str) -> Result<Self> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self { name: ViewName::new(text)?, version: None });
        };
        let digits = version.strip_prefix(['v', 'V']).unwrap_or(version);
        let version = match digits.parse() {
            Ok(number) => Some(number),
            Err(_) if version == "latest" => None,
            Err(_) => {
                return Err(Error::invalid(format!(
                    "'{version}' in {text:?} is not a version; expected a number as in '{name}@3', or '{name}@latest'"
                )));
            }
        };
        Ok(Self { name: ViewName::new(name)?, version })
    }
}

impl fmt::Display for ViewRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// A feature of a view: `driver_stats:conv_rate` or `driver_stats@3:conv_rate`.
///
/// # Examples
/// ```
/// use lodestore_core::name::FeatureRef;
/// let feature: FeatureRef = "driver_stats@3:conv_rate".parse()?;
/// assert_eq!(feature.view.version, Some(3));
/// assert_eq!(feature.feature.as_str(), "conv_rate");
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FeatureRef {
    /// The view, and the version of it where one is named.
    pub view: ViewRef,
    /// The feature.
    pub feature: FeatureName,
}

impl FromStr for FeatureRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((view, feature)) => Ok(Self { view: view.parse()?, feature: FeatureName::new(feature)? }),
            None => Err(Error::invalid(format!(
                "{text:?} is not a feature reference; expected 'view:feature' or 'view@version:feature'"
            ))),
        }
    }
}

impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature)
    }
}

/// Returns `NotFound` for a name that is not among `known`, naming the near ones or, where few, all.
///
/// # Examples
/// ```
/// use lodestore_core::name::unknown;
/// let error = unknown("feature 'convrate' in view 'driver_stats'", "convrate", ["conv_rate", "acc_rate"]);
/// assert_eq!(error.message(), "unknown feature 'convrate' in view 'driver_stats'; did you mean 'conv_rate'?");
/// ```
pub fn unknown<T: AsRef<str>>(what: impl fmt::Display, name: &str, known: impl IntoIterator<Item = T>) -> Error {
    const FEW: usize = 12;
    let known: Vec<T> = known.into_iter().collect();
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .map(|candidate| (edit_distance(name, candidate.as_ref()), candidate.as_ref()))
        .filter(|&(distance, candidate)| distance <= candidate.chars().count().max(name.chars().count()) / 3)
        .collect();
    near.sort();
    let hint = if !near.is_empty() {
        format!("; did you mean {}?", quoted(near.iter().take(3).map(|&(_, n)| n), " or "))
    } else if known.is_empty() {
        "; none is known".to_owned()
    } else if known.len() <= FEW {
        format!("; known: {}", quoted(known.iter().map(AsRef::as_ref), ", "))
    } else {
        String::new()
    };
    Error::not_found(format!("unknown {what}{hint}"))
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> String {
    names.map(|n| format!("'{n}'")).collect::<Vec<_>>().join(separator)
}

/// The Levenshtein distance, in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<FeatureRef>() {
            Ok(parsed) => format!("{parsed}"),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn n2_references_name_a_view_and_perhaps_a_version() {
        check("v:f", "v:f");
        check("v@3:f", "v@3:f");
        check("v@v3:f", "v@3:f");
        check("v@latest:f", "v:f");
        check("v:f:g", "v:f:g");
        check("v@x:f", "error: 'x' in \"v@x\" is not a version; expected a number as in 'v@3', or 'v@latest'");
        check("v", "error: \"v\" is not a feature reference; expected 'view:feature' or 'view@version:feature'");
        check(":f", "error: feature view name \"\" must not be empty");
    }

    #[test]
    fn names_are_checked() {
        assert!(ViewName::new("a b").is_ok());
        assert!(ViewName::new("a/b").is_err());
        assert!(SourceName::new("s3://bucket/a.parquet").is_ok());
        assert!(FeatureName::new("a\nb").is_err());
        assert!(FeatureName::new("x".repeat(257)).is_err());
    }

    #[test]
    fn unknown_names_are_answered_with_near_ones_or_all() {
        let all = ["alpha", "beta"];
        assert_eq!(unknown("view 'alpah'", "alpah", all).message(), "unknown view 'alpah'; known: 'alpha', 'beta'");
        assert_eq!(unknown("view 'alph'", "alph", all).message(), "unknown view 'alph'; did you mean 'alpha'?");
        assert_eq!(unknown("view 'x'", "x", [""; 0]).message(), "unknown view 'x'; none is known");
    }
}
