//! Plans in words.

use std::fmt;

use lodestore_core::definition::ObjectKind;
use serde_json::Value;

use super::{Action, Blocker, Consumer, Effect, FieldChange, Loss, Plan, Reads, Step};

impl Plan {
    /// Returns how much there is to do: `2 to add, 1 to change, 0 to remove`.
    #[must_use]
    pub fn summary(&self) -> String {
        let [add, change, remove] = [Action::Create, Action::Update, Action::Remove].map(|action| self.count(action));
        format!("{add} to add, {change} to change, {remove} to remove")
    }

    /// Returns what changes, a line for each step, as it is recorded in the registry's history.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.steps.iter().map(Step::line).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing to change in project '{}'", self.project);
        }
        self.steps.iter().try_for_each(|step| step.fmt(f))?;
        writeln!(f)?;
        if !self.blockers.is_empty() {
            writeln!(f, "blocked, since it drops what feature services pin:")?;
            self.blockers.iter().try_for_each(|blocker| writeln!(f, "  {blocker}"))?;
            writeln!(f, "change those services first, or force the plan\n")?;
        }
        writeln!(f, "{}", self.summary())
    }
}

impl Step {
    fn line(&self) -> String {
        // The fields of a new object are its definition, which the registry has.
        let changes = if self.action == Action::Create { &[][..] } else { &self.changes };
        let details: Vec<_> =
            changes.iter().map(ToString::to_string).chain(self.effects.iter().map(ToString::to_string)).collect();
        let colon = if details.is_empty() { "" } else { ": " };
        format!("{} {}{colon}{}", self.action.sign(), self.id, details.join("; "))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.action.sign(), self.id)?;
        for change in &self.changes {
            match (self.action, &change.after) {
                (Action::Create, Some(value)) => writeln!(f, "    {}: {}", change.path, Shown(value))?,
                _ => writeln!(f, "    {change}")?,
            }
        }
        self.effects.iter().try_for_each(|effect| writeln!(f, "    {effect}"))?;
        self.consumers.iter().try_for_each(|consumer| writeln!(f, "    {consumer}"))
    }
}

impl Action {
    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Remove => '-',
        }
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {} -> {}", self.path, Shown(before), Shown(after)),
            (Some(before), None) => write!(f, "- {}: {}", self.path, Shown(before)),
            (None, Some(after)) => write!(f, "+ {}: {}", self.path, Shown(after)),
            (None, None) => f.write_str(&self.path),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |needed: &bool| if *needed { "; needs materializing" } else { "" };
        match self {
            Self::AddsVersion { number, beside: None, needs_materializing } => {
                write!(f, "is version {number}{}", after(needs_materializing))
            }
            Self::AddsVersion { number, beside: Some(old), needs_materializing } => {
                write!(f, "adds version {number} beside version {old}{}", after(needs_materializing))
            }
            Self::SharesOnlineRows { with } => {
                write!(f, "shares the online rows of version {with}: only the new aggregations need materializing")
            }
            Self::ReturnsToVersion { number, from } => {
                write!(f, "returns from version {from} to version {number}, with the online rows it has")
            }
            Self::KeepsVersion { number } => write!(f, "stays version {number}"),
            Self::FollowsFrom { id } => write!(f, "follows from the change of {id}"),
            Self::OpensOnlineRows { version, needs_materializing } => {
                write!(f, "serves version {version} online{}", after(needs_materializing))
            }
            Self::DropsOnlineRows { versions } => match versions.as_slice() {
                [version] => write!(f, "drops the online rows of version {version}"),
                _ => write!(f, "drops the online rows of {} versions", versions.len()),
            },
            Self::ServicePins { view, version } => write!(f, "pins version {version} of '{view}'"),
            Self::ServicePinsMove { view, from, to } => {
                write!(f, "moves from version {from} to version {to} of '{view}'")
            }
            Self::ServiceLosesView { view } => {
                write!(f, "removed by force, since it reads {} '{view}'", ObjectKind::FeatureView)
            }
        }
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read by feature service '{}'", self.service)?;
        match self.reads {
            Reads::Changed(version) => write!(f, " on version {version}"),
            Reads::MovesTo { from, to } => write!(f, ", which moves from version {from} to version {to}"),
            Reads::StaysOn(version) => write!(f, ", which stays on version {version} until it is applied again"),
            Reads::Names(version) => write!(f, ", which names version {version}"),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loss = match self.loss {
            Loss::View => "which would be removed",
            Loss::OnlineRows => "whose online rows would be dropped",
        };
        write!(f, "feature service '{}' pins version {} of '{}', {loss}", self.service, self.version, self.view)
    }
}

/// A JSON value as people write it: texts without quotes where that is clear.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) if is_clear(text) => f.write_str(text),
            Value::String(text) => write!(f, "{text:?}"),
            Value::Array(values) => {
                let shown: Vec<_> = values.iter().map(|value| Shown(value).to_string()).collect();
                write!(f, "[{}]", shown.join(", "))
            }
            Value::Object(fields) => {
                let shown = fields.iter().map(|(key, value)| match key.as_str() {
                    "type" => Shown(value).to_string(),
                    _ => format!("{key}: {}", Shown(value)),
                });
                f.write_str(&shown.collect::<Vec<_>>().join(", "))
            }
            other => other.fmt(f),
        }
    }
}

/// Returns whether a text can be read for nothing else: not a number, not a part of the layout.
fn is_clear(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.contains(" -> ")
        && !text.chars().any(|c| c.is_control() || c == '"')
        && serde_json::from_str::<Value>(text).is_err()
}
