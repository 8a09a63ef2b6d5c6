//! Field by field differences of two objects, by the JSON forms of their definitions.

use lodestore_core::definition::{FeatureService, FeatureView, Projection};
use lodestore_core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};

/// A field of a definition that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field's name; within named parts, as in `schema.trips.type`.
    pub path: String,
    /// What it was; `None` for a field that is added.
    pub before: Option<Value>,
    /// What it will be; `None` for a field that is removed.
    pub after: Option<Value>,
}

/// Returns the JSON form of an object, its fields to be compared one by one.
pub(super) fn form(object: &impl Serialize) -> Result<Value> {
    serde_json::to_value(object).map_err(|e| Error::internal("writing a definition as json").with_source(e))
}

/// Returns the form of a feature view. Whether it is served online is written out, since a plan must not
/// leave it to be guessed.
pub(super) fn view_form(view: &FeatureView) -> Result<Value> {
    let mut value = form(view)?;
    value["online"] = view.online.into();
    Ok(value)
}

/// Returns the form of a feature service, a text for each feature: how features are grouped in a
/// definition changes no answer.
pub(super) fn service_form(service: &FeatureService) -> Result<Value> {
    let mut value = form(service)?;
    value["features"] = service.features.iter().flat_map(projection_texts).map(Value::String).collect();
    Ok(value)
}

fn projection_texts(projection: &Projection) -> Vec<String> {
    let mut suffix = projection.alias.as_ref().map_or_else(String::new, |alias| format!(" as {alias}"));
    for (key, column) in &projection.join_key_map {
        suffix += &format!(" by {key} = {column}");
    }
    match &projection.features {
        None => vec![format!("{}{suffix}", projection.view)],
        Some(features) => features.iter().map(|feature| format!("{}:{feature}{suffix}", projection.view)).collect(),
    }
}

/// Returns the fields in which two forms of one object differ, in the object's order. Without a form
/// before, every field is new.
pub(super) fn changes(before: Option<&Value>, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let empty = Value::Object(Map::new());
    compare("", before.or(Some(&empty)), Some(after), &mut changes);
    // The name is the object's identity: it is no news in a new one and the same in an old one.
    changes.retain(|change| change.path != "name");
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    let empty = Map::new();
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => compare_fields(path, before, after, changes),
        (None, Some(Value::Object(after))) => compare_fields(path, &empty, after, changes),
        (Some(Value::Object(before)), None) => compare_fields(path, before, &empty, changes),
        _ => match (named(before), named(after), texts(before), texts(after)) {
            (Some(before), Some(after), ..) => compare_named(path, &before, &after, changes),
            (.., Some(before), Some(after)) => compare_texts(path, &before, &after, changes),
            _ => changes.push(change(path, before.cloned(), after.cloned())),
        },
    }
}

fn compare_fields(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, changes: &mut Vec<FieldChange>) {
    // An object is shown in the order it will have; what it loses comes last.
    let lost = before.keys().filter(|key| !after.contains_key(*key));
    for key in after.keys().chain(lost) {
        compare(&join(path, key), before.get(key), after.get(key), changes);
    }
}

type Named<'a> = Vec<(&'a str, Map<String, Value>)>;

/// Returns the entries of a list of objects with distinct names; an absent list has none.
fn named(list: Option<&Value>) -> Option<Named<'_>> {
    let Some(list) = list else { return Some(Vec::new()) };
    let mut entries: Named<'_> = Vec::new();
    for entry in list.as_array()? {
        let name = entry.get("name")?.as_str()?;
        if entries.iter().any(|(other, _)| *other == name) {
            return None;
        }
        let fields = entry.as_object()?.iter().filter(|(key, _)| *key != "name");
        entries.push((name, fields.map(|(key, value)| (key.clone(), value.clone())).collect()));
    }
    Some(entries)
}

fn compare_named(path: &str, before: &Named<'_>, after: &Named<'_>, changes: &mut Vec<FieldChange>) {
    let find = |list: &Named<'_>, name: &str| list.iter().find(|(other, _)| *other == name).map(|(_, f)| f.clone());
    for (name, fields) in after {
        match find(before, name) {
            Some(old) => compare_fields(&join(path, name), &old, fields, changes),
            None => changes.push(change(&join(path, name), None, Some(Value::Object(fields.clone())))),
        }
    }
    for (name, fields) in before {
        if find(after, name).is_none() {
            changes.push(change(&join(path, name), Some(Value::Object(fields.clone())), None));
        }
    }
    let names = |list: &Named<'_>, other: &Named<'_>| -> Vec<String> {
        list.iter().filter(|(name, _)| find(other, name).is_some()).map(|(name, _)| (*name).to_owned()).collect()
    };
    compare_order(path, &names(before, after), &names(after, before), changes);
}

/// Returns the entries of a list of distinct texts.
fn texts(list: Option<&Value>) -> Option<Vec<String>> {
    let texts: Option<Vec<String>> = list?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| (1..texts.len()).all(|i| !texts[..i].contains(&texts[i])))
}

fn compare_texts(path: &str, before: &[String], after: &[String], changes: &mut Vec<FieldChange>) {
    let (new, kept): (Vec<_>, Vec<_>) = after.iter().cloned().partition(|text| !before.contains(text));
    let (lost, old): (Vec<_>, Vec<_>) = before.iter().cloned().partition(|text| !after.contains(text));
    changes.extend(new.into_iter().map(|text| change(path, None, Some(Value::String(text)))));
    changes.extend(lost.into_iter().map(|text| change(path, Some(Value::String(text)), None)));
    compare_order(path, &old, &kept, changes);
}

fn compare_order(path: &str, before: &[String], after: &[String], changes: &mut Vec<FieldChange>) {
    if before != after {
        changes.push(change(path, Some(before.into()), Some(after.into())));
    }
}

fn change(path: &str, before: Option<Value>, after: Option<Value>) -> FieldChange {
    FieldChange { path: path.to_owned(), before, after }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: &Value, after: &Value, expected: &str) {
        let shown: Vec<_> = changes(Some(before), after).iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(" | "), expected);
    }

    #[test]
    fn fields_are_compared_one_by_one() {
        check(&json!({"name": "a"}), &json!({"name": "a"}), "");
        check(&json!({"ttl": "1d", "x": 1}), &json!({"ttl": "2d", "x": 1}), "ttl: 1d -> 2d");
        check(&json!({"owner": "me"}), &json!({"ttl": "2d"}), "+ ttl: 2d | - owner: me");
        check(&json!({}), &json!({"tags": {"a": "b c", "d": ""}}), "+ tags.a: b c | + tags.d: \"\"");
        check(&json!({"tags": {"a": "1"}}), &json!({}), "- tags.a: \"1\"");
        check(&json!({"description": "a\nb"}), &json!({"description": "a"}), "description: \"a\\nb\" -> a");
    }

    #[test]
    fn parts_with_names_are_compared_by_name() {
        let before = json!({"schema": [{"name": "a", "type": "int32"}, {"name": "b", "type": "int64"}]});
        let after = json!({"schema": [{"name": "c", "type": "bool", "default": true}, {"name": "a", "type": "int64"}]});
        check(&before, &after, "+ schema.c: bool, default: true | schema.a.type: int32 -> int64 | - schema.b: int64");
        let turned = json!({"schema": [{"name": "b", "type": "int64"}, {"name": "a", "type": "int32"}]});
        check(&before, &turned, "schema: [a, b] -> [b, a]");
    }

    #[test]
    fn lists_of_texts_are_compared_by_entry_and_order() {
        check(&json!({"e": ["a", "b"]}), &json!({"e": ["b", "c"]}), "+ e: c | - e: a");
        check(&json!({"e": ["a", "b"]}), &json!({"e": ["b", "a"]}), "e: [a, b] -> [b, a]");
        check(&json!({"e": [1, 2]}), &json!({"e": [2]}), "e: [1, 2] -> [2]");
        check(&json!({"e": ["a", "a"]}), &json!({"e": ["a"]}), "e: [a, a] -> [a]");
    }
}
