//! What the tests define.

/// Views over a file, over push sources, of a composite key, of texts, of no key, and of every type.
pub(crate) const DEFINITIONS: &str = "
version: 1
entities:
  - {name: driver, join_keys: [{name: driver_id, type: int64}]}
  - {name: place, join_keys: [{name: city, type: string}]}
data_sources:
  - {name: stats_file, type: file, path: stats.csv, timestamp_field: at, created_timestamp_column: recorded}
  - {name: stats_push, type: push, batch_source: stats_file}
  - {name: events, type: push}
  - {name: lonely, type: push}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: stats_push
    ttl: 1d
    schema:
      - {name: conv_rate, type: float32}
      - {name: trips, type: int64, default: 7}
  - {name: driver_more, entities: [driver], source: events, schema: [{name: conv_rate, type: float64}]}
  - {name: visits, entities: [driver, place], source: events, schema: [{name: count, type: int32}]}
  - {name: places, entities: [place], source: events, schema: [{name: \u{e9}tat \u{1f600}, type: string}]}
  - {name: totals, entities: [], source: events, schema: [{name: total, type: int64}]}
  - {name: training_only, entities: [driver], source: stats_file, online: false, schema: [{name: trips, type: int64}]}
  - name: every_type
    entities: [place]
    source: events
    schema:
      - {name: a_bool, type: bool}
      - {name: an_int32, type: int32}
      - {name: an_int64, type: int64}
      - {name: a_float32, type: float32}
      - {name: a_float64, type: float64}
      - {name: a_string, type: string}
      - {name: some_bytes, type: bytes}
      - {name: a_timestamp, type: timestamp}
      - {name: a_date, type: date}
      - {name: a_json, type: json}
      - {name: a_uuid, type: uuid}
      - {name: a_decimal, type: 'decimal(12, 2)'}
      - {name: a_list, type: list<int64>}
      - {name: a_set, type: set<string>}
      - {name: a_vector, type: 'vector<float32, 2>'}
      - {name: a_struct, type: 'struct<x: int64, y: list<string>>'}
      - {name: a_map, type: 'map<string, float64>'}
feature_services:
  - {name: activity, features: [driver_stats]}
";

/// One more view.
pub(crate) const ONE_MORE: &str = "
  - {name: added, entities: [driver], source: events, schema: [{name: added_feature, type: int64}]}
feature_services:
";

/// The file of `stats_file`.
pub(crate) const STATS: &str = "driver_id,at,recorded,conv_rate,trips
1001,2024-01-09T10:00:00Z,2024-01-09T10:05:00Z,0.5,10
1002,2024-01-09T11:00:00Z,2024-01-09T11:05:00Z,0.25,20
1003,2024-01-01T00:00:00Z,2024-01-01T00:05:00Z,0.125,30
";

/// When it is.
pub(crate) const NOW: &str = "2024-01-10T00:00:00Z";
