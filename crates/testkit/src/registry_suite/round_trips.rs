//! Everything that a registry can hold goes in and comes out equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use lodestore_core::definition::{DataSource, Definitions, Entity, ObjectId, ObjectKind};
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{Mutation, RegistryStore, Snapshot};

use super::RegistryHarness;
use super::example::{change, check_holds, dataset, everything, renumbered};
use crate::fixture::{mutations, snapshot};
use crate::generate::{Rng, aggregated_view, for_each_seed};
use crate::{Failed, Outcome, check_eq};

type Harness<'a> = &'a dyn RegistryHarness;

/// A registry, and what it must hold by now.
struct Applied<'a> {
    harness: Harness<'a>,
    place: String,
    registry: Arc<dyn RegistryStore>,
    expected: Snapshot,
}

impl<'a> Applied<'a> {
    async fn open(harness: Harness<'a>, place: &str) -> Result<Self, Failed> {
        let registry = harness.open(place).await?;
        let project: ProjectName = "p".parse()?;
        Ok(Self { harness, place: place.to_owned(), registry, expected: Snapshot::empty(project) })
    }

    async fn commit(&mut self, steps: Vec<Mutation>) -> Outcome {
        steps.iter().for_each(|step| self.expected.apply(step));
        let revision = self.registry.commit(&self.expected.project, self.expected.revision, &change(steps, 1)).await?;
        self.expected.revision += 1;
        check_eq!(revision, self.expected.revision, "the revision grows by one");
        check_holds(self.harness, &self.place, &self.registry, &self.expected).await
    }
}

pub(super) async fn every_kind_of_object_is_loaded_as_it_was_put(harness: Harness<'_>) -> Outcome {
    let mut applied = Applied::open(harness, "every_kind").await?;
    for step in mutations(&everything()?)? {
        applied.commit(vec![step]).await?;
    }
    let loaded = applied.registry.load(&applied.expected.project).await?;
    check_eq!(loaded.definitions, everything()?, "definitions");
    for (name, history) in &loaded.views {
        let version = &history.versions[&1];
        let again = everything()?.resolve(&version.definition, version.created_at, 1)?;
        check_eq!(**version, again, "version 1 of '{name}'");
        check_eq!(version.hash()?, again.hash()?, "its hash");
    }
    check_eq!(loaded.pins["model"].len(), 2, "the views that the service pins");
    Ok(())
}

pub(super) async fn n1_aggregations_are_loaded_as_they_were_put(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("aggregations").await?;
    for_each_seed("n1_aggregations_are_loaded_as_they_were_put", async |seed| {
        // Each commit of a durable registry takes a while: fewer cases say as much.
        if seed % 20 != 0 {
            return Ok(());
        }
        let definitions = aggregated_view(&mut Rng::new(seed))?;
        let expected = snapshot(&definitions)?;
        let project = format!("p{seed}").parse()?;
        registry.commit(&project, 0, &change(mutations(&definitions)?, 1)).await?;
        let loaded = registry.load(&project).await?;
        check_eq!(loaded.definitions, definitions, "definitions");
        let (found, expected) = (loaded.view(&"windows".parse()?)?, expected.view(&"windows".parse()?)?);
        check_eq!(found.features, expected.features, "features");
        check_eq!(found.hash()?, expected.hash()?, "the hash");
        Ok(())
    })
    .await
}

pub(super) async fn objects_are_replaced_and_removed(harness: Harness<'_>) -> Outcome {
    let mut applied = Applied::open(harness, "replaced").await?;
    applied.commit(mutations(&everything()?)?).await?;
    let mut entity = everything()?.entities["driver"].clone();
    entity.description = "another".into();
    entity.tags.clear();
    let mut source = everything()?.data_sources["prices"].clone();
    if let DataSource::File(file) = &mut source {
        file.path = "elsewhere.csv".into();
    }
    let mut service = everything()?.feature_services["small"].clone();
    service.owner = "them".into();
    let pins = BTreeMap::from([("constants".parse()?, 7)]);
    applied
        .commit(vec![
            Mutation::PutEntity(entity),
            Mutation::PutDataSource(source),
            Mutation::PutFeatureService(service, pins),
        ])
        .await?;
    check_eq!(applied.expected.consumers(&"constants".parse()?).map(|(_, pin)| pin).collect::<Vec<_>>(), [7], "pins");
    for id in everything()?.ids().collect::<Vec<_>>().into_iter().rev() {
        applied.commit(vec![Mutation::Remove(id)]).await?;
    }
    let loaded = applied.registry.load(&applied.expected.project).await?;
    check_eq!(loaded.definitions, Definitions::default(), "definitions when all are removed");
    check_eq!((loaded.views.len(), loaded.pins.len()), (0, 0), "versions and pins");
    // Removing what is not there is no error: plans are judged before they come here.
    applied.commit(vec![Mutation::Remove(ObjectId::new(ObjectKind::Entity, "driver"))]).await
}

pub(super) async fn n2_versions_and_pins_live_side_by_side(harness: Harness<'_>) -> Outcome {
    let mut applied = Applied::open(harness, "versions").await?;
    applied.commit(mutations(&everything()?)?).await?;
    let second = renumbered(&applied.expected, "driver_stats", 2)?;
    let far = renumbered(&applied.expected, "driver_stats", 4_000_000_000)?;
    applied.commit(vec![Mutation::PutView(Arc::clone(&second))]).await?;
    applied.commit(vec![Mutation::PutView(far)]).await?;
    // An older version may become the current one again.
    applied.commit(vec![Mutation::PutView(second)]).await?;
    let loaded = applied.registry.load(&applied.expected.project).await?;
    let numbers: Vec<u32> = loaded.views["driver_stats"].versions.keys().copied().collect();
    check_eq!((loaded.views["driver_stats"].current, numbers), (2, vec![1, 2, 4_000_000_000]), "current and all");
    check_eq!(loaded.pins["model"]["driver_stats"], 1, "the service keeps the version that it pinned");
    check_eq!(loaded.view(&"driver_stats@1".parse()?)?.number, 1, "version 1 is still there");
    applied.commit(vec![Mutation::Remove(ObjectId::new(ObjectKind::FeatureView, "driver_stats"))]).await?;
    check_eq!(applied.expected.views.contains_key("driver_stats"), false, "all versions are removed");
    Ok(())
}

pub(super) async fn saved_datasets_are_put_replaced_and_removed(harness: Harness<'_>) -> Outcome {
    let mut applied = Applied::open(harness, "datasets").await?;
    applied.commit(vec![Mutation::PutDataset(dataset("a")?), Mutation::PutDataset(dataset("b")?)]).await?;
    let empty = lodestore_core::registry::SavedDataset {
        rows: 0,
        features: Vec::new(),
        fingerprints: Vec::new(),
        tags: BTreeMap::new(),
        plan: String::new(),
        ..dataset("a")?
    };
    applied.commit(vec![Mutation::PutDataset(empty)]).await?;
    applied.commit(vec![Mutation::RemoveDataset("b".parse()?), Mutation::RemoveDataset("c".parse()?)]).await?;
    check_eq!(applied.expected.datasets.len(), 1, "the one that is left");
    Ok(())
}

pub(super) async fn a_change_is_made_in_the_order_of_its_mutations(harness: Harness<'_>) -> Outcome {
    let mut applied = Applied::open(harness, "in_order").await?;
    let entity = |description: &str| {
        Ok::<_, Failed>(Mutation::PutEntity(Entity {
            description: description.into(),
            ..Entity::new("e")?.normalized()?
        }))
    };
    let remove = || Mutation::Remove(ObjectId::new(ObjectKind::Entity, "e"));
    applied.commit(vec![entity("first")?, entity("second")?]).await?;
    check_eq!(applied.expected.definitions.entities["e"].description, "second", "the later one stays");
    applied.commit(vec![remove(), entity("third")?]).await?;
    applied.commit(vec![entity("fourth")?, remove()]).await?;
    check_eq!(applied.expected.definitions.entities.len(), 0, "put, then removed");
    // Nothing to do is a change too.
    applied.commit(Vec::new()).await
}

pub(super) async fn random_changes_amount_to_what_they_say(harness: Harness<'_>) -> Outcome {
    let all = mutations(&everything()?)?;
    let put = snapshot(&everything()?)?;
    let registry = harness.open("random").await?;
    for_each_seed("random_changes_amount_to_what_they_say", async |seed| {
        // A durable registry opens again after each commit: fewer cases say as much.
        if seed % 20 != 0 {
            return Ok(());
        }
        let mut rng = Rng::new(seed);
        let expected = Snapshot::empty(format!("p{seed}").parse()?);
        let registry = Arc::clone(&registry);
        let mut applied = Applied { harness, place: "random".into(), registry, expected };
        for _ in 0..1 + rng.below(4) {
            let steps = (0..rng.below(6)).map(|_| step(&mut rng, &all, &put)).collect::<Result<_, Failed>>()?;
            applied.commit(steps).await?;
        }
        Ok(())
    })
    .await
}

fn step(rng: &mut Rng, all: &[Mutation], put: &Snapshot) -> Result<Mutation, Failed> {
    let ids: Vec<ObjectId> = put.definitions.ids().collect();
    let views: Vec<&str> = put.views.keys().map(|name| name.as_str()).collect();
    Ok(match rng.below(10) {
        0..=4 => rng.pick(all).clone(),
        5 | 6 => Mutation::Remove(rng.pick(&ids).clone()),
        7 => Mutation::PutView(renumbered(put, views[rng.below(views.len())], 1 + rng.below(4) as u32)?),
        8 => Mutation::PutDataset(dataset(["a", "b"][rng.below(2)])?),
        _ => Mutation::RemoveDataset(["a", "b"][rng.below(2)].parse()?),
    })
}
