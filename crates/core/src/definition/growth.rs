//! Growth: a version that has all aggregations of another one, and more, shares what that one keeps online.

use std::collections::BTreeSet;

use super::{Aggregation, ViewVersion};

impl ViewVersion {
    /// Returns whether this version takes the same events as `older`, has all of its aggregations, and others beside
    /// them. What is kept online of `older` then serves this version too, and only the others start from nothing.
    #[must_use]
    pub fn grows_from(&self, older: &Self) -> bool {
        let events = (self.definition.online, &self.keys, &self.table, &self.push_source, &self.event_id);
        let events_of_older = (older.definition.online, &older.keys, &older.table, &older.push_source, &older.event_id);
        let same = |a: &Aggregation, b: &Aggregation| a.without_words() == b.without_words();
        let has = |aggregation| self.aggregations().iter().any(|own| same(own, aggregation));
        !older.aggregations().is_empty()
            && self.aggregations().len() > older.aggregations().len()
            && events == events_of_older
            && older.aggregations().iter().all(has)
            && older.features.iter().all(|feature| self.features.contains(feature))
            && older.inputs().iter().all(|input| self.inputs().contains(input))
    }

    /// Returns this version with none but the aggregations that `older` lacks.
    #[must_use]
    pub fn beyond(&self, older: &Self) -> Self {
        let mut part = self.clone();
        part.features.retain(|feature| !older.features.iter().any(|known| known.name == feature.name));
        part.definition.aggregations.retain(|own| part.features.iter().any(|feature| feature.name == own.name));
        let aggregations = &part.definition.aggregations;
        let columns: BTreeSet<String> = aggregations.iter().flat_map(Aggregation::columns).map(str::to_owned).collect();
        part.definition.inputs.retain(|input| columns.contains(&input.name));
        part
    }
}
