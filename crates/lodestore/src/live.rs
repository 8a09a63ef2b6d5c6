//! What requests see of the registry: its state as of a moment ago, looked at by a thread in the background.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures::executor::block_on;
use hashbrown::HashMap;
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{RegistryStore, Snapshot};
use lodestore_core::request::ColumnNames;
use lodestore_core::time::Stopwatch;
use lodestore_core::{Error, Result};

use crate::online::OnlinePlan;

/// How often the registry is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Without a look for so long, whoever looked is gone: a forked child has none of its parent's threads.
const GONE_AFTER: Duration = Duration::from_secs(1);

/// How many plans are kept. Beyond, all are forgotten: callers that never ask twice gain nothing from them.
const MOST_PLANS: usize = 1024;

/// The state of the registry that requests see, and what was prepared for it.
#[derive(Debug)]
pub(crate) struct LiveState {
    /// The registry's state.
    pub(crate) snapshot: Arc<Snapshot>,
    plans: ArcSwap<HashMap<Box<str>, Arc<OnlinePlan>>>,
}

impl LiveState {
    fn new(snapshot: Arc<Snapshot>) -> Arc<Self> {
        Arc::new(Self { snapshot, plans: ArcSwap::default() })
    }

    /// Returns the plan of a request, prepared by `prepare` when it is asked for first.
    pub(crate) fn plan(
        &self,
        features: &AskedFeatures<'_>,
        names: ColumnNames,
        prepare: impl FnOnce() -> Result<OnlinePlan>,
    ) -> Result<Arc<OnlinePlan>> {
        let id = features.id(names);
        if let Some(known) = self.plans.load().get(id.as_str()) {
            return Ok(Arc::clone(known));
        }
        let plan = Arc::new(prepare()?);
        self.plans.rcu(|plans| {
            let mut more = if plans.len() < MOST_PLANS { HashMap::clone(plans) } else { HashMap::new() };
            more.insert(id.as_str().into(), Arc::clone(&plan));
            more
        });
        Ok(plan)
    }
}

/// What an online request asks for, as its caller wrote it.
#[derive(Debug, Clone, Copy)]
pub enum AskedFeatures<'a> {
    /// `view:feature` references, in order.
    Refs(&'a [&'a str]),
    /// The name of a feature service.
    Service(&'a str),
}

impl AskedFeatures<'_> {
    /// Returns a text that no other request has. References are parsed later, so they may have any characters:
    /// each is preceded by its length.
    fn id(&self, names: ColumnNames) -> String {
        let kind = match (self, names) {
            (Self::Refs(_), ColumnNames::Feature) => "f",
            (Self::Refs(_), ColumnNames::ViewAndFeature) => "F",
            (Self::Service(_), ColumnNames::Feature) => "s",
            (Self::Service(_), ColumnNames::ViewAndFeature) => "S",
        };
        let refs = match self {
            Self::Refs(refs) => *refs,
            Self::Service(name) => std::slice::from_ref(name),
        };
        let mut id = String::with_capacity(1 + refs.iter().map(|text| text.len() + 3).sum::<usize>());
        id.push_str(kind);
        for text in refs {
            let mut length = text.len();
            while length >= 0x80 {
                id.push(char::from((length & 0x7f) as u8));
                length >>= 7;
            }
            id.push(char::from(length as u8));
            id.push_str(text);
        }
        id
    }
}

/// Keeps a [`LiveState`].
#[derive(Debug)]
pub(crate) struct LiveRegistry {
    registry: Arc<dyn RegistryStore>,
    project: ProjectName,
    state: ArcSwapOption<LiveState>,
    since: Stopwatch,
    /// When the registry was looked at last, in milliseconds of `since`.
    looked_at: AtomicU64,
    /// Counts the threads that were started to look; all but the last one end.
    watchers: AtomicU64,
    is_starting: AtomicBool,
}

impl LiveRegistry {
    pub(crate) fn new(registry: Arc<dyn RegistryStore>, project: ProjectName) -> Arc<Self> {
        Arc::new(Self {
            registry,
            project,
            state: ArcSwapOption::empty(),
            since: Stopwatch::start(),
            looked_at: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
            is_starting: AtomicBool::new(false),
        })
    }

    /// Loads the registry's present state.
    pub(crate) async fn load(&self) -> Result<Arc<LiveState>> {
        let snapshot = self.registry.load(&self.project).await?;
        if let Some(state) = self.state.load_full().filter(|state| *state.snapshot == snapshot) {
            return Ok(state);
        }
        let state = LiveState::new(Arc::new(snapshot));
        self.state.store(Some(Arc::clone(&state)));
        Ok(state)
    }

    /// Returns the state as of at most a second ago. Only the first call looks at the registry itself.
    pub(crate) async fn recent(self: &Arc<Self>) -> Result<Arc<LiveState>> {
        if let Some(state) = self.state.load_full().filter(|_| self.is_watched()) {
            return Ok(state);
        }
        let state = self.load().await?;
        self.watch()?;
        Ok(state)
    }

    /// Returns whether some thread looks at the registry.
    fn is_watched(&self) -> bool {
        let looked_at = Duration::from_millis(self.looked_at.load(Ordering::Relaxed));
        looked_at > Duration::ZERO && self.since.elapsed().saturating_sub(looked_at) < GONE_AFTER
    }

    /// Returns whether a state of the registry is the one that requests see now.
    pub(crate) fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        self.is_watched() && self.state.load().as_ref().is_some_and(|state| Arc::ptr_eq(&state.snapshot, snapshot))
    }

    /// Starts a thread that looks at the registry as long as this is there.
    fn watch(self: &Arc<Self>) -> Result<()> {
        if self.is_starting.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let number = self.watchers.fetch_add(1, Ordering::Relaxed) + 1;
        self.looked();
        let live = Arc::downgrade(self);
        let started = thread::Builder::new().name("lodestore-registry".into()).spawn(move || look(&live, number));
        self.is_starting.store(false, Ordering::Release);
        started.map(|_| ()).map_err(|e| Error::io("starting the thread that looks at the registry", e))
    }

    fn looked(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.looked_at.store(now.max(1), Ordering::Relaxed);
    }

    /// Loads the state if it changed. Where the registry can't be read, requests go on with what they have.
    fn refresh(&self) {
        let known = self.state.load().as_ref().map(|state| state.snapshot.revision);
        let found = block_on(self.registry.revision(&self.project)).ok();
        if found.is_some() && found != known {
            // An error is tried again at the next look.
            let _ = block_on(self.load());
        }
        self.looked();
    }
}

fn look(live: &Weak<LiveRegistry>, number: u64) {
    loop {
        thread::sleep(LOOK_EVERY);
        match live.upgrade() {
            Some(live) if live.watchers.load(Ordering::Relaxed) == number => live.refresh(),
            _ => return,
        }
    }
}
