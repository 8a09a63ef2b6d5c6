//! Which states a view's windows need, worked out once.

use super::tiles::levels;
use crate::aggregation::Aggregate;
use crate::definition::{ViewVersion, Window};
use crate::error::{Error, Result};
use crate::time::{EventTime, Micros};
use crate::windows::BoundAggregations;

/// How the windows of a view are kept and read.
#[derive(Debug)]
pub struct WindowPlan {
    pub(super) delay: Micros,
    /// What is aggregated, whatever the window: each as the one of its aggregations that keeps the most.
    pub(super) measures: BoundAggregations,
    pub(super) groups: Vec<Group>,
    pub(super) features: Vec<WindowedFeature>,
    /// How many different states the features are finished from.
    pub(super) states: usize,
    /// How long after its time an event may have to be looked at by itself.
    pub(super) kept: Micros,
    /// How long the ids of an era of events are: a quarter of how long an event matters; none if it does for ever.
    pub(super) era: Option<i64>,
    /// How long an event matters, about; `None` for ever.
    pub(super) matters: Option<Micros>,
    pub(super) has_ids: bool,
}

/// Tiles of one hop and lag.
#[derive(Debug)]
pub(super) struct Group {
    /// The windows that take these tiles.
    pub(super) windows: Vec<Window>,
    /// How long after its time an event enters them.
    pub(super) lag: Micros,
    /// The measures that a tile has.
    pub(super) measures: Vec<usize>,
    pub(super) levels: u8,
}

/// A feature of the view.
#[derive(Debug)]
pub(super) struct WindowedFeature {
    pub(super) window: Window,
    pub(super) measure: usize,
    /// The group with its tiles, and the place of its measure there; `None` for an exact window.
    pub(super) tiles: Option<(usize, usize)>,
    /// What its state is among those of all features: one for each window and measure.
    pub(super) state: usize,
    pub(super) aggregate: Aggregate,
}

impl WindowPlan {
    /// Returns the plan of a view with aggregations.
    ///
    /// # Errors
    /// `Invalid` if an aggregation does not fit the view's inputs; `Internal` for a view without aggregations.
    pub fn new(view: &ViewVersion) -> Result<Self> {
        if view.aggregations().is_empty() {
            return Err(Error::internal(format!("view '{}' has no windows", view.reference())));
        }
        let features: Vec<usize> = (0..view.aggregations().len()).collect();
        let bound = BoundAggregations::new(view, &features)?;
        let shared = bound.shared();
        let mut distinct = shared.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut plan = Self {
            delay: view.availability_delay(),
            measures: BoundAggregations::new(view, &distinct)?,
            groups: Vec::new(),
            features: Vec::new(),
            states: 0,
            kept: view.availability_delay(),
            era: None,
            matters: None,
            has_ids: view.event_id.is_some(),
        };
        for ((aggregation, one), shared) in view.aggregations().iter().zip(bound.as_slice()).zip(shared) {
            let measure = distinct.iter().position(|known| *known == shared).unwrap_or(0);
            plan.add(aggregation.window, measure, &one.aggregate)
                .map_err(|error| error.with_context("aggregation", &aggregation.name))?;
        }
        for group in &mut plan.groups {
            let tiles = group.windows.iter().map(|window| tiles_of(window, group.lag)).max();
            group.levels = levels(tiles.unwrap_or(1));
        }
        let reaches: Option<Vec<i64>> = plan.features.iter().map(|feature| reach(&feature.window)).collect();
        let longest = reaches.and_then(|reaches| reaches.into_iter().max());
        plan.matters = longest.map(|longest| Micros::new(longest.max(plan.delay.as_micros()))).transpose()?;
        plan.era = plan.matters.map(|matters| (matters.as_micros() / 4).max(1));
        Ok(plan)
    }

    fn add(&mut self, window: Window, measure: usize, aggregate: &Aggregate) -> Result<()> {
        let lag = window.offset().max(self.delay);
        let tiles = if window.hop() == Some(Micros::ZERO) {
            // Events leave an exact window one by one.
            let length = window.length().unwrap_or(Micros::ZERO).as_micros();
            let kept = window.offset().as_micros().saturating_add(length);
            self.kept = self.kept.max(Micros::new(kept)?);
            None
        } else {
            self.kept = self.kept.max(lag);
            Some(self.group(window, lag, measure))
        };
        let same = self.features.iter().find(|known| (known.window, known.measure) == (window, measure));
        let state = same.map_or(self.states, |known| known.state);
        self.states = self.states.max(state + 1);
        self.features.push(WindowedFeature { window, measure, tiles, state, aggregate: aggregate.clone() });
        Ok(())
    }

    /// Returns the aggregate of a measure.
    pub(super) fn aggregate(&self, measure: usize) -> &Aggregate {
        &self.measures.as_slice()[measure].aggregate
    }

    /// Returns the places of a window's group and of a measure in it; adds them where they are new.
    fn group(&mut self, window: Window, lag: Micros, measure: usize) -> (usize, usize) {
        let same = |group: &Group| group.lag == lag && group.windows.iter().all(|known| known.hop() == window.hop());
        let place = self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(Group { windows: Vec::new(), lag, measures: Vec::new(), levels: 1 });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        if !group.windows.contains(&window) {
            group.windows.push(window);
        }
        let slot = group.measures.iter().position(|known| *known == measure).unwrap_or_else(|| {
            group.measures.push(measure);
            group.measures.len() - 1
        });
        (place, slot)
    }

    /// Returns the latest time whose events are in no window from a moment on.
    pub(super) fn expired(&self, at: EventTime) -> EventTime {
        let starts = self.features.iter().map(|feature| feature.window.start(at).unwrap_or(EventTime::MIN));
        starts.min().unwrap_or(EventTime::MIN)
    }

    /// Returns the time up to which events need not be kept by themselves from a moment on.
    pub(super) fn kept_after(&self, at: EventTime) -> EventTime {
        at.minus(self.kept)
    }

    /// Returns the era that the id of an event of a time is in.
    pub(super) fn era(&self, time: EventTime) -> i64 {
        self.era.map_or(0, |era| time.as_micros().div_euclid(era))
    }

    /// Returns the first era whose events may matter at a moment.
    pub(super) fn first_era(&self, at: EventTime) -> i64 {
        match (self.era, self.matters) {
            (Some(era), Some(matters)) => at.minus(matters).as_micros().div_euclid(era),
            _ => i64::MIN,
        }
    }

    /// Returns the aggregates of a group's measures.
    pub(super) fn aggregates<'a>(&'a self, group: &'a Group) -> Vec<&'a Aggregate> {
        group.measures.iter().map(|measure| self.aggregate(*measure)).collect()
    }

    /// Returns whether the events of the view have ids.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// Returns how long before a moment the oldest events are that a window takes; `None` without a limit.
    #[must_use]
    pub fn reach(&self) -> Option<Micros> {
        self.matters
    }
}

impl Group {
    /// Returns the number of the tile that an event of a time is in.
    pub(super) fn tile(&self, time: EventTime) -> i64 {
        self.windows.first().and_then(|window| window.tile(time)).unwrap_or(0)
    }

    /// Returns the first tile that a window takes at a moment.
    pub(super) fn first_of(window: &Window, at: EventTime) -> i64 {
        match (window.start(at), window.hop()) {
            (Some(start), Some(hop)) if !hop.is_zero() => start.as_micros().div_euclid(hop.as_micros()),
            _ => i64::MIN,
        }
    }

    /// Returns the first tile that any window takes at a moment.
    pub(super) fn first(&self, at: EventTime) -> i64 {
        self.windows.iter().map(|window| Self::first_of(window, at)).min().unwrap_or(i64::MIN)
    }
}

/// Returns how long before a question the oldest event of a window may be; `None` without a limit.
fn reach(window: &Window) -> Option<i64> {
    let length = window.length()?.as_micros();
    let hop = window.hop().map_or(0, Micros::as_micros);
    Some(length.saturating_add(hop).saturating_add(window.offset().as_micros()))
}

/// Returns how many tiles a window takes at most.
fn tiles_of(window: &Window, lag: Micros) -> i64 {
    match (reach(window), window.hop()) {
        (Some(reach), Some(hop)) if !hop.is_zero() => (reach - lag.as_micros()) / hop.as_micros() + 1,
        _ => 1,
    }
}
