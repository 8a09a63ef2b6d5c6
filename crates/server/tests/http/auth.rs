//! Who may use a server.

use std::sync::Arc;

use lodestore::core::ErrorKind;
use lodestore::{ApiKeySettings, AuthSettings};
use lodestore_server::{Authorizer, Limits, NoAuth, Server, ServerOptions, Unauthenticated, authorizer, hash_key};

use crate::client::send;
use crate::support::{Running, folder, open, options, runtime};

fn keys() -> Arc<dyn Authorizer> {
    let key = |name: &str, key: &str| ApiKeySettings { name: name.into(), sha256: hash_key(key) };
    authorizer(&AuthSettings::ApiKeys { keys: vec![key("a", "first"), key("b", "second")] }).unwrap()
}

#[test]
fn every_route_but_health_asks_for_a_key() {
    let server = Running::with(Limits::default(), keys());
    for (method, path) in [
        ("POST", "/get-online-features"),
        ("POST", "/push"),
        ("POST", "/write-to-online-store"),
        ("POST", "/materialize"),
        ("POST", "/materialize-incremental"),
        ("POST", "/v1/online-features"),
        ("POST", "/v1/push"),
        ("POST", "/v1/write"),
        ("GET", "/v1/registry"),
        ("GET", "/v1/registry/entities/driver"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
    ] {
        let answer = send(server.address, method, path, &[], b"{}").has_status(401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        send(server.address, method, path, &[("x-api-key", "third")], b"{}").has_status(401);
        let known = send(server.address, method, path, &[("x-api-key", "second")], b"{}");
        assert_ne!(known.status, 401, "{path}");
    }
    for path in ["/health", "/v1/health/live", "/v1/health/ready"] {
        server.get(path).ok();
    }
}

#[test]
fn a_key_is_sent_as_feasts_client_does_or_in_a_header_of_its_own() {
    let server = Running::with(Limits::default(), keys());
    let registry = |name: &str, value: &str| send(server.address, "GET", "/v1/registry", &[(name, value)], b"").status;
    assert_eq!(registry("authorization", "Bearer first"), 200);
    assert_eq!(registry("X-API-Key", "first"), 200);
    assert_eq!(registry("authorization", "Bearer second "), 200);
    assert_eq!(registry("authorization", "Basic first"), 401);
    assert_eq!(registry("authorization", "Bearer FIRST"), 401);
    assert_eq!(registry("authorization", "Bearer"), 401);
    let told = send(server.address, "POST", "/push", &[], b"{}").feast_error();
    assert!(told.1.contains("an API key is needed"), "{}", told.1);
}

#[test]
fn others_than_this_machine_are_not_served_unless_keys_are_asked_for_or_it_is_allowed() {
    let (runtime, folder) = (runtime(), folder());
    let store = open(folder.path());
    let bind = |unauthenticated, authorizer: Arc<dyn Authorizer>| {
        let options = ServerOptions { host: "0.0.0.0".into(), unauthenticated, ..options(Limits::default()) };
        runtime.block_on(Server::bind(Arc::clone(&store), &options, authorizer)).map(|_| ())
    };
    let error = bind(Unauthenticated::Loopback, Arc::new(NoAuth)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("--allow-unauthenticated"), "{error}");
    bind(Unauthenticated::Anybody, Arc::new(NoAuth)).unwrap();
    bind(Unauthenticated::Loopback, keys()).unwrap();
}
