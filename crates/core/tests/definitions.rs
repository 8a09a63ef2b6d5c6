//! Random definitions through their text and back.

use lodestore_core::document::Document;
use lodestore_core::time::EventTime;
use lodestore_testkit::generate::{Rng, aggregated_view, for_each_seed};
use lodestore_testkit::{Outcome, check_eq};

#[test]
fn views_with_aggregations_are_read_as_they_are_written() -> Outcome {
    futures::executor::block_on(for_each_seed("views_with_aggregations_are_read_as_they_are_written", async |seed| {
        let definitions = aggregated_view(&mut Rng::new(seed))?;
        let hash = |of: &lodestore_core::definition::Definitions| {
            of.resolve(&of.feature_views["windows"], EventTime::MIN, 1)?.hash()
        };
        let json = serde_json::to_string(&Document::from_definitions(&definitions))?;
        for again in [Document::parse_json(&json, "json")?, Document::parse_yaml(&json, "yaml")?] {
            let again = again.into_definitions()?;
            check_eq!(again, definitions, "{json}");
            check_eq!(hash(&again)?, hash(&definitions)?, "the hash of {json}");
        }
        Ok(())
    }))
}
