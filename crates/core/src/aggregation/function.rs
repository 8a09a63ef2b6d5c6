//! What may be computed over a window, as a definition says it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name;
use crate::time::Micros;

/// How many distinct values or groups an exact state holds unless a definition says another number.
pub const DEFAULT_LIMIT: u32 = 10_000;

/// How many values a list may hold.
const MOST_VALUES: u32 = 10_000;

/// What is computed over the events of a window. `Display` and `FromStr` use the text of a definition.
///
/// Nulls are skipped by all but a `count` without a column. Of no values a count is 0 and all else is null.
///
/// # Examples
/// ```
/// use lodestore_core::aggregation::Function;
/// assert_eq!("avg".parse::<Function>()?, Function::Mean);
/// assert_eq!("approx_percentile(0.5,0.99)".parse::<Function>()?.to_string(), "approx_percentile(0.5, 0.99)");
/// let error = "last_n(0)".parse::<Function>().unwrap_err();
/// assert_eq!(error.message(), "\"last_n(0)\" needs a whole number from 1 to 10000, as in 'last_n(3)'");
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Function {
    /// How many events there are, or with a column how many values.
    Count,
    /// The sum: of integers as `int64`, of floats as `float64`, of decimals with 38 digits.
    Sum,
    /// The mean, as `float64`.
    Mean,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The variance of the population.
    VarPop,
    /// The variance of a sample.
    VarSamp,
    /// The standard deviation of the population.
    StddevPop,
    /// The standard deviation of a sample.
    StddevSamp,
    /// The skew of the population.
    Skew,
    /// The excess kurtosis of the population: 0 for a normal distribution.
    Kurtosis,
    /// The earliest value.
    First,
    /// The latest value.
    Last,
    /// The earliest values, the oldest first.
    FirstN(u32),
    /// The latest values, the oldest first.
    LastN(u32),
    /// The latest distinct values, each at its latest place; the oldest first.
    LastNDistinct(u32),
    /// The value of the column where another one is least; of rows that are equal there, the latest one's, and of
    /// these the greatest value.
    MinBy,
    /// The value of the column where another one is greatest, NaN above all numbers; of rows that are equal there,
    /// the latest one's, and of these the greatest value.
    MaxBy,
    /// Whether any value is true.
    Any,
    /// Whether all values are true.
    All,
    /// How many distinct values there are, at most a limit.
    CountDistinct(u32),
    /// About how many distinct values there are.
    ApproxCountDistinct,
    /// About the values that these fractions of all values do not exceed; a list for two or more.
    ApproxPercentile(Vec<f64>),
    /// The most frequent values, the most frequent first; of equally frequent ones, the least first.
    TopK {
        /// How many.
        k: u32,
        /// How many distinct values are counted at most.
        limit: u32,
    },
    /// How often each value occurs, at most a limit of values.
    Histogram(u32),
    /// The sum of values that count half after each half life.
    DecayedSum(Micros),
    /// The mean of values that count half after each half life.
    DecayedMean(Micros),
}

/// Each function's name with what stands in brackets; `;` parts what may be left out.
const NAMES: [(&str, &str); 27] = [
    ("count", ""),
    ("sum", ""),
    ("mean", ""),
    ("min", ""),
    ("max", ""),
    ("var_pop", ""),
    ("var_samp", ""),
    ("stddev_pop", ""),
    ("stddev_samp", ""),
    ("skew", ""),
    ("kurtosis", ""),
    ("first", ""),
    ("last", ""),
    ("first_n", "3"),
    ("last_n", "3"),
    ("last_n_distinct", "3"),
    ("min_by", ""),
    ("max_by", ""),
    ("any", ""),
    ("all", ""),
    ("count_distinct", "5000"),
    ("approx_count_distinct", ""),
    ("approx_percentile", "0.5, 0.99"),
    ("top_k", "3"),
    ("histogram", "100"),
    ("decayed_sum", "1d"),
    ("decayed_mean", "1d"),
];

/// Other names in use, and what they mean here.
const ALIASES: [(&str, &str); 17] = [
    ("avg", "mean"),
    ("average", "mean"),
    ("var", "var_samp"),
    ("variance", "var_samp"),
    ("std", "stddev_samp"),
    ("stddev", "stddev_samp"),
    ("std_dev", "stddev_samp"),
    ("skewness", "skew"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("n_unique", "count_distinct"),
    ("nunique", "count_distinct"),
    ("distinct_count", "count_distinct"),
    ("unique_count", "count_distinct"),
    ("last_distinct", "last_n_distinct"),
    ("arg_min", "min_by"),
    ("arg_max", "max_by"),
];

impl Function {
    /// Returns the function's name without its parameters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::VarPop => "var_pop",
            Self::VarSamp => "var_samp",
            Self::StddevPop => "stddev_pop",
            Self::StddevSamp => "stddev_samp",
            Self::Skew => "skew",
            Self::Kurtosis => "kurtosis",
            Self::First => "first",
            Self::Last => "last",
            Self::FirstN(_) => "first_n",
            Self::LastN(_) => "last_n",
            Self::LastNDistinct(_) => "last_n_distinct",
            Self::MinBy => "min_by",
            Self::MaxBy => "max_by",
            Self::Any => "any",
            Self::All => "all",
            Self::CountDistinct(_) => "count_distinct",
            Self::ApproxCountDistinct => "approx_count_distinct",
            Self::ApproxPercentile(_) => "approx_percentile",
            Self::TopK { .. } => "top_k",
            Self::Histogram(_) => "histogram",
            Self::DecayedSum(_) => "decayed_sum",
            Self::DecayedMean(_) => "decayed_mean",
        }
    }

    /// Returns whether a second column is needed: what [`Function::MinBy`] and [`Function::MaxBy`] look at.
    #[must_use]
    pub fn needs_by(&self) -> bool {
        matches!(self, Self::MinBy | Self::MaxBy)
    }

    /// Returns whether a column is needed: all functions but `count` do.
    #[must_use]
    pub fn needs_column(&self) -> bool {
        *self != Self::Count
    }

    /// Returns the parameters as text, empty where there are none or the usual ones.
    fn parameters(&self) -> String {
        match self {
            Self::FirstN(n) | Self::LastN(n) | Self::LastNDistinct(n) => n.to_string(),
            Self::CountDistinct(limit) | Self::Histogram(limit) if *limit != DEFAULT_LIMIT => limit.to_string(),
            Self::TopK { k, limit } if *limit != DEFAULT_LIMIT => format!("{k}, {limit}"),
            Self::TopK { k, .. } => k.to_string(),
            Self::ApproxPercentile(fractions) => {
                fractions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
            Self::DecayedSum(half_life) | Self::DecayedMean(half_life) => half_life.to_string(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let parameters = self.parameters();
        if parameters.is_empty() { Ok(()) } else { write!(f, "({parameters})") }
    }
}

impl FromStr for Function {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let call = Call::parse(text)?;
        let given = &call.parameters[..];
        Ok(match (call.name, given) {
            ("count", []) => Self::Count,
            ("sum", []) => Self::Sum,
            ("mean", []) => Self::Mean,
            ("min", []) => Self::Min,
            ("max", []) => Self::Max,
            ("var_pop", []) => Self::VarPop,
            ("var_samp", []) => Self::VarSamp,
            ("stddev_pop", []) => Self::StddevPop,
            ("stddev_samp", []) => Self::StddevSamp,
            ("skew", []) => Self::Skew,
            ("kurtosis", []) => Self::Kurtosis,
            ("first", []) => Self::First,
            ("last", []) => Self::Last,
            ("first_n", [n]) => Self::FirstN(call.number(n, MOST_VALUES)?),
            ("last_n", [n]) => Self::LastN(call.number(n, MOST_VALUES)?),
            ("last_n_distinct", [n]) => Self::LastNDistinct(call.number(n, MOST_VALUES)?),
            ("min_by", []) => Self::MinBy,
            ("max_by", []) => Self::MaxBy,
            ("any", []) => Self::Any,
            ("all", []) => Self::All,
            ("count_distinct", []) => Self::CountDistinct(DEFAULT_LIMIT),
            ("count_distinct", [limit]) => Self::CountDistinct(call.number(limit, u32::MAX)?),
            ("approx_count_distinct", []) => Self::ApproxCountDistinct,
            ("approx_percentile", [_, ..]) => {
                Self::ApproxPercentile(given.iter().map(|text| call.fraction(text)).collect::<Result<_>>()?)
            }
            ("top_k", [k]) => Self::TopK { k: call.number(k, MOST_VALUES)?, limit: DEFAULT_LIMIT },
            ("top_k", [k, limit]) => {
                Self::TopK { k: call.number(k, MOST_VALUES)?, limit: call.number(limit, u32::MAX)? }
            }
            ("histogram", []) => Self::Histogram(DEFAULT_LIMIT),
            ("histogram", [limit]) => Self::Histogram(call.number(limit, u32::MAX)?),
            ("decayed_sum", [half_life]) => Self::DecayedSum(call.half_life(half_life)?),
            ("decayed_mean", [half_life]) => Self::DecayedMean(call.half_life(half_life)?),
            _ => return Err(call.wrong_parameters()),
        })
    }
}

/// A name and the parameters in brackets after it.
struct Call<'a> {
    text: &'a str,
    name: &'static str,
    example: &'static str,
    parameters: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let (word, rest) = text.find('(').map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
        let word = word.trim();
        let lower = word.to_ascii_lowercase();
        let meant = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, name)| name);
        let Some(&(name, example)) = NAMES.iter().find(|(name, _)| *name == meant) else {
            let known = NAMES.iter().chain(&ALIASES).map(|(name, _)| *name);
            let message = name::unknown(format_args!("function '{word}'"), &lower, known);
            return Err(Error::invalid(message.message()));
        };
        let parameters = match rest.map(|rest| rest.trim_end().strip_suffix(')')) {
            None => Vec::new(),
            Some(Some(inner)) if inner.trim().is_empty() => Vec::new(),
            Some(Some(inner)) => inner.split(',').map(str::trim).collect(),
            Some(None) => return Err(Error::invalid(format!("{text:?} has no closing bracket"))),
        };
        Ok(Self { text, name, example, parameters })
    }

    fn wrong(&self, needed: &str) -> Error {
        let Self { text, name, example, .. } = self;
        Error::invalid(format!("{text:?} needs {needed}, as in '{name}({example})'"))
    }

    fn wrong_parameters(&self) -> Error {
        if self.example.is_empty() {
            return Error::invalid(format!("{:?} takes no parameters; expected '{}'", self.text, self.name));
        }
        self.wrong("other parameters")
    }

    fn number(&self, text: &str, most: u32) -> Result<u32> {
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| self.wrong(&format!("a whole number from 1 to {most}")))
    }

    fn fraction(&self, text: &str) -> Result<f64> {
        let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
        // Zero has one form, for equal functions to print alike.
        number.map(f64::abs).ok_or_else(|| self.wrong("fractions from 0 to 1"))
    }

    fn half_life(&self, text: &str) -> Result<Micros> {
        let half_life = text.parse().ok().filter(|half_life: &Micros| !half_life.is_zero());
        half_life.ok_or_else(|| self.wrong("a duration above zero"))
    }
}

impl TryFrom<String> for Function {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Function> for String {
    fn from(function: Function) -> Self {
        function.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Function>() {
            Ok(function) => {
                assert_eq!(function.to_string().parse::<Function>().unwrap(), function, "{text}");
                function.to_string()
            }
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn functions_print_as_they_parse() {
        for (name, example) in NAMES {
            let text = if example.is_empty() { name.to_owned() } else { format!("{name}({example})") };
            check(&text, &text);
            assert_eq!(text.parse::<Function>().unwrap().name(), name);
        }
        for (alias, name) in ALIASES {
            let example = NAMES.iter().find(|known| known.0 == name).unwrap().1;
            let parsed = format!("{alias}({example})").parse::<Function>().unwrap();
            assert_eq!(parsed, format!("{name}({example})").parse().unwrap());
        }
        check(" Count ( ) ", "count");
        check("count_distinct(10000)", "count_distinct");
        check("top_k(2,10000)", "top_k(2)");
        check("top_k(2, 50)", "top_k(2, 50)");
        check("approx_percentile(.5, -0)", "approx_percentile(0.5, 0)");
        check("decayed_sum(36h)", "decayed_sum(1d 12h)");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        check("meam", "error: unknown function 'meam'; did you mean 'mean'?");
        check("sum(1)", "error: \"sum(1)\" takes no parameters; expected 'sum'");
        check("last_n", "error: \"last_n\" needs other parameters, as in 'last_n(3)'");
        check("last_n(3", "error: \"last_n(3\" has no closing bracket");
        check("top_k(x)", "error: \"top_k(x)\" needs a whole number from 1 to 10000, as in 'top_k(3)'");
        check("decayed_sum(0s)", "error: \"decayed_sum(0s)\" needs a duration above zero, as in 'decayed_sum(1d)'");
        check(
            "approx_percentile(nan)",
            "error: \"approx_percentile(nan)\" needs fractions from 0 to 1, as in 'approx_percentile(0.5, 0.99)'",
        );
    }
}
