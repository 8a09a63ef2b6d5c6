//! A server of a new feature repository, and what tests say to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use lodestore::core::document::Document;
use lodestore::core::time::EventTime;
use lodestore::{FeatureStore, OpenOptions, PlanOptions, Scope};
use lodestore_server::grpc::proto::feast::serving::get_online_features_request::Kind;
use lodestore_server::grpc::proto::feast::serving::serving_service_client::ServingServiceClient;
use lodestore_server::grpc::proto::feast::serving::{FeatureList, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse};
use lodestore_server::grpc::proto::feast::types::value::Val;
use lodestore_server::grpc::proto::feast::types::{RepeatedValue, Value};
use lodestore_server::grpc::proto::grpc_feature_server_client::GrpcFeatureServerClient;
use lodestore_server::grpc::proto::{PushRequest, WriteToOnlineStoreRequest};
use lodestore_server::{AppState, Authorizer, Limits, NoAuth, Server, ServerOptions};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The moment at which the store's clock stands still, and its seconds.
pub(crate) const NOW: &str = "2024-01-10T00:00:00Z";
pub(crate) const NOW_SECONDS: i64 = 1_704_844_800;

const DEFINITIONS: &str = "
version: 1
entities:
  - {name: user, join_keys: [{name: user_id, type: int64}]}
  - {name: shop, join_keys: [{name: shop_id, type: string}]}
  - name: place
    join_keys:
      - {name: k_bool, type: bool}
      - {name: k_bytes, type: bytes}
      - {name: k_date, type: date}
      - {name: k_int32, type: int32}
      - {name: k_timestamp, type: timestamp}
      - {name: k_uuid, type: uuid}
data_sources:
  - {name: app, type: push}
  - {name: both, type: push}
  - {name: devices, type: push}
feature_views:
  - {name: live, entities: [user], source: app, ttl: 1d,
     schema: [{name: clicks, type: int64}, {name: page, type: string}]}
  - {name: visits, entities: [user, shop], source: both, schema: [{name: visits, type: int32}]}
  - {name: places, entities: [place], source: devices, schema: [{name: seen, type: int64}]}
  - name: kinds
    entities: [user]
    source: app
    schema:
      - {name: f_bool, type: bool}
      - {name: f_int32, type: int32}
      - {name: f_int64, type: int64}
      - {name: f_float32, type: float32}
      - {name: f_float64, type: float64}
      - {name: f_string, type: string}
      - {name: f_bytes, type: bytes}
      - {name: f_timestamp, type: timestamp}
      - {name: f_date, type: date}
      - {name: f_json, type: json}
      - {name: f_uuid, type: uuid}
      - {name: f_decimal, type: 'decimal(10, 2)'}
      - {name: f_bools, type: list<bool>}
      - {name: f_int32s, type: list<int32>}
      - {name: f_int64s, type: list<int64>}
      - {name: f_float32s, type: list<float32>}
      - {name: f_float64s, type: list<float64>}
      - {name: f_strings, type: list<string>}
      - {name: f_bytes_list, type: list<bytes>}
      - {name: f_timestamps, type: list<timestamp>}
      - {name: f_jsons, type: list<json>}
      - {name: f_uuids, type: list<uuid>}
      - {name: f_decimals, type: 'list<decimal(10, 2)>'}
      - {name: f_structs, type: 'list<struct<a: int64>>'}
      - {name: f_maps, type: 'list<map<string, int64>>'}
      - {name: f_lists, type: list<list<int64>>}
      - {name: f_string_set, type: set<string>}
      - {name: f_int64_set, type: set<int64>}
      - {name: f_vector32, type: 'vector<float32, 2>'}
      - {name: f_vector64, type: 'vector<float64, 2>'}
      - {name: f_struct, type: 'struct<a: int64, b: string>'}
      - {name: f_map, type: 'map<string, float64>'}
      - {name: f_int_map, type: 'map<int64, list<string>>'}
feature_services:
  - {name: model, features: ['live:page', 'visits']}
";

/// A server and its store. The repository's folder lives as long as this.
pub(crate) struct World {
    pub(crate) state: Arc<AppState>,
    pub(crate) reads: ServingServiceClient<Channel>,
    pub(crate) rows: GrpcFeatureServerClient<Channel>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Outcome<Self> {
        Self::with(Limits::default(), Arc::new(NoAuth)).await
    }

    pub(crate) async fn with(limits: Limits, authorizer: Arc<dyn Authorizer>) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("feature_store.yaml"), "project: grpc")?;
        let options = OpenOptions { now: Some(EventTime::parse(NOW)?), ..OpenOptions::in_folder(folder.path()) };
        let store = FeatureStore::open(&options)?;
        let wanted = Document::parse_yaml(DEFINITIONS, "test.yaml")?.into_definitions()?;
        let change = store.plan(wanted, PlanOptions { scope: Scope::Everything, force: false }).await?;
        store.apply(&change.plan).await?;

        let options = ServerOptions { port: 0, grpc_port: Some(0), limits, ..ServerOptions::default() };
        let server = Server::bind(Arc::new(store), &options, authorizer).await?;
        let state = Arc::clone(server.state());
        let address = server.grpc_address().ok_or("the server has no gRPC")?;
        tokio::spawn(server.run(std::future::pending()));
        let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
        let (reads, rows) = (ServingServiceClient::new(channel.clone()), GrpcFeatureServerClient::new(channel));
        Ok(Self { state, reads, rows, _folder: folder })
    }

    /// Reads features of keys.
    pub(crate) async fn read(
        &mut self,
        features: &[&str],
        entities: &[(&str, Vec<Value>)],
    ) -> Result<GetOnlineFeaturesResponse, Status> {
        self.reads.get_online_features(asked(features, entities)).await.map(Response::into_inner)
    }

    /// Pushes a row to a source, online.
    pub(crate) async fn push(&mut self, source: &str, row: &[(&str, Val)]) -> Result<bool, Status> {
        let request = PushRequest {
            stream_feature_view: source.into(),
            to: "online".into(),
            typed_features: columns(row),
            ..PushRequest::default()
        };
        self.rows.push(request).await.map(|response| response.into_inner().status)
    }

    /// Writes a row of a view.
    pub(crate) async fn write(&mut self, view: &str, row: &[(&str, Val)]) -> Result<bool, Status> {
        let request = WriteToOnlineStoreRequest {
            feature_view_name: view.into(),
            typed_features: columns(row),
            ..WriteToOnlineStoreRequest::default()
        };
        self.rows.write_to_online_store(request).await.map(|response| response.into_inner().status)
    }
}

pub(crate) fn asked(features: &[&str], entities: &[(&str, Vec<Value>)]) -> GetOnlineFeaturesRequest {
    let features = FeatureList { val: features.iter().map(ToString::to_string).collect() };
    let of_key = |(key, val): &(&str, Vec<Value>)| ((*key).to_owned(), RepeatedValue { val: val.clone() });
    GetOnlineFeaturesRequest {
        kind: Some(Kind::Features(features)),
        entities: entities.iter().map(of_key).collect(),
        ..GetOnlineFeaturesRequest::default()
    }
}

pub(crate) fn columns(row: &[(&str, Val)]) -> BTreeMap<String, Value> {
    row.iter().map(|(name, val)| ((*name).to_owned(), value(val.clone()))).collect()
}

pub(crate) fn value(val: Val) -> Value {
    Value { val: Some(val) }
}

pub(crate) fn ints(keys: &[i64]) -> Vec<Value> {
    keys.iter().map(|key| value(Val::Int64Val(*key))).collect()
}

pub(crate) fn text(text: &str) -> Val {
    Val::StringVal(text.to_owned())
}

/// The event time of a row that happened so many seconds ago.
pub(crate) fn ago(seconds: i64) -> (&'static str, Val) {
    ("event_timestamp", Val::UnixTimestampVal(NOW_SECONDS - seconds))
}

/// Checks the code of an error and that its message has some words.
#[track_caller]
pub(crate) fn check_error<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, words: &str) {
    let status = result.expect_err(words);
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(words), "{:?} has no {words:?}", status.message());
}
