//! Aggregates over the events of a window, as pure values: update, merge, finish, encode.
//!
//! The offline engine, tiles, pushes and reads all use this code, so that the same events give the same bits wherever
//! they are aggregated (rules W2 to W7). Read first: [`Function`], [`Aggregate`], [`State`].
//!
//! # Algebra
//! Of the same events every state is equal, and its bytes are, whatever the order of updates, the cut into merged
//! parts and the writing and reading between them.
//!
//! | functions | exact | can remove | error |
//! | --- | --- | --- | --- |
//! | `count`, `any`, `all` | yes | yes | |
//! | `sum`, `mean` | yes, rounded once | yes | |
//! | `var_*`, `stddev_*`, `skew`, `kurtosis` | yes, rounded as [`Moments`] says | yes | |
//! | `min`, `max`, `min_by`, `max_by`, `first*`, `last*` | yes | no | |
//! | `count_distinct`, `top_k`, `histogram` | yes, or past their limit an error | no | |
//! | `approx_count_distinct` | no | no | 1.6 % standard error |
//! | `approx_percentile` | no | yes | 0.8 % of the value, towards zero |
//! | `decayed_sum`, `decayed_mean` | weights of 53 bits, else yes | no | |
//!
//! # Nulls, NaN and zeros
//! - Null values are skipped, and so are rows whose `by` or group is null. `count` without a column counts rows.
//! - NaN makes sums, means, extremes, moments, percentiles and decayed values NaN (rule W4). Elsewhere it is a value
//!   above all numbers.
//! - Where values are told apart (`count_distinct`, `top_k`, `histogram`, `last_n_distinct`, groups), NaN equals NaN
//!   and -0.0 equals 0.0; elsewhere they are as they were given. A sum that is zero is 0.0.
//! - Of no values, counts are 0 and all else is null (rule W3).

mod aggregate;
mod codec;
mod counts;
mod decay;
mod exact;
mod finish;
mod function;
mod hll;
mod percentile;
mod places;
mod state;
mod stored;
mod value;
mod vectors;

pub use aggregate::{Aggregate, Event, Outcome};
pub use counts::ValueCounts;
pub use decay::DecayedSum;
pub use exact::{ExactSum, FloatSum, IntegerSum, Moment, Moments, Order};
pub use function::{DEFAULT_LIMIT, Function};
pub use hll::DistinctSketch;
pub use percentile::PercentileSketch;
pub use places::{Choice, Place, Places};
pub use state::{State, Truths};
pub use value::OwnedValue;
pub use vectors::{VectorExtremes, VectorSums};
