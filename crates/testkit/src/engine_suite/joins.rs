//! The rules of the point-in-time join, each by small cases made by hand.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

use super::EngineHarness;
use super::example::{one_table, one_view, run};
use crate::fixture::{Retrieval, parse_table};
use crate::golden::check_case;
use crate::{Outcome, check_eq};

type Harness<'a> = &'a dyn EngineHarness;

pub(super) async fn p1_columns_of_the_caller_are_untouched(harness: Harness<'_>) -> Outcome {
    let request = one_view("{name: y, type: int64}")?;
    let mut retrieval = one_table(&request, "k:int64 at:timestamp y:int64\n1 2024-01-01T00:00:00Z 10")?;
    let given = parse_table(
        "y_x:float64  k:int8  event_timestamp:timestamp[ns]  label:dictionary  weird:struct<a:list<int64>>
         NaN          2       2024-01-02T00:00:00.000000001Z yes               {\"a\":[]}
         -0.0         1       2024-01-02T00:00:00.000000002Z null              null
         1.5          1       2024-01-02T00:00:00.000000002Z yes               {\"a\":null}
         1.5          1       2024-01-02T00:00:00.000000002Z yes               {\"a\":[null,1]}",
    )?;
    // Metadata of the frame and a column that is not nullable belong to the caller too.
    let metadata = HashMap::from([("pandas".to_owned(), "{}".to_owned())]);
    let fields = given.schema_ref().fields().iter().map(|field| match field.name().as_str() {
        "k" => Arc::new(Field::clone(field).with_nullable(false).with_metadata(metadata.clone())),
        _ => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata.clone()));
    retrieval.questions = RecordBatch::try_new(schema, given.columns().to_vec())?;
    let answer = run(harness, &retrieval).await?;
    check_eq!(answer.schema().metadata(), &metadata, "the frame's metadata");
    retrieval.check_answer(&answer)
}

pub(super) async fn p1_no_questions_and_no_rows_are_answered(harness: Harness<'_>) -> Outcome {
    let request = one_view("{name: y, type: 'list<int64>'}")?;
    let empty = "k:int64 at:timestamp y:list<int64>";
    let no_rows = one_table(&request, empty)?;
    no_rows.check_answer(&run(harness, &no_rows).await?)?;
    let no_questions = Retrieval { questions: no_rows.questions.slice(0, 0), ..no_rows };
    no_questions.check_answer(&run(harness, &no_questions).await?)?;
    let engine = harness.engine(&no_questions.tables)?;
    let stream = engine.historical(&no_questions.plan()?, Vec::new(), &Arc::default()).await?;
    no_questions.check_answer(&crate::fixture::collect(stream).await?)
}

pub(super) async fn p2_both_ends_of_the_ttl_are_inclusive(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  k:int64  at:timestamp          y:int64
  1        2024-01-02T00:00:00Z  10
view limited source=s keys=k features=y ttl=1d
view endless source=s keys=k features=y
options full_names
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-01T23:59:59.999999Z
  1        2024-01-02T00:00:00Z
  1        2024-01-03T00:00:00Z
  1        2024-01-03T00:00:00.000001Z
----
k:int64  event_timestamp:timestamp    limited__y:int64  endless__y:int64
1        2024-01-01T23:59:59.999999Z  null              null
1        2024-01-02T00:00:00Z         10                10
1        2024-01-03T00:00:00Z         10                10
1        2024-01-03T00:00:00.000001Z  null              10
",
    )
    .await
}

pub(super) async fn p3_created_then_values_decide_between_equal_event_times(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at created=written
  k:int64  at:timestamp          written:timestamp     y:int64  z:string
  1        2024-01-01T00:00:00Z  2024-01-03T00:00:00Z  9        old_event
  1        2024-01-02T00:00:00Z  2024-01-02T00:00:00Z  8        old_record
  1        2024-01-02T00:00:00Z  2024-01-02T06:00:00Z  1        z
  1        2024-01-02T00:00:00Z  2024-01-02T06:00:00Z  2        a
  1        2024-01-02T00:00:00Z  2024-01-02T06:00:00Z  2        b
  1        2024-01-02T00:00:00Z  null                  9        unknown_record
  2        2024-01-02T00:00:00Z  null                  1        a
  2        2024-01-02T00:00:00Z  null                  null     b
view v source=s keys=k features=y,z
ask v:z v:y
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-04T00:00:00Z
  2        2024-01-04T00:00:00Z
----
k:int64  event_timestamp:timestamp  z:string  y:int64
1        2024-01-04T00:00:00Z       b         2
2        2024-01-04T00:00:00Z       a         1
",
    )
    .await
}

pub(super) async fn p3_nan_is_above_all_numbers_and_null_below(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  k:int64  at:timestamp          y:float64  z:list<int64>
  1        2024-01-01T00:00:00Z  NaN        [1]
  1        2024-01-01T00:00:00Z  inf        [2]
  2        2024-01-01T00:00:00Z  -inf       [1]
  2        2024-01-01T00:00:00Z  null       [2]
  3        2024-01-01T00:00:00Z  0.0        [1]
  3        2024-01-01T00:00:00Z  -0.0       [2]
  4        2024-01-01T00:00:00Z  1          [1]
  4        2024-01-01T00:00:00Z  1          [1,null]
  4        2024-01-01T00:00:00Z  1          [null,9,9]
  5        2024-01-01T00:00:00Z  1          []
  5        2024-01-01T00:00:00Z  1          null
view v source=s keys=k features=y,z
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-02T00:00:00Z
  2        2024-01-02T00:00:00Z
  3        2024-01-02T00:00:00Z
  4        2024-01-02T00:00:00Z
  5        2024-01-02T00:00:00Z
----
k:int64  event_timestamp:timestamp  y:float64  z:list<int64>
1        2024-01-02T00:00:00Z       NaN        [1]
2        2024-01-02T00:00:00Z       -inf       [1]
3        2024-01-02T00:00:00Z       0.0        [1]
4        2024-01-02T00:00:00Z       1          [1,null]
5        2024-01-02T00:00:00Z       1          []
",
    )
    .await
}

pub(super) async fn p4_as_known_leaves_out_later_corrections(harness: Harness<'_>) -> Outcome {
    let given = "
source s time=at created=written
  k:int64  at:timestamp          written:timestamp     y:int64
  1        2024-01-01T00:00:00Z  2024-01-01T06:00:00Z  10
  1        2024-01-01T00:00:00Z  2024-01-05T00:00:00Z  11
view v source=s keys=k features=y
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-01T05:59:59.999999Z
  1        2024-01-01T06:00:00Z
  1        2024-01-04T23:59:59.999999Z
  1        2024-01-05T00:00:00Z";
    check_case(
        harness,
        &format!(
            "{given}
options as_known
----
k:int64  event_timestamp:timestamp    y:int64
1        2024-01-01T05:59:59.999999Z  null
1        2024-01-01T06:00:00Z         10
1        2024-01-04T23:59:59.999999Z  10
1        2024-01-05T00:00:00Z         11
"
        ),
    )
    .await?;
    check_case(
        harness,
        &format!(
            "{given}
----
k:int64  event_timestamp:timestamp    y:int64
1        2024-01-01T05:59:59.999999Z  11
1        2024-01-01T06:00:00Z         11
1        2024-01-04T23:59:59.999999Z  11
1        2024-01-05T00:00:00Z         11
"
        ),
    )
    .await
}

pub(super) async fn p5_a_question_without_candidate_stays_with_nulls(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  k:int64  at:timestamp          y:int64
  1        2024-01-05T00:00:00Z  10
  1        null                  11
view v source=s keys=k features=y
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-01T00:00:00Z
  9        2024-01-09T00:00:00Z
  1        null
----
k:int64  event_timestamp:timestamp  y:int64
1        2024-01-01T00:00:00Z       null
9        2024-01-09T00:00:00Z       null
1        null                       null
",
    )
    .await
}

pub(super) async fn p6_a_null_key_matches_nothing(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  k:int64  l:string  at:timestamp          y:int64
  null     a         2024-01-01T00:00:00Z  10
  1        null      2024-01-01T00:00:00Z  11
  null     null      2024-01-01T00:00:00Z  12
  1        a         2024-01-01T00:00:00Z  13
view v source=s keys=k,l features=y
entities
  k:int64  l:string  event_timestamp:timestamp
  null     a         2024-01-02T00:00:00Z
  1        null      2024-01-02T00:00:00Z
  null     null      2024-01-02T00:00:00Z
  1        a         2024-01-02T00:00:00Z
----
k:int64  l:string  event_timestamp:timestamp  y:int64
null     a         2024-01-02T00:00:00Z       null
1        null      2024-01-02T00:00:00Z       null
null     null      2024-01-02T00:00:00Z       null
1        a         2024-01-02T00:00:00Z       13
",
    )
    .await
}

pub(super) async fn p6_keys_compare_by_value_in_the_declared_type(harness: Harness<'_>) -> Outcome {
    let pairs = [
        ("int64", "int32", "-7", "-7", "7"),
        ("int32", "int64", "7", "7", "4294967303"),
        ("string", "large_string", "a", "a", "A"),
        ("string", "dictionary", "\"\"", "\"\"", "null"),
        ("bytes", "bytes", "00ff", "00ff", "00"),
        ("bool", "bool", "true", "true", "false"),
        ("date", "date", "2024-02-29", "2024-02-29", "2024-03-01"),
        ("timestamp", "timestamp[s]", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"),
        (
            "timestamp",
            "timestamp[ns]",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.000000001Z",
        ),
    ];
    for (declared, asked, stored, equal, other) in pairs {
        check_case(
            harness,
            &format!(
                "
source s time=at
  k:{declared}  at:timestamp          y:int64
  {stored}      2024-01-01T00:00:00Z  10
view v source=s keys=k features=y
entities
  k:{asked}  event_timestamp:timestamp
  {equal}    2024-01-02T00:00:00Z
  {other}    2024-01-02T00:00:00Z
----
k:{asked}  event_timestamp:timestamp  y:int64
{equal}    2024-01-02T00:00:00Z       10
{other}    2024-01-02T00:00:00Z       null
"
            ),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn p6_a_key_column_of_another_type_is_an_error_that_names_it(harness: Harness<'_>) -> Outcome {
    for (ty, value) in [("float64", "1"), ("string", "1"), ("bool", "true")] {
        check_case(
            harness,
            &format!(
                "
source s time=at
  k:int64  at:timestamp          y:int64
  1        2024-01-01T00:00:00Z  10
view v source=s keys=k features=y
service v keys=k>driver
entities
  driver:{ty}  event_timestamp:timestamp
  {value}      2024-01-02T00:00:00Z
----
error invalid: column 'driver'
"
            ),
        )
        .await?;
        check_case(
            harness,
            &format!(
                "
source s time=at
  k:{ty}   at:timestamp          y:int64
  {value}  2024-01-01T00:00:00Z  10
view v source=s keys=k:int64 features=y
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-02T00:00:00Z
----
error invalid: column 'k'
"
            ),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn p6_composite_keys_do_not_run_into_each_other(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  a:string  b:string  at:timestamp          y:int64
  1         23        2024-01-01T00:00:00Z  10
  \"1\\u0000\"  23    2024-01-01T00:00:00Z  11
  \"\"      123       2024-01-01T00:00:00Z  12
view v source=s keys=b,a features=y
entities
  b:string  a:string  event_timestamp:timestamp
  \"23\"    \"1\"     2024-01-02T00:00:00Z
  \"3\"     \"12\"    2024-01-02T00:00:00Z
  \"\"      \"123\"   2024-01-02T00:00:00Z
  \"123\"   \"\"      2024-01-02T00:00:00Z
  \"23\"  \"1\\u0000\"  2024-01-02T00:00:00Z
----
b:string  a:string  event_timestamp:timestamp  y:int64
\"23\"    \"1\"     2024-01-02T00:00:00Z       10
\"3\"     \"12\"    2024-01-02T00:00:00Z       null
\"\"      \"123\"   2024-01-02T00:00:00Z       null
\"123\"   \"\"      2024-01-02T00:00:00Z       12
\"23\"  \"1\\u0000\"  2024-01-02T00:00:00Z     11
",
    )
    .await
}

pub(super) async fn p7_a_view_without_entities_answers_with_its_latest_row(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at delay=1h
  at:timestamp          rate:float64
  2024-01-02T00:00:00Z  1.2
  2024-01-01T00:00:00Z  1.1
view rates source=s features=rate ttl=2d
entities
  event_timestamp:timestamp  n:int64
  2024-01-02T00:59:59Z       1
  2024-01-02T01:00:00Z       2
  2023-01-01T00:00:00Z       3
----
event_timestamp:timestamp  n:int64  rate:float64
2024-01-02T00:59:59Z       1        1.1
2024-01-02T01:00:00Z       2        1.2
2023-01-01T00:00:00Z       3        null
",
    )
    .await
}

pub(super) async fn p8_aliases_join_the_same_view_by_other_columns(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  city:string  at:timestamp          y:int64
  a            2024-01-01T00:00:00Z  10
  b            2024-01-01T00:00:00Z  20
view v source=s keys=city features=y
service v alias=origin keys=city>from_city
service v alias=target keys=city>to_city
options full_names
entities
  from_city:string  to_city:string  event_timestamp:timestamp
  a                 b               2024-01-02T00:00:00Z
  b                 b               2024-01-02T00:00:00Z
  c                 a               2024-01-02T00:00:00Z
----
from_city:string  to_city:string  event_timestamp:timestamp  origin__y:int64  target__y:int64
a                 b               2024-01-02T00:00:00Z       10               20
b                 b               2024-01-02T00:00:00Z       20               20
c                 a               2024-01-02T00:00:00Z       null             10
",
    )
    .await
}
