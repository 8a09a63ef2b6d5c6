//! The commands, a file each.

mod apply;
mod describe;
mod get_historical_features;
mod get_online_features;
mod hash_key;
mod init;
mod list;
mod materialize;
mod plan;
mod serve;
mod teardown;
mod validate;
mod values;
mod version;

use lodestore::Features;
use lodestore::core::Result;
use lodestore::core::request::ColumnNames;

use crate::args::{Command, DescribeArgs, FeatureArgs, Kind, ListArgs, OfKind};
use crate::error::Exit;
use crate::session::Session;

/// Runs a command.
pub(crate) fn run(session: &Session, command: Command) -> Result<Exit> {
    match command {
        Command::Init(args) => init::run(session, &args),
        Command::Validate => validate::run(session),
        Command::Plan(args) => plan::run(session, &args),
        Command::Apply(args) => apply::run(session, &args),
        Command::Materialize(args) => materialize::run(session, &args),
        Command::MaterializeIncremental(args) => materialize::run_incremental(session, &args),
        Command::GetOnlineFeatures(args) => get_online_features::run(session, &args),
        Command::GetHistoricalFeatures(args) => get_historical_features::run(session, &args),
        Command::Serve(args) => serve::run(session, &args),
        Command::HashKey(args) => hash_key::run(session, &args),
        Command::List(args) => list::run(session, &args),
        Command::Describe(args) => describe::run(session, &args),
        Command::Teardown(args) => teardown::run(session, &args),
        Command::Version => version::run(session),
        Command::Entities(verb) => of_kind(session, Kind::Entities, verb),
        Command::DataSources(verb) => of_kind(session, Kind::DataSources, verb),
        Command::FeatureViews(verb) => of_kind(session, Kind::FeatureViews, verb),
        Command::FeatureServices(verb) => of_kind(session, Kind::FeatureServices, verb),
        Command::SavedDatasets(verb) => of_kind(session, Kind::SavedDatasets, verb),
    }
}

fn of_kind(session: &Session, kind: Kind, verb: OfKind) -> Result<Exit> {
    match verb {
        OfKind::List => list::run(session, &ListArgs { kind }),
        OfKind::Describe { name } => describe::run(session, &DescribeArgs { kind, name }),
    }
}

/// Returns what is to be read, and how its columns are called.
fn features(args: &FeatureArgs) -> Result<(Features, ColumnNames)> {
    let features = match &args.service {
        Some(service) => Features::Service(service.parse()?),
        None => Features::parse(&args.features)?,
    };
    let names = if args.full_feature_names { ColumnNames::ViewAndFeature } else { ColumnNames::Feature };
    Ok((features, names))
}
