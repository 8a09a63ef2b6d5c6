//! The rules of time, each by small cases made by hand.

use super::EngineHarness;
use crate::Outcome;
use crate::golden::check_case;

type Harness<'a> = &'a dyn EngineHarness;

pub(super) async fn t1_units_and_zones_name_the_same_moment(harness: Harness<'_>) -> Outcome {
    for unit in ["timestamp", "timestamp[s]", "timestamp[ms]", "timestamp[us]", "timestamp[ns,utc]", "date"] {
        check_case(
            harness,
            &format!(
                "
source s time=at
  k:int64  at:{unit}             y:int64
  1        2024-01-02T00:00:00Z  10
view v source=s keys=k features=y
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-01T23:59:59.999999Z
  1        2024-01-02T00:00:00Z
  1        2024-01-02T02:00:00+02:00
----
k:int64  event_timestamp:timestamp    y:int64
1        2024-01-01T23:59:59.999999Z  null
1        2024-01-02T00:00:00Z         10
1        2024-01-02T00:00:00Z         10
"
            ),
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn t2_a_finer_time_never_makes_a_value_visible_early(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s time=at
  k:int64  at:timestamp[ns,utc]            y:int64
  1        2024-01-01T00:00:00.000001001Z  10
view v source=s keys=k features=y
entities
  k:int64  event_timestamp:timestamp[ns,utc]
  1        2024-01-01T00:00:00.000001001Z
  1        2024-01-01T00:00:00.000001999Z
  1        2024-01-01T00:00:00.000002000Z
----
k:int64  event_timestamp:timestamp[ns,utc]  y:int64
1        2024-01-01T00:00:00.000001001Z     null
1        2024-01-01T00:00:00.000001999Z     null
1        2024-01-01T00:00:00.000002Z        10
",
    )
    .await
}

pub(super) async fn t4_a_row_is_visible_from_its_delay_on_and_ages_from_its_event_time(
    harness: Harness<'_>,
) -> Outcome {
    check_case(
        harness,
        "
source s time=at delay=1d
  k:int64  at:timestamp          y:int64
  1        2024-01-01T00:00:00Z  10
view v source=s keys=k features=y ttl=36h
entities
  k:int64  event_timestamp:timestamp
  1        2024-01-01T23:59:59.999999Z
  1        2024-01-02T00:00:00Z
  1        2024-01-02T12:00:00Z
  1        2024-01-02T12:00:00.000001Z
----
k:int64  event_timestamp:timestamp    y:int64
1        2024-01-01T23:59:59.999999Z  null
1        2024-01-02T00:00:00Z         10
1        2024-01-02T12:00:00Z         10
1        2024-01-02T12:00:00.000001Z  null
",
    )
    .await
}

pub(super) async fn t5_validity_is_closed_at_its_start_and_open_at_its_end(harness: Harness<'_>) -> Outcome {
    check_case(
        harness,
        "
source s valid_from=begin valid_to=end
  k:int64  begin:timestamp       end:timestamp         y:string
  1        2024-01-01T00:00:00Z  2024-01-03T00:00:00Z  first
  1        2024-01-02T00:00:00Z  2024-01-02T12:00:00Z  inside
  1        2024-01-05T00:00:00Z  null                  open
  1        2024-01-07T00:00:00Z  2024-01-06T00:00:00Z  never
view v source=s keys=k features=y
entities
  k:int64  event_timestamp:timestamp
  1        2023-12-31T23:59:59.999999Z
  1        2024-01-01T00:00:00Z
  1        2024-01-02T00:00:00Z
  1        2024-01-02T12:00:00Z
  1        2024-01-02T23:59:59.999999Z
  1        2024-01-03T00:00:00Z
  1        2024-01-09T00:00:00Z
----
k:int64  event_timestamp:timestamp    y:string
1        2023-12-31T23:59:59.999999Z  null
1        2024-01-01T00:00:00Z         first
1        2024-01-02T00:00:00Z         inside
1        2024-01-02T12:00:00Z         first
1        2024-01-02T23:59:59.999999Z  first
1        2024-01-03T00:00:00Z         null
1        2024-01-09T00:00:00Z         open
",
    )
    .await
}

pub(super) async fn t5_a_timeless_table_answers_at_every_time(harness: Harness<'_>) -> Outcome {
    let given = "
source s
  k:int64  y:int64
  1        10
  1        11
view v source=s keys=k features=y
entities
  k:int64";
    check_case(harness, &format!("{given}\n  1\n  2\n----\nk:int64 y:int64\n1 11\n2 null\n")).await?;
    check_case(
        harness,
        &format!(
            "{given}  event_timestamp:timestamp
  1  1900-01-01T00:00:00Z
  1  2100-01-01T00:00:00Z
----
k:int64  event_timestamp:timestamp  y:int64
1        1900-01-01T00:00:00Z       11
1        2100-01-01T00:00:00Z       11
"
        ),
    )
    .await
}
