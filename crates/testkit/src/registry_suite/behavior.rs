//! The `# Behavior` bullets of [`RegistryStore`], each by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lodestore_core::ErrorKind;
use lodestore_core::definition::Entity;
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{ApplyRecord, Mutation, RegistryStore, Snapshot};
use lodestore_core::time::EventTime;

use super::RegistryHarness;
use super::example::{change, check_holds, dataset, everything};
use crate::fixture::mutations;
use crate::{Failed, Outcome, check, check_eq};

type Harness<'a> = &'a dyn RegistryHarness;

fn project(name: &str) -> Result<ProjectName, Failed> {
    Ok(name.parse()?)
}

fn entity(name: &str) -> Result<Mutation, Failed> {
    Ok(Mutation::PutEntity(Entity::new(name)?.normalized()?))
}

/// Returns a handle for another thread: one of its own where handles share what is stored.
async fn another(
    harness: Harness<'_>,
    place: &str,
    first: &Arc<dyn RegistryStore>,
) -> Result<Arc<dyn RegistryStore>, Failed> {
    if harness.is_durable() { Ok(harness.open(place).await?) } else { Ok(Arc::clone(first)) }
}

pub(super) async fn an_unknown_project_is_empty_at_revision_0(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("unknown").await?;
    let name = project("never applied")?;
    check_eq!(registry.load(&name).await?, Snapshot::empty(name.clone()), "an unknown project");
    check_eq!(registry.history(&name, 9).await?, Vec::new(), "its history");
    // Looking does not make it known.
    check_eq!(registry.load(&name).await?.revision, 0, "its revision");
    Ok(())
}

pub(super) async fn the_revision_is_that_of_the_state(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("revisions").await?;
    let (first, second) = (project("p")?, project("q")?);
    for revision in 0..3 {
        check_eq!(registry.revision(&first).await?, revision, "the revision");
        check_eq!(registry.load(&first).await?.revision, revision, "that of the state");
        registry.commit(&first, revision, &change(vec![entity("a")?], 1)).await?;
    }
    check_eq!(registry.revision(&second).await?, 0, "the other project's");
    registry.remove_project(&first).await?;
    check_eq!(registry.revision(&first).await?, 0, "after the removal");
    Ok(())
}

pub(super) async fn what_was_committed_is_loaded(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("committed").await?;
    let mut expected = Snapshot::empty(project("p")?);
    let mut steps = mutations(&everything()?)?;
    steps.push(Mutation::PutDataset(dataset("training")?));
    let revision = registry.commit(&expected.project, 0, &change(steps.clone(), 7)).await?;
    check_eq!(revision, 1, "the first revision");
    steps.iter().for_each(|step| expected.apply(step));
    expected.revision = 1;
    check_eq!(expected.definitions, everything()?, "the definitions of the steps");
    check_holds(harness, "committed", &registry, &expected).await
}

pub(super) async fn projects_do_not_see_each_other(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("projects").await?;
    let (first, second) = (project("p")?, project("P")?);
    registry.commit(&first, 0, &change(vec![entity("a")?], 1)).await?;
    registry.commit(&first, 1, &change(vec![entity("b")?], 2)).await?;
    check_eq!(registry.load(&second).await?, Snapshot::empty(second.clone()), "the other project");
    registry.commit(&second, 0, &change(vec![entity("c")?], 3)).await?;
    let names = async |project: &ProjectName| {
        let entities = registry.load(project).await?.definitions.entities;
        Ok::<_, Failed>(entities.into_keys().map(|name| name.to_string()).collect::<Vec<_>>())
    };
    check_eq!(names(&first).await?, ["a", "b"], "the first project");
    check_eq!(names(&second).await?, ["c"], "the second project");
    check_eq!(registry.history(&second, 9).await?.len(), 1, "its history");
    Ok(())
}

pub(super) async fn a_commit_on_an_old_revision_is_a_conflict_and_changes_nothing(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("conflict").await?;
    let name = project("p")?;
    registry.commit(&name, 0, &change(vec![entity("a")?], 1)).await?;
    registry.commit(&name, 1, &change(vec![entity("b")?], 2)).await?;
    let (before, history) = (registry.load(&name).await?, registry.history(&name, 9).await?);
    for wrong in [0, 1, 3, u64::from(u32::MAX)] {
        let refused = registry.commit(&name, wrong, &change(vec![entity("c")?], 3)).await;
        let Err(error) = refused else { return Err(format!("a commit on {wrong} succeeded at 2").into()) };
        check_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        check!(error.to_string().contains("'p'"), "'{error}' does not name the project");
    }
    check_eq!(registry.history(&name, 9).await?, history, "a refused commit is not recorded");
    check_holds(harness, "conflict", &registry, &before).await?;
    // A project that was never applied has revision 0 and no other.
    let refused = registry.commit(&project("new")?, 1, &change(vec![], 3)).await;
    check_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::Conflict), "revision 1 of a new project");
    check_eq!(registry.load(&project("new")?).await?.revision, 0, "the new project");
    Ok(())
}

pub(super) async fn of_many_commits_at_once_on_one_revision_one_succeeds(harness: Harness<'_>) -> Outcome {
    const THREADS: usize = 8;
    const ROUNDS: u64 = 10;
    const PLACE: &str = "at_once";
    let registry = harness.open(PLACE).await?;
    let name = project("p")?;
    for round in 0..ROUNDS {
        let (won, start) = (AtomicU64::new(0), std::sync::Barrier::new(THREADS));
        let commit = async |thread: usize| {
            let registry = another(harness, PLACE, &registry).await?;
            let mine = change(vec![entity(&format!("e{round}_{thread}"))?], 1);
            start.wait();
            match registry.commit(&name, round, &mine).await {
                Ok(revision) => {
                    check_eq!(revision, round + 1, "the new revision");
                    won.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => check_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
            Ok(())
        };
        in_threads(harness, THREADS, &commit)?;
        check_eq!(won.load(Ordering::SeqCst), 1, "winners of round {round}");
        let snapshot = registry.load(&name).await?;
        check_eq!(snapshot.definitions.entities.len() as u64, round + 1, "one entity a round");
    }
    Ok(())
}

pub(super) async fn many_writers_that_plan_again_all_get_their_turn(harness: Harness<'_>) -> Outcome {
    const THREADS: usize = 4;
    const COMMITS: usize = 10;
    const PLACE: &str = "turns";
    let registry = harness.open(PLACE).await?;
    let name = project("p")?;
    let commit = async |thread: usize| {
        let registry = another(harness, PLACE, &registry).await?;
        for i in 0..COMMITS {
            loop {
                let revision = registry.load(&name).await?.revision;
                let mine = change(vec![entity(&format!("e{thread}_{i}"))?], 1);
                match registry.commit(&name, revision, &mine).await {
                    Ok(_) => break,
                    Err(error) => check_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
        }
        Ok(())
    };
    in_threads(harness, THREADS, &commit)?;
    let snapshot = registry.load(&name).await?;
    check_eq!(snapshot.revision, (THREADS * COMMITS) as u64, "a revision for each commit");
    check_eq!(snapshot.definitions.entities.len(), THREADS * COMMITS, "no commit was lost");
    check_eq!(registry.history(&name, usize::MAX).await?.len(), THREADS * COMMITS, "each was recorded");
    Ok(())
}

pub(super) async fn a_load_during_commits_sees_whole_revisions(harness: Harness<'_>) -> Outcome {
    const COMMITS: u64 = 40;
    const PLACE: &str = "whole";
    let registry = harness.open(PLACE).await?;
    let name = project("p")?;
    let is_done = AtomicBool::new(false);
    let work = async |thread: usize| {
        let registry = another(harness, PLACE, &registry).await?;
        if thread == 0 {
            for revision in 0..COMMITS {
                let both = vec![entity(&format!("a{revision}"))?, entity(&format!("b{revision}"))?];
                registry.commit(&name, revision, &change(both, 1)).await?;
            }
            is_done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        while !is_done.load(Ordering::SeqCst) {
            let snapshot = registry.load(&name).await?;
            let entities = snapshot.definitions.entities.len() as u64;
            check_eq!(entities, 2 * snapshot.revision, "entities at revision {}", snapshot.revision);
        }
        Ok(())
    };
    in_threads(harness, 2, &work)
}

pub(super) async fn every_commit_is_recorded(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("recorded").await?;
    let name = project("p")?;
    let first = change(vec![entity("a")?], -5);
    let second = change(vec![], i64::from(i32::MAX) * 1_000_000);
    registry.commit(&name, 0, &first).await?;
    registry.commit(&name, 1, &second).await?;
    let record = |revision: u64, at: i64| ApplyRecord {
        revision,
        at: EventTime::from_micros(at),
        by: first.by.clone(),
        changes: first.lines.clone(),
    };
    let both = vec![record(2, second.at.as_micros()), record(1, -5)];
    check_eq!(registry.history(&name, 9).await?, both, "the newest first");
    check_eq!(registry.history(&name, 1).await?, both[..1], "the newest one");
    check_eq!(registry.history(&name, 0).await?, Vec::new(), "none");
    Ok(())
}

pub(super) async fn a_removed_project_is_empty_and_others_are_untouched(harness: Harness<'_>) -> Outcome {
    let registry = harness.open("removed").await?;
    let (first, second) = (project("p")?, project("p2")?);
    for name in [&first, &second] {
        registry.commit(name, 0, &change(mutations(&everything()?)?, 1)).await?;
    }
    let before = registry.load(&second).await?;
    registry.remove_project(&first).await?;
    registry.remove_project(&first).await?;
    registry.remove_project(&project("never there")?).await?;
    check_eq!(registry.history(&first, 9).await?, Vec::new(), "its history");
    check_holds(harness, "removed", &registry, &Snapshot::empty(first.clone())).await?;
    check_holds(harness, "removed", &registry, &before).await?;
    check_eq!(registry.commit(&first, 0, &change(vec![entity("a")?], 2)).await?, 1, "it starts anew");
    check_eq!(registry.load(&first).await?.definitions.entities.len(), 1, "with what is put now");
    Ok(())
}

fn in_threads(harness: Harness<'_>, threads: usize, work: &(impl AsyncFn(usize) -> Outcome + Sync)) -> Outcome {
    std::thread::scope(|scope| {
        let spawn = |thread| scope.spawn(move || harness.block_on(Box::pin(work(thread))));
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        let joined = handles.into_iter().map(|handle| handle.join().map_err(|_| Failed::from("a thread panicked"))?);
        joined.collect::<Outcome>()
    })
}
