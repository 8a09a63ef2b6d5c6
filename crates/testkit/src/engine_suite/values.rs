//! The rules of values and errors, each by small cases made by hand.

use arrow::array::{ArrayRef, RecordBatch};
use lodestore_core::ErrorKind;
use lodestore_core::types::FeatureType;

use super::EngineHarness;
use super::example::{one_table, one_view, refused, run};
use crate::generate::{Rng, every_type, value};
use crate::golden::check_case;
use crate::oracle::{Value, build};
use crate::{Outcome, check, check_eq};

type Harness<'a> = &'a dyn EngineHarness;

pub(super) async fn v1_every_type_goes_in_and_comes_out_equal(harness: Harness<'_>) -> Outcome {
    const ROWS: i64 = 40;
    let mut rng = Rng::new(1);
    for ty in every_type() {
        let request = one_view(&format!("{{name: y, type: '{ty}'}}"))?;
        let mut retrieval = one_table(&request, "k:int64 at:timestamp y:int64")?;
        let values: Vec<Value> = (0..ROWS).map(|_| value(&mut rng, &ty)).collect();
        let keys: Vec<Value> = (0..ROWS).map(Value::Int64).collect();
        let times = vec![Value::Timestamp(0); values.len()];
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("k", build(&FeatureType::Int64, &keys)?),
            ("at", build(&FeatureType::Timestamp, &times)?),
            ("y", build(&ty, &values)?),
        ];
        retrieval.tables[0].1 =
            RecordBatch::try_from_iter_with_nullable(columns.clone().into_iter().map(|(n, a)| (n, a, true)))?;
        retrieval.questions =
            RecordBatch::try_from_iter([("k", columns[0].1.clone()), ("event_timestamp", columns[1].1.clone())])?;
        let answer = run(harness, &retrieval).await?;
        check_eq!(crate::oracle::read(&answer["y"], &ty)?, values, "type {ty}");
        retrieval.check_answer(&answer)?;
    }
    Ok(())
}

pub(super) async fn v2_a_column_that_can_not_be_widened_is_an_error_that_names_it(harness: Harness<'_>) -> Outcome {
    for (declared, ty, value) in [
        ("int32", "int64", "1"),
        ("int64", "uint64", "1"),
        ("float64", "int64", "1"),
        ("bool", "int64", "1"),
        ("timestamp", "string", "a"),
    ] {
        let request = one_view(&format!("{{name: y, type: '{declared}'}}"))?;
        let retrieval = one_table(&request, &format!("k:int64 at:timestamp y:{ty}\n1 2024-01-01T00:00:00Z {value}"))?;
        let error = refused(harness, &retrieval).await?;
        for part in ["v@1", "column 'y'", declared] {
            check!(error.to_string().contains(part), "'{error}' does not name {part}");
        }
    }
    Ok(())
}

pub(super) async fn v2_a_value_that_does_not_fit_is_an_error_that_names_its_row(harness: Harness<'_>) -> Outcome {
    let request = one_view("{name: y, type: timestamp}")?;
    let retrieval = one_table(
        &request,
        "k:int64  at:timestamp          y:timestamp[ns]
         1        2024-01-01T00:00:00Z  2024-01-01T00:00:00Z
         2        2024-01-01T00:00:00Z  2024-01-01T00:00:00.000000001Z",
    )?;
    let error = refused(harness, &retrieval).await?;
    let text = error.to_string();
    for part in ["v@1", "column 'y'"] {
        check!(text.contains(part), "'{error}' does not name {part}");
    }
    check!(text.contains("row 1") || text.contains("row with k=2"), "'{error}' names the row neither by place nor key");
    Ok(())
}

pub(super) async fn v3_a_default_replaces_what_is_missing_only_where_asked(harness: Harness<'_>) -> Outcome {
    let given = "
source s time=at
  k:int64  at:timestamp          y:int64  z:list<int64>
  1        2024-01-02T00:00:00Z  null     null
  2        2024-01-02T00:00:00Z  10       [1]
view v source=s keys=k features=y,z ttl=1d
  default y 0
  default z [7, 8]
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-02T00:00:00Z
  2        2024-01-02T00:00:00Z
  2        2024-01-09T00:00:00Z
  3        2024-01-02T00:00:00Z";
    check_case(
        harness,
        &format!(
            "{given}
options defaults
----
k:int64  event_timestamp:timestamp  y:int64  z:list<int64>
1        2024-01-02T00:00:00Z       null     null
2        2024-01-02T00:00:00Z       10       [1]
2        2024-01-09T00:00:00Z       0        [7,8]
3        2024-01-02T00:00:00Z       0        [7,8]
"
        ),
    )
    .await?;
    check_case(
        harness,
        &format!(
            "{given}
----
k:int64  event_timestamp:timestamp  y:int64  z:list<int64>
1        2024-01-02T00:00:00Z       null     null
2        2024-01-02T00:00:00Z       10       [1]
2        2024-01-09T00:00:00Z       null     null
3        2024-01-02T00:00:00Z       null     null
"
        ),
    )
    .await
}

pub(super) async fn a_missing_table_is_not_found(harness: Harness<'_>) -> Outcome {
    let request = one_view("{name: y, type: int64}")?;
    let retrieval = one_table(&request, "k:int64 at:timestamp y:int64")?;
    let engine = harness.engine(&[])?;
    let Err(error) = engine.schema(&retrieval.tables[0].0).await else {
        return Err("a table that is not there has a schema".into());
    };
    check_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    check!(error.to_string().contains("s.parquet"), "'{error}' does not name the table");
    Ok(())
}

pub(super) async fn explain_and_schema_and_fingerprint_describe_the_tables(harness: Harness<'_>) -> Outcome {
    let request = one_view("{name: y, type: int64}")?;
    let mut retrieval = one_table(&request, "k:int64 at:timestamp raw:int64\n1 2024-01-01T00:00:00Z 10")?;
    retrieval.tables[0].0.field_mapping.insert("raw".into(), "y".into());
    let table = retrieval.tables[0].0.clone();
    let engine = harness.engine(&retrieval.tables)?;
    let schema = engine.schema(&table).await?;
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    check_eq!(names, ["k", "at", "y"], "a table's columns are called as in the views");
    let unmapped = one_table(&request, "k:int64 at:timestamp y:int64\n1 2024-01-01T00:00:00Z 10")?;
    let shown = harness.engine(&unmapped.tables)?.explain(&unmapped.plan()?, &[]).await?;
    check!(shown.contains("v@1") && shown.contains("s.parquet"), "'{shown}' names neither view nor table");
    let fingerprint = engine.fingerprint(&table).await?;
    check!(fingerprint.contains("s.parquet"), "'{fingerprint}' does not name the table");
    check_eq!(engine.fingerprint(&table).await?, fingerprint, "a table that did not change");
    Ok(())
}
