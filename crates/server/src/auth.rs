//! Who sends a request, and whether they may. Roles and other ways to sign in come behind [`Authorizer`].

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use lodestore::core::{Error, ErrorKind, Result};
use lodestore::{ApiKeySettings, AuthSettings};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read features.
    Read,
    /// Push or write rows.
    Write,
    /// Materialize views.
    Materialize,
    /// Look at definitions, the API's description and metrics.
    Describe,
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key they sent; `None` where no key is asked for.
    pub name: Option<String>,
}

/// Decides who may do what.
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Returns who sends a credential.
    ///
    /// # Errors
    /// `Unauthenticated` if one is needed and is missing or wrong.
    fn authenticate(&self, credential: Option<&str>) -> Result<Caller>;

    /// Returns whether a caller may do something.
    ///
    /// # Errors
    /// `PermissionDenied` if they may not.
    fn authorize(&self, caller: &Caller, action: Action) -> Result<()>;

    /// Returns whether everybody may do everything.
    fn is_open(&self) -> bool;
}

/// Asks for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAuth;

impl Authorizer for NoAuth {
    fn authenticate(&self, _: Option<&str>) -> Result<Caller> {
        Ok(Caller { name: None })
    }

    fn authorize(&self, _: &Caller, _: Action) -> Result<()> {
        Ok(())
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// Asks for one of some keys. Only their hashes are known here.
pub struct ApiKeys(Vec<(String, [u8; 32])>);

impl ApiKeys {
    /// Returns the keys of the settings.
    ///
    /// # Errors
    /// `Invalid` for no key at all, or a hash that is not 64 hexadecimal digits.
    pub fn new(keys: &[ApiKeySettings]) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::invalid("auth of type api_keys has no keys; add one, as {name: ..., sha256: ...}"));
        }
        let parsed = keys.iter().map(|key| {
            let hash = from_hex(&key.sha256).ok_or_else(|| {
                Error::invalid(format!(
                    "the sha256 of API key '{}' is not 64 hexadecimal digits; 'lodestore hash-key' prints them",
                    key.name
                ))
            })?;
            Ok((key.name.clone(), hash))
        });
        Ok(Self(parsed.collect::<Result<_>>()?))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Authorizer for ApiKeys {
    fn authenticate(&self, credential: Option<&str>) -> Result<Caller> {
        let Some(key) = credential else {
            let what = "an API key is needed; send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'";
            return Err(Error::new(ErrorKind::Unauthenticated, what));
        };
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        // Every key is compared, all bytes of it: the time tells nothing.
        let mut found = None;
        for (name, known) in &self.0 {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(name);
            }
        }
        match found {
            Some(name) => Ok(Caller { name: Some(name.clone()) }),
            None => Err(Error::new(ErrorKind::Unauthenticated, "the API key is not known")),
        }
    }

    /// Each key may do everything until there are roles.
    fn authorize(&self, _: &Caller, _: Action) -> Result<()> {
        Ok(())
    }

    fn is_open(&self) -> bool {
        false
    }
}

/// Returns what the settings ask for.
///
/// # Errors
/// As [`ApiKeys::new`].
pub fn authorizer(settings: &AuthSettings) -> Result<std::sync::Arc<dyn Authorizer>> {
    Ok(match settings {
        AuthSettings::NoAuth => std::sync::Arc::new(NoAuth),
        AuthSettings::ApiKeys { keys } => std::sync::Arc::new(ApiKeys::new(keys)?),
    })
}

/// Returns the hash of a key, as settings have it.
#[must_use]
pub fn hash_key(key: &str) -> String {
    to_hex(&Sha256::digest(key.as_bytes()))
}

/// Returns a new key: 256 random bits.
///
/// # Errors
/// `Unavailable` if the system has no random numbers.
pub fn generate_key() -> Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|e| Error::unavailable("the system gives no random numbers").with_source(e))?;
    Ok(to_hex(&bits))
}

/// Returns the key that a request brings.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok())
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ApiKeys {
        let key = |name: &str, key: &str| ApiKeySettings { name: name.into(), sha256: hash_key(key).to_uppercase() };
        ApiKeys::new(&[key("a", "first"), key("b", "second")]).unwrap()
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        assert_eq!(hash_key("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(keys().authenticate(Some("second")).unwrap().name.as_deref(), Some("b"));
        for wrong in [None, Some(""), Some("secon"), Some("second ")] {
            assert_eq!(keys().authenticate(wrong).unwrap_err().kind(), ErrorKind::Unauthenticated);
        }
        assert!(!format!("{:?}", keys()).contains("ba78"));
    }

    #[test]
    fn wrong_hashes_are_refused() {
        for wrong in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            let settings = [ApiKeySettings { name: "a".into(), sha256: wrong.to_owned() }];
            assert!(ApiKeys::new(&settings).unwrap_err().message().contains("'a'"), "{wrong}");
        }
        assert!(ApiKeys::new(&[]).is_err());
    }

    #[test]
    fn a_key_comes_in_either_header() {
        let check = |name: &'static str, value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(credential(&headers), expected);
        };
        check("authorization", "Bearer k", Some("k"));
        check("authorization", "bearer  k", Some("k"));
        check("authorization", "Basic k", None);
        check("x-api-key", "k", Some("k"));
    }
}
