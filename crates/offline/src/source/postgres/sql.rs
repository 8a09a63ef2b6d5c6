//! Statements: names and values quoted, and the bounds of a scan as conditions.

use std::ops::RangeInclusive;

use lodestore_core::definition::TableRef;
use lodestore_core::time::EventTime;

use super::Column;
use super::types::ValueType;
use crate::source::{Bounds, KeyValues, TimeBounds};

/// The times that are written into statements, 0001-01-01 to 9999-12-30: their ISO form means the same here and
/// there. A bound beyond them is left out.
const WRITTEN: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_128_000_000_000;

/// Returns what stands behind `FROM`: the table's name, or the query in parentheses.
pub(super) fn relation(reference: &TableRef) -> String {
    match &reference.query {
        // The closing parenthesis has a line of its own: the query may end with a comment.
        Some(query) => format!("(\n{}\n)", query.trim_end_matches(|c: char| c == ';' || c.is_whitespace())),
        None => table_name(&reference.path),
    }
}

/// Returns the statement that tells the columns.
pub(super) fn select_all(relation: &str) -> String {
    format!("SELECT * FROM {relation} AS t")
}

/// Returns the statement that reads columns of the rows for which all conditions hold.
pub(super) fn copy<'a>(relation: &str, columns: impl Iterator<Item = &'a Column>, conditions: &[String]) -> String {
    let columns = columns.map(|column| qualified(&column.name)).collect::<Vec<_>>().join(", ");
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("COPY (SELECT {columns} FROM {relation} AS t{filter}) TO STDOUT (FORMAT binary)")
}

/// Returns conditions that rule out no row but those that the bounds do. `column` finds a column by its name in the
/// views; text is only compared where `is_utf8`, since otherwise the server may not know its characters.
pub(super) fn conditions<'a>(
    bounds: &Bounds,
    column: impl Fn(&str) -> Option<&'a Column>,
    is_utf8: bool,
) -> Vec<String> {
    let times = bounds.times.iter().flat_map(|times| column(&times.column).map(|column| of_times(column, times)));
    let keys = bounds.keys.iter().filter_map(|keys| match (&keys.values, column(&keys.column)?) {
        (KeyValues::Integers { least, greatest, few }, column) => {
            of_integers(column, *least, *greatest, few.as_deref())
        }
        (KeyValues::Texts { least, greatest, few }, column) if is_utf8 => {
            of_texts(column, least, greatest, few.as_deref())
        }
        (KeyValues::Texts { .. }, _) => None,
    });
    times.flatten().chain(keys).collect()
}

fn of_times(column: &Column, times: &TimeBounds) -> Vec<String> {
    let ty = match column.ty {
        ValueType::Timestamp => "timestamptz",
        // A date is its midnight, UTC.
        ValueType::LocalTimestamp | ValueType::Date => "timestamp",
        _ => return Vec::new(),
    };
    let name = qualified(&column.name);
    let condition = |operator: &str, time: Option<EventTime>| {
        let time = time.filter(|time| WRITTEN.contains(&time.as_micros()))?.to_string();
        let time = if ty == "timestamp" { time.trim_end_matches('Z') } else { &time };
        Some(format!("{name} {operator} '{time}'::{ty}"))
    };
    condition(">=", times.earliest).into_iter().chain(condition("<=", times.latest)).collect()
}

fn of_integers(column: &Column, least: i64, greatest: i64, few: Option<&[i64]>) -> Option<String> {
    if !matches!(column.ty, ValueType::Int16 | ValueType::Int32 | ValueType::Int64) {
        return None;
    }
    let name = qualified(&column.name);
    Some(match few {
        Some(few) => {
            let few = few.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
            format!("{name} = ANY ('{{{few}}}'::int8[])")
        }
        None => format!("{name} >= '{least}'::int8 AND {name} <= '{greatest}'::int8"),
    })
}

fn of_texts(column: &Column, least: &str, greatest: &str, few: Option<&[String]>) -> Option<String> {
    if column.ty != ValueType::Text {
        return None;
    }
    let name = qualified(&column.name);
    Some(match few {
        // No text of the server has the character NUL.
        Some(few) => {
            let few = few.iter().filter(|text| !text.contains('\0')).map(|text| literal(text));
            format!("{name} = ANY (ARRAY[{}]::text[])", few.collect::<Vec<_>>().join(", "))
        }
        None => {
            let before_nul = |text: &str| literal(text.split('\0').next().unwrap_or_default());
            format!(
                "{name} COLLATE \"C\" >= {} AND {name} COLLATE \"C\" <= {}",
                before_nul(least),
                before_nul(greatest)
            )
        }
    })
}

fn qualified(column: &str) -> String {
    format!("t.{}", identifier(column))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns text as a value; escaped so that it means the same whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Returns a table's name with each of its parts quoted. A part that has a point in it, or is to be taken as it
/// is, may stand in double quotes already.
pub(super) fn table_name(path: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = path;
    loop {
        let (part, after) = match quoted_part(rest) {
            Some((part, after)) => (part, after),
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        parts.push(identifier(&part));
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return parts.join("."),
        }
    }
}

/// Returns the part in double quotes at the start of a name, if it ends where the part does.
fn quoted_part(name: &str) -> Option<(String, &str)> {
    let mut rest = name.strip_prefix('"')?;
    let mut part = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                part.push('"');
                rest = next;
            }
            None => return (after.is_empty() || after.starts_with('.')).then_some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::KeyBounds;

    fn column(name: &str, ty: ValueType) -> Column {
        Column { name: name.into(), ty }
    }

    #[test]
    fn names_are_quoted_part_by_part() {
        for (path, name) in [
            ("trips", r#""trips""#),
            ("Public.Trips", r#""Public"."Trips""#),
            (r#""a.b".c"#, r#""a.b"."c""#),
            (r#""a""b""#, r#""a""b""#),
            (r#"x"; drop table y; --"#, r#""x""; drop table y; --""#),
            (r#""x"y"#, r#""""x""y""#),
            ("a..b", r#""a".""."b""#),
        ] {
            assert_eq!(table_name(path), name, "{path}");
        }
    }

    #[test]
    fn queries_end_before_their_semicolon_and_may_end_with_a_comment() {
        let mut reference = lodestore_core::definition::FileSource::new("x", "x").unwrap().table().unwrap();
        reference.query = Some("select 1 as a -- one\n; \n".into());
        assert_eq!(relation(&reference), "(\nselect 1 as a -- one\n)");
    }

    fn check(bounds: &Bounds, ty: ValueType, is_utf8: bool, expected: &[&str]) {
        let column = column("a\"b", ty);
        assert_eq!(conditions(bounds, |name| (name == "k").then_some(&column), is_utf8), expected);
    }

    fn keys(values: KeyValues) -> Bounds {
        Bounds { keys: vec![KeyBounds { column: "k".into(), values }], ..Bounds::default() }
    }

    #[test]
    fn integer_keys_are_a_range_or_a_few() {
        let range = keys(KeyValues::Integers { least: i64::MIN, greatest: 7, few: None });
        let both = r#"t."a""b" >= '-9223372036854775808'::int8 AND t."a""b" <= '7'::int8"#;
        check(&range, ValueType::Int16, true, &[both]);
        check(&range, ValueType::Text, true, &[]);
        let few = keys(KeyValues::Integers { least: -1, greatest: 7, few: Some(vec![-1, 7]) });
        check(&few, ValueType::Int64, false, &[r#"t."a""b" = ANY ('{-1,7}'::int8[])"#]);
    }

    #[test]
    fn text_keys_are_escaped_and_ordered_by_their_bytes() {
        let few = Some(vec!["o'brien\\".to_owned(), "nul\0".to_owned()]);
        let few = keys(KeyValues::Texts { least: "n".into(), greatest: "o".into(), few });
        check(&few, ValueType::Text, true, &[r#"t."a""b" = ANY (ARRAY[E'o''brien\\']::text[])"#]);
        check(&few, ValueType::OtherText, true, &[]);
        check(&few, ValueType::Text, false, &[]);
        let range = keys(KeyValues::Texts { least: "a".into(), greatest: "é\0x".into(), few: None });
        let both = r#"t."a""b" COLLATE "C" >= E'a' AND t."a""b" COLLATE "C" <= E'é'"#;
        check(&range, ValueType::Text, true, &[both]);
    }

    #[test]
    fn times_are_bounded_where_they_can_be_written() {
        let at = |micros| Some(EventTime::from_micros(micros));
        let bounds = |earliest, latest| Bounds {
            times: Some(TimeBounds { column: "k".into(), earliest, latest }),
            ..Bounds::default()
        };
        let day = bounds(at(0), at(1));
        let zoned = [
            r#"t."a""b" >= '1970-01-01T00:00:00Z'::timestamptz"#,
            r#"t."a""b" <= '1970-01-01T00:00:00.000001Z'::timestamptz"#,
        ];
        check(&day, ValueType::Timestamp, true, &zoned);
        let local = zoned.map(|text| text.replace("Z'::timestamptz", "'::timestamp"));
        for ty in [ValueType::LocalTimestamp, ValueType::Date] {
            check(&day, ty, true, &[&local[0], &local[1]]);
        }
        check(&bounds(at(i64::MIN), at(i64::MAX)), ValueType::Timestamp, true, &[]);
        check(
            &bounds(at(*WRITTEN.start()), at(*WRITTEN.end())),
            ValueType::Timestamp,
            true,
            &[
                r#"t."a""b" >= '0001-01-01T00:00:00Z'::timestamptz"#,
                r#"t."a""b" <= '9999-12-30T00:00:00Z'::timestamptz"#,
            ],
        );
        check(&bounds(at(WRITTEN.start() - 1), at(WRITTEN.end() + 1)), ValueType::Timestamp, true, &[]);
    }
}
