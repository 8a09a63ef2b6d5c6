//! Plans of views with aggregations.

mod shop;

use lodestore_core::Result;
use lodestore_core::registry::MemoryRegistry;
use lodestore_registry::plan::PlanOptions;
use shop::{SHOP, Shop};

const WINDOWS: &str = "  - name: trips
    entities: [driver]
    source: live_trips
    aggregations:
      - {column: fare, function: avg, time_window: 24h}
      - {function: count, time_window: 1h, where: fare > 10}
    inputs: [{name: fare, type: float64}]
feature_services:";

/// Returns the shop with aggregations instead of the features of its view of trips.
fn with_windows() -> String {
    let (before, rest) = SHOP.split_once("  - name: trips\n").unwrap_or_default();
    let (_, after) = rest.split_once("feature_services:").unwrap_or_default();
    format!("{before}{WINDOWS}{after}")
}

#[test]
fn n1_aggregations_print_one_by_one_and_make_versions() -> Result<()> {
    let shop = Shop::new(MemoryRegistry::new()).applied()?;
    let first = with_windows();
    insta::assert_snapshot!(shop.plan(&first, &PlanOptions::default())?, @r"
    ~ feature view 'trips'
        + aggregations.fare_mean_24h: function: mean, column: fare, time_window: 1d, slide_interval: 1h
        + aggregations.count_1h: function: count, time_window: 1h, slide_interval: 5m, where: fare > 10
        + inputs.fare: float64
        - schema.fare: float64, default: 0
        adds version 2 beside version 1; needs materializing

    0 to add, 1 to change, 0 to remove
    ");
    shop.apply(&first, &PlanOptions::default())?;
    assert!(shop.plan(&first, &PlanOptions::default())?.is_empty());
    let changed = first
        .replace("fare > 10", "fare > 20")
        .replace("{column: fare", "{description: words, column: fare")
        .replace("inputs:", "  - {column: fare, function: max, time_window: 7d, offset: 7d}\n    inputs:");
    insta::assert_snapshot!(shop.plan(&changed, &PlanOptions::default())?, @r"
    ~ feature view 'trips'
        + aggregations.fare_mean_24h.description: words
        aggregations.count_1h.where: fare > 10 -> fare > 20
        + aggregations.fare_max_7d_offset_7d: function: max, column: fare, time_window: 7d, slide_interval: 1h, offset: 7d
        adds version 3 beside version 2; needs materializing

    0 to add, 1 to change, 0 to remove
    ");
    let more = first.replace("inputs:", "  - {column: fare, function: max, time_window: 7d}\n    inputs:");
    insta::assert_snapshot!(shop.plan(&more, &PlanOptions::default())?, @r"
    ~ feature view 'trips'
        + aggregations.fare_max_7d: function: max, column: fare, time_window: 7d, slide_interval: 1h
        adds version 3 beside version 2; needs materializing
        shares the online rows of version 2: only the new aggregations need materializing

    0 to add, 1 to change, 0 to remove
    ");
    let words = first.replace("{column: fare", "{description: words, column: fare");
    insta::assert_snapshot!(shop.plan(&words, &PlanOptions::default())?, @r"
    ~ feature view 'trips'
        + aggregations.fare_mean_24h.description: words
        stays version 2

    0 to add, 1 to change, 0 to remove
    ");
    Ok(())
}
