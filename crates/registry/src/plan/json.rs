//! Plans as JSON, for programs.

use lodestore_core::definition::ObjectId;
use serde_json::{Value, json};

use super::{Action, Blocker, Consumer, Effect, FieldChange, Loss, Plan, Reads, Step};

impl Plan {
    /// Returns the plan as JSON: `project`, `base_revision`, `steps`, `blockers` and `summary`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "project": self.project,
            "base_revision": self.base_revision,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "blockers": self.blockers.iter().map(blocker).collect::<Vec<_>>(),
            "summary": {
                "add": self.count(Action::Create),
                "change": self.count(Action::Update),
                "remove": self.count(Action::Remove),
            },
        })
    }
}

fn step(step: &Step) -> Value {
    let action = match step.action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Remove => "remove",
    };
    json!({
        "action": action,
        "object": object(&step.id),
        "changes": step.changes.iter().map(change).collect::<Vec<_>>(),
        "effects": step.effects.iter().map(effect).collect::<Vec<_>>(),
        "consumers": step.consumers.iter().map(consumer).collect::<Vec<_>>(),
    })
}

fn object(id: &ObjectId) -> Value {
    json!({"kind": id.kind.to_string().replace(' ', "_"), "name": id.name})
}

fn change(change: &FieldChange) -> Value {
    json!({"path": change.path, "before": change.before, "after": change.after})
}

fn effect(effect: &Effect) -> Value {
    match effect {
        Effect::AddsVersion { number, beside, needs_materializing } => json!({
            "kind": "adds_version", "number": number, "beside": beside, "needs_materializing": needs_materializing,
        }),
        Effect::SharesOnlineRows { with } => json!({"kind": "shares_online_rows", "with": with}),
        Effect::ReturnsToVersion { number, from } => {
            json!({"kind": "returns_to_version", "number": number, "from": from})
        }
        Effect::KeepsVersion { number } => json!({"kind": "keeps_version", "number": number}),
        Effect::FollowsFrom { id } => json!({"kind": "follows_from", "object": object(id)}),
        Effect::OpensOnlineRows { version, needs_materializing } => json!({
            "kind": "opens_online_rows", "version": version, "needs_materializing": needs_materializing,
        }),
        Effect::DropsOnlineRows { versions } => json!({"kind": "drops_online_rows", "versions": versions}),
        Effect::ServicePins { view, version } => json!({"kind": "service_pins", "view": view, "version": version}),
        Effect::ServicePinsMove { view, from, to } => {
            json!({"kind": "service_pins_move", "view": view, "from": from, "to": to})
        }
        Effect::ServiceLosesView { view } => json!({"kind": "service_loses_view", "view": view}),
    }
}

fn consumer(consumer: &Consumer) -> Value {
    let (reads, from, version) = match consumer.reads {
        Reads::Changed(version) => ("changed", None, version),
        Reads::MovesTo { from, to } => ("moves_to", Some(from), to),
        Reads::StaysOn(version) => ("stays_on", None, version),
        Reads::Names(version) => ("names", None, version),
    };
    let mut value = json!({"service": consumer.service, "reads": reads, "version": version});
    if let Some(from) = from {
        value["from"] = from.into();
    }
    value
}

fn blocker(blocker: &Blocker) -> Value {
    let loss = match blocker.loss {
        Loss::View => "view",
        Loss::OnlineRows => "online_rows",
    };
    json!({"service": blocker.service, "view": blocker.view, "version": blocker.version, "loss": loss})
}
