//! Aggregations: features that are computed over a window of a key's events (rules W1 to W8).

use std::collections::BTreeSet;

use arrow::datatypes::{Field as ArrowField, Schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Field, Tags, TimeWindow, Window};
use crate::aggregation::{Aggregate, Function};
use crate::error::{Error, Result};
use crate::name::FeatureName;
use crate::predicate::Predicate;
use crate::time::Micros;

/// A feature of a view: a function of a column over the events of a window.
///
/// # Examples
/// ```
/// use lodestore_core::definition::Aggregation;
/// use lodestore_core::document::from_yaml;
///
/// let text = "{column: arr_delay, function: avg, time_window: 24h, where: dep_delay > 15}";
/// let aggregation: Aggregation = from_yaml(text, "example")?;
/// assert_eq!(aggregation.name.as_str(), "arr_delay_mean_24h");
/// assert_eq!(aggregation.columns(), ["arr_delay", "dep_delay"]);
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Aggregation {
    /// The feature's name. Where it is left out: the column, the function, the columns it goes by, the
    /// window, as in `arr_delay_mean_24h`, `count_1h` or `amount_sum_by_category_7d_offset_7d`.
    pub name: FeatureName,
    /// What is computed.
    pub function: Function,
    /// The column it is computed of; `None` to count rows.
    pub column: Option<String>,
    /// The column whose least or greatest value decides, of `min_by` and `max_by`.
    pub by: Option<String>,
    /// Which events are taken.
    pub window: Window,
    /// Which of these rows count; `where` in definition files.
    pub filter: Option<Predicate>,
    /// The column for whose values it is computed one by one: the feature is a map of them.
    pub group_by: Option<String>,
    /// What it is.
    pub description: String,
    /// Labels.
    pub tags: Tags,
}

impl Aggregation {
    /// Returns the aggregation of a column, or of whole rows, called by its default name.
    ///
    /// # Errors
    /// `Invalid` if the function needs a column, or another one to go by.
    pub fn new(function: Function, column: Option<&str>, window: Window) -> Result<Self> {
        Parts { function, column: column.map(str::to_owned), by: None, window, group_by: None }.named(None)
    }

    /// Returns the columns that the aggregation looks at, each once: what it computes of, what it goes by,
    /// then those of its condition.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let own = [&self.column, &self.by, &self.group_by].into_iter().filter_map(Option::as_deref);
        let mut seen = BTreeSet::new();
        own.chain(self.filter.iter().flat_map(Predicate::columns)).filter(|name| seen.insert(*name)).collect()
    }

    /// Returns what is computed, bound to the types of the view's inputs. Its condition is bound by whoever has
    /// the rows; here it is checked.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` for a column that is not among the inputs or whose type the function does not
    /// take, or a condition that does not fit the inputs.
    pub fn bind(&self, inputs: &[Field]) -> Result<Aggregate> {
        self.columns().into_iter().try_for_each(|column| input(inputs, column).map(|_| ()))?;
        if let Some(filter) = &self.filter {
            let column = |input: &Field| ArrowField::new(&input.name, input.feature_type.to_arrow(), true);
            filter.bind(&Schema::new(inputs.iter().map(column).collect::<Vec<_>>()))?;
        }
        let given = [&self.column, &self.by].into_iter().flatten();
        let types = given.map(|column| Ok(input(inputs, column)?.feature_type.clone())).collect::<Result<Vec<_>>>()?;
        let aggregate = Aggregate::new(self.function.clone(), &types)?;
        match &self.group_by {
            Some(group) => aggregate.grouped_by(&input(inputs, group)?.feature_type),
            None => Ok(aggregate),
        }
    }

    /// Returns the aggregation without the words that are for people: what its values depend on.
    pub(super) fn without_words(&self) -> Self {
        Self { description: String::new(), tags: Tags::new(), ..self.clone() }
    }
}

/// What a default name is made of.
struct Parts {
    function: Function,
    column: Option<String>,
    by: Option<String>,
    window: Window,
    group_by: Option<String>,
}

impl Parts {
    /// Returns the aggregation, without condition and words, after a check that the function has the columns it needs.
    fn named(self, name: Option<FeatureName>) -> Result<Aggregation> {
        self.check_columns()?;
        let name = match name {
            Some(name) => name,
            None => self.default_name()?,
        };
        let Self { function, column, by, window, group_by } = self;
        Ok(Aggregation {
            name,
            function,
            column,
            by,
            window,
            filter: None,
            group_by,
            description: String::new(),
            tags: Tags::new(),
        })
    }

    fn check_columns(&self) -> Result<()> {
        let function = &self.function;
        let wrong = |what: &str| Err(Error::invalid(format!("function '{function}' {what}")));
        match (&self.column, &self.by) {
            (None, _) if function.needs_column() => wrong("needs a column"),
            (_, None) if function.needs_by() => wrong("needs 'by', the column whose values decide"),
            (_, Some(by)) if !function.needs_by() => {
                wrong(&format!("does not go by another column, but by is '{by}'; only min_by and max_by do"))
            }
            _ => Ok(()),
        }
    }

    fn default_name(&self) -> Result<FeatureName> {
        let mut name = String::new();
        let mut append = |part: &str| {
            name += if name.is_empty() { "" } else { "_" };
            name += part;
        };
        self.column.iter().for_each(|column| append(column));
        append(&plain(&self.function.to_string()));
        self.by.iter().for_each(|by| append(by));
        self.group_by.iter().for_each(|group| append(&format!("by_{group}")));
        append(&self.window.to_string());
        FeatureName::new(&name)
            .map_err(|error| Error::invalid(format!("{}; give the aggregation a name", error.message())))
    }
}

/// Returns the text of a function with each run of other than letters and digits as one `_`.
fn plain(function: &str) -> String {
    let words = function.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// An aggregation as it is written in definition files.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an aggregation: a map with function and time_window")]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<FeatureName>,
    function: Function,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    time_window: TimeWindow,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "duration_or_zero")]
    slide_interval: Option<Micros>,
    #[serde(default, skip_serializing_if = "Micros::is_zero")]
    offset: Micros,
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    filter: Option<Predicate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group_by: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
}

impl TryFrom<Written> for Aggregation {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { name, function, column, by, group_by, filter, description, tags, .. } = written;
        let called = name.as_ref().map_or_else(|| function.to_string(), ToString::to_string);
        let window = Window::new(written.time_window, written.slide_interval, written.offset);
        let parts = window.map(|window| Parts { function, column, by, window, group_by });
        let named = parts.and_then(|parts| parts.named(name));
        // The text of a definition file has no place for context: the message says it all.
        let named = named.map_err(|error| Error::invalid(format!("aggregation '{called}': {}", error.message())))?;
        Ok(Self { filter, description, tags, ..named })
    }
}

impl From<Aggregation> for Written {
    fn from(aggregation: Aggregation) -> Self {
        let Aggregation { name, function, column, by, window, filter, group_by, description, tags } = aggregation;
        Self {
            name: Some(name),
            function,
            column,
            by,
            time_window: window.time_window(),
            slide_interval: window.hop(),
            offset: window.offset(),
            filter,
            group_by,
            description,
            tags,
        }
    }
}

/// Reads a duration; 0 needs no unit.
fn duration_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Duration {
        Number(i64),
        Text(String),
    }

    Ok(match Option::<Duration>::deserialize(deserializer)? {
        None => None,
        Some(Duration::Number(0)) => Some(Micros::ZERO),
        Some(Duration::Number(number)) => number.to_string().parse().map(Some).map_err(de::Error::custom)?,
        Some(Duration::Text(text)) if text == "0" => Some(Micros::ZERO),
        Some(Duration::Text(text)) => text.parse().map(Some).map_err(de::Error::custom)?,
    })
}

/// Returns the type of a column among the inputs of a view.
///
/// # Errors
/// `Invalid` if it is not among them.
fn input<'a>(inputs: &'a [Field], column: &str) -> Result<&'a Field> {
    inputs.iter().find(|input| input.name == column).ok_or_else(|| {
        Error::invalid(format!("the type of column '{column}' is not known; give it in the inputs of the view"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::from_yaml;

    fn read(text: &str) -> Result<Aggregation> {
        from_yaml(&format!("{{{text}}}"), "test")
    }

    fn check_name(text: &str, name: &str) {
        let aggregation = read(text).unwrap();
        assert_eq!(aggregation.name.as_str(), name);
        let json = serde_json::to_string(&aggregation).unwrap();
        assert_eq!(serde_json::from_str::<Aggregation>(&json).unwrap(), aggregation, "{json}");
    }

    #[test]
    fn names_say_column_function_and_window() {
        check_name("column: arr_delay, function: mean, time_window: 24h", "arr_delay_mean_24h");
        check_name("column: arr_delay, function: max, time_window: 1w, slide_interval: 1h", "arr_delay_max_7d");
        check_name("function: count, time_window: 1h", "count_1h");
        check_name("function: count, column: a b, time_window: lifetime", "a b_count_lifetime");
        check_name("function: last_n(3), column: x, time_window: 30d, offset: 7d", "x_last_n_3_30d_offset_7d");
        check_name(
            "function: 'approx_percentile(0.5, 0.99)', column: x, time_window: 90s, slide_interval: 0s",
            "x_approx_percentile_0_5_0_99_90s",
        );
        check_name("function: max_by, column: city, by: fare, time_window: 48h", "city_max_by_fare_2d");
        check_name("function: sum, column: x, group_by: kind, time_window: 2h", "x_sum_by_kind_2h");
        check_name("function: sum, column: x, name: mine, time_window: 2h", "mine");
    }

    #[test]
    fn what_is_left_out_is_written_out_once() {
        let text = "function: avg, column: x, time_window: 24h, where: \"y = 'a'\", tags: {a: b}, description: d";
        let json = serde_json::to_string(&read(text).unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"name":"x_mean_24h","function":"mean","column":"x","time_window":"1d","slide_interval":"1h","where":"y = 'a'","description":"d","tags":{"a":"b"}}"#
        );
        let exact = read("function: count, time_window: 1d, slide_interval: 0").unwrap();
        assert_eq!(exact.window.hop(), Some(Micros::ZERO));
        let json = serde_json::to_string(&exact).unwrap();
        assert_eq!(json, r#"{"name":"count_24h","function":"count","time_window":"1d","slide_interval":"0s"}"#);
        let zero = r#"{"function":"count","time_window":"1d","slide_interval":0}"#;
        assert_eq!(serde_json::from_str::<Aggregation>(zero).unwrap(), exact);
    }

    fn check_error(text: &str, expected: &str) {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\n does not contain\n{expected}");
    }

    #[test]
    fn senseless_aggregations_are_refused() {
        check_error("function: meam, column: x, time_window: 1h", "unknown function 'meam'; did you mean 'mean'");
        check_error("function: mean, time_window: 1h", "aggregation 'mean': function 'mean' needs a column");
        check_error("function: max_by, column: x, time_window: 1h", "function 'max_by' needs 'by'");
        check_error("function: sum, column: x, by: y, time_window: 1h", "does not go by another column, but by is 'y'");
        check_error(
            "function: count, time_window: 1h, name: n, slide_interval: 2h",
            "aggregation 'n': slide_interval 2h",
        );
        check_error("function: count, time_window: 1h, slide_interval: 5", "\"5\" is not a duration");
        check_error("function: count, time_window: 1h, where: x >", "condition \"x >\" is wrong at character 4");
        check_error("function: count", "missing field `time_window`");
        check_error("function: count, time_window: 1h, filter: x", "unknown field `filter`");
        check_error(
            &format!("function: sum, column: {}, time_window: 1h", "x".repeat(256)),
            "give the aggregation a name",
        );
    }
}
