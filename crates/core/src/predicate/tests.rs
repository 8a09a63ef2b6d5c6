use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array, ListArray,
    NullArray, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int32Type;

use super::*;

/// Rows 0 to 3; row 3 is null wherever it can be.
fn rows() -> RecordBatch {
    let big = (1_i64 << 53) + 1;
    let text = |values: [Option<&str>; 4]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![Some(1), Some(big), Some(-5), None]))),
        ("f", Arc::new(Float64Array::from(vec![Some(-0.0), Some(big as f64), Some(-f64::NAN), None]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.1), Some(0.5), Some(f32::INFINITY), None]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]))),
        ("city", text([Some("Oslo"), Some("o'clock"), Some(""), None])),
        ("Some \"city\"", text([Some("a"), None, None, None])),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(-1), Some(86_400_000_000), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(0), Some(-1), Some(1), None]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(150), Some(10), Some(-1), None])
                    .with_precision_and_scale(5, 2)
                    .unwrap(),
            ),
        ),
        ("items", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![]), None, None, None]))),
        ("wide", Arc::new(UInt64Array::from(vec![1, 2, 3, 4]))),
        ("nothing", Arc::new(NullArray::new(4))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Checks for which rows a condition is true, and that its opposite is true where it is false, not
/// where it is unknown.
fn check(text: &str, true_for: &[usize], false_for: &[usize]) {
    let batch = rows();
    let found = |text: &str| {
        let answer = Predicate::parse(text).unwrap().bind(batch.schema_ref()).unwrap().evaluate(&batch).unwrap();
        assert_eq!((answer.len(), answer.null_count()), (4, 0), "{text}");
        answer.iter().enumerate().filter(|(_, is_true)| *is_true == Some(true)).map(|(row, _)| row).collect::<Vec<_>>()
    };
    assert_eq!(found(text), true_for, "{text}");
    assert_eq!(found(&format!("not ({text})")), false_for, "not ({text})");
}

#[test]
fn numbers_compare_by_value_and_exactly() {
    check("i > 0", &[0, 1], &[2]);
    check("i = 9007199254740993", &[1], &[0, 2]);
    check("i > 9007199254740992.0", &[1], &[0, 2]);
    check("i <= 0.5", &[2], &[0, 1]);
    check("i > -5.5 and i < -4.5", &[2], &[0, 1]);
    check("i > f", &[0, 1], &[2]);
    check("f < i", &[0, 1], &[2]);
    check("i < 1e300", &[0, 1, 2], &[]);
    check("i < 99999999999999999999", &[0, 1, 2], &[]);
    check("-9223372036854775808 < i", &[0, 1, 2], &[]);
    check("f = 0", &[0], &[1, 2]);
    check("f = -0.0", &[0], &[1, 2]);
    check("f > 1e308", &[2], &[0, 1]);
    check("f = f", &[0, 1, 2], &[]);
    check("f32 = 0.1", &[], &[0, 1, 2]);
    check("f32 = 0.5", &[1], &[0, 2]);
    check("f32 > f", &[0], &[1, 2]);
    check("1 < 1.5", &[0, 1, 2, 3], &[]);
}

#[test]
fn decimals_compare_digit_by_digit() {
    check("price = 1.5", &[0], &[1, 2]);
    check("price = 0.1", &[1], &[0, 2]);
    check("price > -0.011", &[0, 1, 2], &[]);
    check("price >= 1", &[0], &[1, 2]);
    check("price < i", &[1], &[0, 2]);
    check("1.50e0 = price", &[0], &[1, 2]);
}

#[test]
fn text_dates_and_times_compare_with_text_as_written() {
    check("city = 'o''clock'", &[1], &[0, 2]);
    check("city < 'a'", &[0, 2], &[1]);
    check("\"Some \"\"city\"\"\" = 'a'", &[0], &[]);
    check("at >= '1970-01-01'", &[0, 2], &[1]);
    check("at = '1970-01-01T02:00:00+02:00'", &[0], &[1, 2]);
    check("day = '1969-12-31'", &[1], &[0, 2]);
    check("day > at", &[], &[0, 1, 2]);
    check("day = at", &[0, 2], &[1]);
}

#[test]
fn null_is_unknown() {
    check("null", &[], &[]);
    check("i = null", &[], &[]);
    check("nothing = 1 or nothing", &[], &[]);
    check("nothing is null", &[0, 1, 2, 3], &[]);
    check("i is null", &[3], &[0, 1, 2]);
    check("i is not null and null is null", &[0, 1, 2], &[3]);
    check("items is null", &[1, 2, 3], &[0]);
    check("(i > 0) is null", &[3], &[0, 1, 2]);
    check("b or i is null", &[0, 2, 3], &[1]);
    check("b and i is not null", &[0, 2], &[1, 3]);
    check("true or i > 0", &[0, 1, 2, 3], &[]);
    check("i in (1, null)", &[0], &[]);
    check("i not in (1, 2.5, -5)", &[1], &[0, 2]);
    check("i IN (price, f)", &[], &[0, 1, 2]);
    check("i between -5 and 1", &[0, 2], &[1]);
    check("i NOT BETWEEN null AND 0", &[0, 1], &[]);
    check("b = (i > 0)", &[0], &[1, 2]);
    check("not not b <> false", &[0, 2], &[1]);
}

#[test]
fn and_binds_closer_than_or() {
    check("b or b and false", &[0, 2], &[1]);
    check("(b or b) and false", &[], &[0, 1, 2, 3]);
    check("not b or b", &[0, 1, 2], &[]);
}

#[test]
fn columns_are_named_once() {
    let predicate = Predicate::parse("b > 1 and (a in (1, c) or not \"b\" is null)").unwrap();
    assert_eq!(predicate.columns(), ["b", "a", "c"]);
    assert_eq!(predicate.to_string(), "b > 1 and (a in (1, c) or not \"b\" is null)");
}

fn check_parse_error(text: &str, expected: &str) {
    let error = Predicate::parse(text).unwrap_err();
    assert_eq!(error.message(), format!("condition {text:?} is wrong at character {expected}"));
}

#[test]
fn a_wrong_text_is_refused_with_the_place() {
    let value = "a column, a number, 'text', true, false or null";
    check_parse_error("", &format!("1: expected {value}, found the end"));
    check_parse_error("é >> 1", &format!("4: expected {value}, found '>'"));
    check_parse_error("a < b < c", "7: expected 'and', 'or' or the end, found '<'");
    check_parse_error("a and", &format!("6: expected {value}, found the end"));
    check_parse_error("(a", "3: expected ')', found the end");
    check_parse_error("a is 1", "6: expected 'null' or 'not null', found '1'");
    check_parse_error("a not null", "7: expected 'in' or 'between', found 'null'");
    check_parse_error("a in ()", &format!("7: expected {value}, found ')'"));
    check_parse_error("a in (1", "8: expected ',' or ')', found the end");
    check_parse_error("a between 1 or 2", "13: expected 'and' and the upper bound, found 'or'");
    check_parse_error("(a) in (1) and (b or c) in (1)", "25: 'in' follows a column or a value");
    check_parse_error("a = 'x", "5: what starts with ' here does not end with '");
    check_parse_error("a + 1", "3: expected 'and', 'or' or the end, found '+'");
    check_parse_error("a * 1", "3: '*' is not known: a condition has no arithmetic");
    check_parse_error("a = 1.5x", "5: \"1.5x\" is not a number");
    check_parse_error("a = -b", "6: expected a number, found 'b'");
    check_parse_error("a = 1e", "5: \"1e\" is not a number: its exponent has no digits");
    check_parse_error("\"\" = 1", "1: a column's name is empty");
    let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    assert!(Predicate::parse(&deep).unwrap_err().message().contains("nested deeper than 64"));
    assert!(Predicate::parse(&"not ".repeat(100_000)).is_err());
}

fn check_bind_error(text: &str, expected: &str) {
    let error = Predicate::parse(text).unwrap().bind(rows().schema_ref()).unwrap_err();
    assert_eq!(error.to_string(), format!("{expected} (condition: {text})"));
}

#[test]
fn unknown_columns_and_values_that_do_not_fit_are_named() {
    check_bind_error("citi = 'a'", "unknown column 'citi'; did you mean 'city'?");
    check_bind_error("city > 5", "column 'city' of type string can't be compared with the number 5");
    check_bind_error("i = 'a'", "column 'i' of type int64 can't be compared with the text \"a\"");
    check_bind_error(
        "price = f",
        "column 'price' of type decimal(5, 2) can't be compared with column 'f' of type float64",
    );
    check_bind_error("b = 1", "column 'b' of type bool can't be compared with the number 1");
    check_bind_error(
        "items = items",
        "column 'items' of type list<int32> can't be compared with column 'items' of type list<int32>",
    );
    check_bind_error("i", "column 'i' of type int64 is no condition; compare it with something, as in 'amount > 0'");
    check_bind_error("wide = 1", "column 'wide' has type UInt64, which no feature has: it can't be compared");
    check_bind_error(
        "day = '1970-01-01T01:00:00'",
        "\"1970-01-01T01:00:00\" is not a date; expected one like '2024-01-31'",
    );
    check_bind_error("f > 1e400", "the number 1e400 is out of the range of float64");
    assert!(Predicate::parse("at > 'noon'").unwrap().bind(rows().schema_ref()).is_err());
}

#[test]
fn a_batch_is_held_to_what_was_bound() {
    let bound = Predicate::parse("i > 0").unwrap().bind(rows().schema_ref()).unwrap();
    let other: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let batch = RecordBatch::try_from_iter([("i", Arc::clone(&other))]).unwrap();
    let error = bound.evaluate(&batch).unwrap_err();
    assert_eq!(error.message(), "column 'i' has type Utf8, but the condition was bound to Int64");
    let error = bound.evaluate(&RecordBatch::try_from_iter([("j", other)]).unwrap()).unwrap_err();
    assert_eq!(error.message(), "column 'i' is missing");
}
