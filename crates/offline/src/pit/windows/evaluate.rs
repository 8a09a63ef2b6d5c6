//! The windows of a key's questions over its events.
//!
//! Aggregations that differ in their windows alone share the work. What can be taken off again (counts, sums, moments:
//! all of them exact, so that nothing is lost by it) is added up once over all events; a window is what there is at
//! its end less what there is at its start. Extremes of numbers are found in a segment tree of them, all else in one of
//! merged states. Questions about what was known at their time look at each event.

use std::ops::Range;
use std::rc::Rc;

use arrow::array::ArrayRef;
use lodestore_core::Result;
use lodestore_core::aggregation::{Outcome, State};
use lodestore_core::windows::{BoundAggregation, BoundAggregations};

use super::super::features::Answer;
use super::super::index::QuestionIndex;
use super::collect::Grouped;
use super::extremes::{Extremes, Kind};
use super::runs::Runs;
use super::values::Values;

/// Aggregations that share their work, by the windows they have.
struct Series {
    way: Way,
    /// One of the aggregations, whose state is that of all.
    one: usize,
    /// Each of its windows, by its place among the distinct ones, and the aggregations with that window.
    windows: Vec<(usize, Vec<usize>)>,
}

/// How windows of a series are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What there is at the end less what there is at the start.
    Difference,
    /// In a segment tree of numbers.
    Extreme(Kind),
    /// In a segment tree of states.
    Runs,
}

/// Stands for an event before which no window starts or ends.
const UNMARKED: u32 = u32::MAX;

/// Evaluates questions, and keeps its memory from one part of them to the next.
pub(super) struct Evaluator<'a> {
    bound: &'a BoundAggregations,
    index: &'a QuestionIndex,
    as_known: bool,
    series: Rc<[Series]>,
    /// For each distinct window an aggregation that has it.
    windows: Vec<usize>,
    /// For each aggregation what the questions of a part get.
    values: Vec<Values>,
    /// For each distinct window the events that each question of a key takes, counted from the key's first.
    runs: Vec<Vec<Range<usize>>>,
    /// For each event of a key which of the sums that are kept is that of all before it.
    marks: Vec<u32>,
    extremes: Extremes,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(bound: &'a BoundAggregations, index: &'a QuestionIndex, as_known: bool) -> Self {
        let mut windows: Vec<usize> = Vec::new();
        let mut series: Vec<Series> = Vec::new();
        for ((place, one), shared) in bound.as_slice().iter().enumerate().zip(bound.shared()) {
            let known = windows.iter().position(|&other| bound.as_slice()[other].has_window_of(one));
            let window = known.unwrap_or(windows.len());
            if known.is_none() {
                windows.push(place);
            }
            let shared_by = &bound.as_slice()[shared];
            let way = if shared_by.aggregate.is_invertible() {
                Way::Difference
            } else {
                Kind::of(shared_by).map_or(Way::Runs, Way::Extreme)
            };
            match series.iter_mut().find(|series| series.one == shared) {
                None => series.push(Series { way, one: shared, windows: vec![(window, vec![place])] }),
                Some(series) => match series.windows.iter_mut().find(|(known, _)| *known == window) {
                    Some((_, aggregations)) => aggregations.push(place),
                    None => series.windows.push((window, vec![place])),
                },
            }
        }
        let runs = vec![Vec::new(); windows.len()];
        let values = bound.as_slice().iter().map(|one| Values::new(&one.aggregate)).collect();
        let (marks, extremes) = (Vec::new(), Extremes::default());
        let series = series.into();
        Self { bound, index, as_known, series, windows, values, runs, marks, extremes }
    }

    /// Returns the features of the questions about a part's keys, row by row, and which question each row answers.
    pub(super) fn evaluate(&mut self, grouped: &Grouped) -> Result<(Vec<ArrayRef>, Vec<Answer>)> {
        let mut answers: Vec<Answer> = Vec::new();
        let series = Rc::clone(&self.series);
        for key in grouped.keys.clone() {
            let places = self.index.places_of(key as u32);
            for place in places.clone() {
                answers.push((self.index.question(place) as u32, answers.len() as u32));
            }
            if self.as_known {
                self.as_known(grouped, places, grouped.of(key))?;
            } else {
                self.key(grouped, &series, &places, &grouped.of(key))?;
            }
        }
        let columns = self.bound.as_slice().iter().zip(&mut self.values);
        Ok((columns.map(|(one, values)| values.take(&one.aggregate)).collect::<Result<_>>()?, answers))
    }

    fn key(
        &mut self,
        grouped: &Grouped,
        series: &[Series],
        places: &Range<usize>,
        events: &Range<usize>,
    ) -> Result<()> {
        self.find_runs(grouped, places, events);
        for series in series {
            match series.way {
                Way::Difference => self.differences(grouped, series, places, events)?,
                Way::Extreme(kind) => {
                    self.extremes.fill(kind, &grouped.events, series.one, events.clone());
                    for (window, aggregations) in &series.windows {
                        for run in &self.runs[*window] {
                            let outcome = self.extremes.of(kind, run);
                            give(self.bound, &mut self.values, aggregations, |_| outcome.clone())?;
                        }
                    }
                }
                Way::Runs => {
                    let of_series = series.windows.iter().flat_map(|(window, _)| &self.runs[*window]);
                    let longest = of_series.map(ExactSizeIterator::len).max().unwrap_or(0);
                    let runs = Runs::new(self.bound, &grouped.events, series.one, events.clone(), longest)?;
                    for (window, aggregations) in &series.windows {
                        for (question, place) in places.clone().enumerate() {
                            let state = runs.of(&self.runs[*window][question])?;
                            self.finish(aggregations, &state, place)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds the events that the windows of a key's questions take. Questions and events are in order of time, so both
    /// ends of a window only move on.
    fn find_runs(&mut self, grouped: &Grouped, places: &Range<usize>, events: &Range<usize>) {
        let times = &grouped.events.times()[events.clone()];
        for (window, runs) in self.windows.iter().zip(&mut self.runs) {
            let one = &self.bound.as_slice()[*window];
            runs.clear();
            let (mut start, mut end) = (0, 0);
            for place in places.clone() {
                let at = self.index.time(place);
                let until = one.end(at).as_micros();
                while end < times.len() && times[end] <= until {
                    end += 1;
                }
                if let Some(after) = one.start(at) {
                    while start < times.len() && times[start] <= after.as_micros() {
                        start += 1;
                    }
                }
                runs.push(start.min(end)..end);
            }
        }
    }

    fn differences(
        &mut self,
        grouped: &Grouped,
        series: &Series,
        places: &Range<usize>,
        events: &Range<usize>,
    ) -> Result<()> {
        let aggregate = &self.bound.as_slice()[series.one].aggregate;
        self.marks.clear();
        self.marks.resize(events.len() + 1, UNMARKED);
        let (mut first, mut last) = (events.len(), 0);
        for (window, _) in &series.windows {
            for run in self.runs[*window].iter().filter(|run| !run.is_empty()) {
                (first, last) = (first.min(run.start), last.max(run.end));
                self.marks[run.start] = 0;
                self.marks[run.end] = 0;
            }
        }
        let mut sums: Vec<State> = Vec::new();
        let mut sum = aggregate.empty();
        for event in first..=last {
            if self.marks[event] != UNMARKED {
                self.marks[event] = sums.len() as u32;
                sums.push(sum.clone());
            }
            if event < last {
                grouped.events.update(self.bound, series.one, &mut sum, events.start + event)?;
            }
        }
        let empty = aggregate.empty();
        for (window, aggregations) in &series.windows {
            for question in 0..places.len() {
                let run = self.runs[*window][question].clone();
                let place = places.start + question;
                if run.is_empty() {
                    self.finish(aggregations, &empty, place)?;
                    continue;
                }
                let mut state = sums[self.marks[run.end] as usize].clone();
                aggregate.subtract(&mut state, &sums[self.marks[run.start] as usize])?;
                self.finish(aggregations, &state, place)?;
            }
        }
        Ok(())
    }

    /// Evaluates what was known at each question's time: the events that were recorded by then.
    fn as_known(&mut self, grouped: &Grouped, places: Range<usize>, events: Range<usize>) -> Result<()> {
        for place in places {
            let at = self.index.time(place);
            let all = events.start as u32..events.end as u32;
            let mut known: Vec<u32> = all.filter(|&event| grouped.events.is_known(event as usize, at)).collect();
            if let Some(deliveries) = &grouped.deliveries {
                known = deliveries.first(&known);
            }
            for (aggregation, values) in self.values.iter_mut().enumerate() {
                let outcome = self.bound.outcome(aggregation, &grouped.events, &known, at)?;
                values.push(&self.bound.as_slice()[aggregation].aggregate, outcome)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, aggregations: &[usize], state: &State, place: usize) -> Result<()> {
        let (bound, at) = (self.bound, self.index.time(place));
        give(bound, &mut self.values, aggregations, |one| one.finish(state, at))
    }
}

/// Gives the next question the outcomes of some aggregations.
fn give(
    bound: &BoundAggregations,
    values: &mut [Values],
    aggregations: &[usize],
    outcome: impl Fn(&BoundAggregation) -> Outcome,
) -> Result<()> {
    aggregations.iter().try_for_each(|&aggregation| {
        let one = &bound.as_slice()[aggregation];
        values[aggregation].push(&one.aggregate, outcome(one))
    })
}
