//! The whole path with real records.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use insta::assert_snapshot;
use lodestore::read_frame;

use crate::support::Repo;

fn parquet(repo: &Repo, file: &str) -> RecordBatch {
    let frame = read_frame(&repo.path().join(file), &BTreeMap::new()).unwrap();
    concat_batches(&frame.schema, &frame.batches).unwrap()
}

#[test]
fn from_init_to_training_and_serving() {
    let repo = Repo::init("nyc", "flights");
    assert_snapshot!("flights_validate", repo.run("validate").ok().shown());
    assert_snapshot!("flights_plan", repo.run("plan").ends_with_status(2).shown());
    repo.run("apply").ok();
    repo.run("plan").ok();

    let reports = repo.json("materialize 2013-01-01 2013-04-02");
    for report in reports.as_array().unwrap() {
        let rows = |key: &str| report[key].as_u64().unwrap();
        assert_eq!(rows("rows_read"), rows("rows_written") + rows("rows_skipped") + rows("rows_refused"), "{report}");
        assert_eq!(rows("rows_refused"), 0, "{report}");
    }
    let online = repo.run("get-online-features -s late_departure -e origin=JFK -e tailnum=N593JB -e carrier=B6");
    assert_snapshot!("flights_online", online.ok().shown());
    let historical = "get-historical-features --entities departures.csv -s late_departure";
    assert_snapshot!("flights_historical", repo.run(historical).ok().shown());
    repo.run(&format!("{historical} -o training.parquet")).ok();
    repo.run(&format!("{historical} -o training.csv")).ok();
    assert_eq!(parquet(&repo, "training.parquet").num_rows(), 193);
    assert_eq!(repo.read("training.csv").lines().count(), 194);
}

/// A slow and simple reading of the flights' file finds the same legs.
#[test]
fn a_planes_last_leg_is_the_latest_that_had_landed() {
    let repo = Repo::init("nyc", "flights");
    repo.run("apply").ok();
    repo.run("get-historical-features --entities departures.csv -f plane_last_leg:last_leg_arr_delay -o legs.parquet")
        .ok();
    let flights = parquet(&repo, "data/flights_2013q1.parquet");
    let text = |batch: &RecordBatch, column: &str| -> Vec<Option<String>> {
        let array = arrow::compute::cast(&batch[column], &arrow::datatypes::DataType::Utf8).unwrap();
        array.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
    };
    let (planes, landed) =
        (text(&flights, "tailnum"), flights["arrived_at"].as_primitive::<TimestampMicrosecondType>());
    let delays = flights["arr_delay"].as_primitive::<Int32Type>();
    let answer = parquet(&repo, "legs.parquet");
    let asked = answer["event_timestamp"].as_primitive::<TimestampMicrosecondType>();
    let found = answer["last_leg_arr_delay"].as_primitive::<Int32Type>();
    let mut compared = 0;
    for (row, plane) in text(&answer, "tailnum").into_iter().enumerate() {
        let legs = (0..flights.num_rows()).filter(|&i| planes[i] == plane && !landed.is_null(i));
        let latest = legs.filter(|&i| landed.value(i) <= asked.value(row)).max_by_key(|&i| landed.value(i));
        let expected = latest.and_then(|i| (!delays.is_null(i)).then(|| delays.value(i)));
        assert_eq!((!found.is_null(row)).then(|| found.value(row)), expected, "row {row}, plane {plane:?}");
        compared += usize::from(expected.is_some());
    }
    assert!(compared > 150, "only {compared} planes had landed before");
}
