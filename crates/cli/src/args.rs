//! What can be typed. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use lodestore::MemorySize;

const FIRST_STEPS: &str = "\
First steps:
  lodestore init demo && cd demo
  lodestore apply
  lodestore get-historical-features --entities entities.csv --service driver_activity
  lodestore materialize 2024-01-01 2024-04-01
  lodestore get-online-features --service driver_activity -e driver_id=1001

Exit status: 0 fine, 1 an error, 2 (plan only) there are changes to apply, 130 interrupted.";

/// A feature store: define features once, then build training sets and serve models from them
///
/// Features are defined in the YAML and Python files of a folder, the feature repository. 'apply'
/// registers them; 'get-historical-features' joins them to your examples as they were known at the time
/// of each; 'materialize' brings the latest values into the online store, and 'get-online-features' reads
/// them there.
#[derive(Debug, Parser)]
#[command(name = "lodestore", version, after_help = FIRST_STEPS, verbatim_doc_comment)]
pub struct Cli {
    /// Work in this feature repository: the folder with feature_store.yaml [default: the current folder]
    ///
    /// Other paths on the command line still count from the current folder.
    #[arg(short = 'C', long, visible_short_alias = 'c', env = "LODESTORE_REPO", global = true, value_name = "FOLDER")]
    pub chdir: Option<PathBuf>,

    /// Read the settings from this file; stands before the command [default: feature_store.yaml in the repository]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub feature_store_yaml: Option<PathBuf>,

    /// Print JSON, for programs: the answer on stdout, errors and warnings on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new feature repository from a template
    Init(InitArgs),
    /// Check the definitions and their data sources; change nothing
    ///
    /// Reads all definition files, checks that they fit together, and that the columns of every data source
    /// are there and have the types that the feature views declare.
    #[command(verbatim_doc_comment)]
    Validate,
    /// Show what 'apply' would change
    ///
    /// Exits with 0 if there is nothing to change and with 2 if there is.
    Plan(PlanArgs),
    /// Register the definitions of the repository
    ///
    /// What is registered becomes what the files say: new objects are added, changed ones updated, and those
    /// that are no longer in any file removed. It happens in one step: all of it or nothing. A view whose
    /// content changes gets a new version beside the old one, and the feature services that read it move to
    /// the new one; 'plan' tells which.
    #[command(verbatim_doc_comment)]
    Apply(PlanArgs),
    /// Bring the rows of an interval into the online store
    ///
    /// Takes the rows with START < event time <= END. Writing is idempotent: run again, or over an interval
    /// that was materialized before, it ends in the same state. Ctrl-C stops it after the batch at hand; what
    /// was committed stays, and running it again goes on.
    #[command(verbatim_doc_comment)]
    Materialize(MaterializeArgs),
    /// Bring into the online store what has arrived since the last time
    ///
    /// Where the data source has created times, late rows are found by them; else event times a day before
    /// the last run's end are read again (setting: materialization.late_arrival_overlap).
    #[command(verbatim_doc_comment)]
    MaterializeIncremental(MaterializeIncrementalArgs),
    /// Read the latest values of features for some keys
    ///
    /// Each value comes with a status: PRESENT; NULL_VALUE, the stored value is null; NOT_FOUND, there is no
    /// row for the key; OUTSIDE_MAX_AGE, the row is older than the view's ttl.
    #[command(after_help = ONLINE_EXAMPLES, verbatim_doc_comment)]
    GetOnlineFeatures(OnlineArgs),
    /// Build a training set: features joined to your examples as they were known at the time
    ///
    /// Each row of the entity file is a question: some keys and a moment, in the column event_timestamp or the
    /// only timestamp column. The answer has the same rows and columns in the same order, and the features
    /// beside them: for each view the latest row that was visible at that moment, and null where there was
    /// none.
    #[command(after_help = HISTORICAL_EXAMPLES, verbatim_doc_comment)]
    GetHistoricalFeatures(HistoricalArgs),
    /// Answer requests over HTTP, and gRPC, until SIGTERM or Ctrl-C
    ///
    /// Clients of Feast talk to it with 'online_store: {type: remote}'. Our own routes are described at /openapi.json.
    /// Options go before the settings below feature_server in feature_store.yaml. A server that others than this machine
    /// can reach asks for API keys (setting: auth), unless --allow-unauthenticated is given.
    #[command(after_help = SERVE_EXAMPLES, verbatim_doc_comment)]
    Serve(ServeArgs),
    /// Print the hash of an API key, as the setting 'auth' has it
    ///
    /// The key is read from stdin: its first line, without the line break.
    HashKey(HashKeyArgs),
    /// List what is registered
    List(ListArgs),
    /// Describe one registered object: its definition, versions and readers
    Describe(DescribeArgs),
    /// Remove the project: its definitions with their history, and its online rows
    ///
    /// The definition files, the data sources and saved datasets stay where they are.
    Teardown(TeardownArgs),
    /// Print the version of this program
    Version,
    /// As 'list entities' and 'describe entity'
    #[command(subcommand, hide = true)]
    Entities(OfKind),
    /// As 'list data-sources' and 'describe data-source'
    #[command(subcommand, hide = true)]
    DataSources(OfKind),
    /// As 'list feature-views' and 'describe feature-view'
    #[command(subcommand, hide = true)]
    FeatureViews(OfKind),
    /// As 'list feature-services' and 'describe feature-service'
    #[command(subcommand, hide = true)]
    FeatureServices(OfKind),
    /// As 'list saved-datasets' and 'describe saved-dataset'
    #[command(subcommand, hide = true)]
    SavedDatasets(OfKind),
}

/// The order of words that Feast has: first what, then what to do with it.
#[derive(Debug, Subcommand)]
pub enum OfKind {
    /// List them
    List,
    /// Describe one of them
    Describe {
        /// Its name
        name: String,
    },
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make, and the name of the project
    #[arg(value_name = "NAME")]
    pub folder: PathBuf,

    /// What to begin with
    #[arg(short, long, value_enum, default_value_t = Template::Minimal)]
    pub template: Template,

    /// As '--template minimal'
    #[arg(short, long, conflicts_with = "template")]
    pub minimal: bool,
}

/// What a new repository begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Ten rows about four drivers: enough to try every command
    Minimal,
    /// Three months of flights out of New York, with weather and planes: features that know no future
    Flights,
}

/// Arguments of `plan` and `apply`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Drop also what feature services read, and the services with it
    #[arg(long)]
    pub force: bool,
}

/// Which views are materialized.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// Only these views: 'view', or 'view@3' for one version [default: all that are served online]
    #[arg(short, long = "views", value_name = "VIEW", value_delimiter = ',')]
    pub views: Vec<String>,
}

/// Arguments of `materialize`.
#[derive(Debug, Args)]
pub struct MaterializeArgs {
    /// Only rows after this time: ISO 8601, UTC where no zone is given, as in 2024-01-31 or 2024-01-31T12:00:00+01:00
    pub start: String,

    /// Only rows up to this time; not in the future
    pub end: String,

    /// Which views.
    #[command(flatten)]
    pub views: ViewArgs,
}

/// Arguments of `materialize-incremental`.
#[derive(Debug, Args)]
pub struct MaterializeIncrementalArgs {
    /// Only rows up to this time: ISO 8601, UTC where no zone is given; not in the future [default: now]
    pub end: Option<String>,

    /// Which views.
    #[command(flatten)]
    pub views: ViewArgs,
}

const ONLINE_EXAMPLES: &str = "\
Examples:
  lodestore get-online-features -f driver_stats:conv_rate -e driver_id=1001 -e driver_id=1002
  lodestore get-online-features --service late_departure -e origin=JFK -e tailnum=N593JB -e carrier=B6";

/// Which features are read, and how their columns are called.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["features", "service"]))]
pub struct FeatureArgs {
    /// A feature, as 'view:feature' or 'view@3:feature'; may be repeated
    #[arg(short, long, value_name = "VIEW:FEATURE")]
    pub features: Vec<String>,

    /// All features of a feature service, of the versions it was applied with
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<String>,

    /// Call the columns 'view__feature' instead of 'feature'
    #[arg(long)]
    pub full_feature_names: bool,

    /// Put the default that a feature declares in place of a missing value
    #[arg(long)]
    pub use_defaults: bool,
}

/// Arguments of `get-online-features`.
#[derive(Debug, Args)]
pub struct OnlineArgs {
    /// What to read.
    #[command(flatten)]
    pub features: FeatureArgs,

    /// A value of a join key; repeat it for more rows, and for each join key
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub entities: Vec<String>,
}

const HISTORICAL_EXAMPLES: &str = "\
Examples:
  lodestore get-historical-features --entities examples.csv --service late_departure -o training.parquet
  lodestore get-historical-features --entities-sql 'SELECT driver_id, event_timestamp FROM trips' -s eta --explain
  lodestore get-historical-features --start 2024-03-01 --end 2024-04-01 -f driver_stats:conv_rate";

/// Arguments of `get-historical-features`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("questions").required(true).multiple(true).args(["entities", "entities_sql", "start", "end"]))]
pub struct HistoricalArgs {
    /// What to read.
    #[command(flatten)]
    pub features: FeatureArgs,

    /// The questions: a Parquet or CSV file with the join keys, a time, and whatever else should stay beside
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["start", "end"])]
    pub entities: Option<PathBuf>,

    /// Instead of --entities: SQL that asks for the questions; each data source with history is a table of its name
    ///
    /// A name with dots, slashes or capitals stands in double quotes, as in 'SELECT * FROM "data/trips.parquet"'.
    #[arg(long, value_name = "SQL", conflicts_with_all = ["entities", "start", "end"])]
    pub entities_sql: Option<String>,

    /// Instead of --entities: every row of the views after this time [default: from the beginning]
    #[arg(long, visible_alias = "start-date", value_name = "TIME")]
    pub start: Option<String>,

    /// Instead of --entities: every row of the views up to this time [default: now]
    #[arg(long, visible_alias = "end-date", value_name = "TIME")]
    pub end: Option<String>,

    /// Write the answer to this path or URL, instead of printing its first 20 rows: a .parquet or .csv file, or a
    /// folder of Parquet files
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<String>,

    /// Use only rows that were recorded by the time of the question; needs created_timestamp_column
    ///
    /// A training set asked for again after late corrections then stays the same.
    #[arg(long)]
    pub as_known: bool,

    /// Show how it is computed instead of the answer
    ///
    /// It is computed once, to tell of each view the files, row groups and rows that were read, and the time, memory
    /// and temporary files that it took. '--explain=plan' computes nothing.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "analyze")]
    pub explain: Option<Explain>,
}

/// How a retrieval is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Explain {
    /// Compute it, and tell what it took
    Analyze,
    /// Only tell what would be done
    Plan,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  lodestore serve
  lodestore serve --host 0.0.0.0 --port 8080 --grpc-port 8081 --log-format json
  curl localhost:6566/get-online-features -d '{\"feature_service\": \"driver_activity\", \"entities\": {\"driver_id\": [1001]}}'";

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Listen at this address [default: 127.0.0.1, which only this machine reaches]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<String>,

    /// Answer HTTP at this port; 0 for any that is free [default: 6566]
    #[arg(short, long)]
    pub port: Option<u16>,

    /// Answer gRPC at this port [default: no gRPC]
    #[arg(long, value_name = "PORT")]
    pub grpc_port: Option<u16>,

    /// How many threads answer requests [default: one for each core]
    #[arg(long, visible_alias = "workers", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,

    /// Serve whoever reaches the address, without a key
    #[arg(long)]
    pub allow_unauthenticated: bool,

    /// Refuse larger bodies: bytes, or a number with a unit [default: 10MiB]
    #[arg(long, value_name = "SIZE")]
    pub max_body: Option<MemorySize>,

    /// Refuse requests with more rows [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub max_entities: Option<usize>,

    /// Refuse requests beyond so many that are worked on [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    pub max_in_flight: Option<usize>,

    /// Let more connections than this wait [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    pub max_connections: Option<usize>,

    /// Give up on an answer after this time; materializing has no limit [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub request_seconds: Option<u32>,

    /// Close a connection that sends no whole request head for this time [default: 75]
    #[arg(long, value_name = "SECONDS")]
    pub idle_seconds: Option<u32>,

    /// Let requests end within this time when the server is told to stop [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub drain_seconds: Option<u32>,

    /// Log like this, on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Log so much: 'info' has refused requests, 'debug' has all
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,

    /// Send traces to this collector by OTLP over gRPC, as http://127.0.0.1:4317
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
}

/// How lines of a log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Failures of the server
    Error,
    /// What may become one
    Warn,
    /// Start, stop and refused requests
    Info,
    /// Every request
    Debug,
    /// Whatever the libraries tell
    Trace,
}

/// Arguments of `hash-key`.
#[derive(Debug, Args)]
pub struct HashKeyArgs {
    /// Make a new key, and print it with its hash
    #[arg(short, long)]
    pub generate: bool,
}

/// Kinds of registered objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Things that features describe
    #[value(alias = "entity")]
    Entities,
    /// Where rows come from
    #[value(alias = "data-source")]
    DataSources,
    /// Groups of features
    #[value(alias = "feature-view")]
    FeatureViews,
    /// What models read
    #[value(alias = "feature-service")]
    FeatureServices,
    /// Training sets that were written down
    #[value(alias = "saved-dataset")]
    SavedDatasets,
    /// Applies, the newest first; one is described by its revision
    History,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    pub kind: Kind,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Its kind; the singular works too
    pub kind: Kind,

    /// Its name
    pub name: String,
}

/// Arguments of `teardown`.
#[derive(Debug, Args)]
pub struct TeardownArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
