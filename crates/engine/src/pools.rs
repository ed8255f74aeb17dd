//! Places: how much goes on at once, in the whole run, with one provider, of one type, in one group.
//!
//! ```text
//! all (-parallelism) ─┐                          ┌─ rest(): given back while a retry waits (but for the groups')
//! provider ───────────┼─ one in each or none ─► Turn
//! type, groups ───────┘                          └─ again(): before those that have not begun
//! ```
//!
//! A group keeps apart whole operations (one member joins at a time), so one that waits to be tried again keeps its places there. All other pools are about
//! load, which a call that waits makes none of.
//!
//! A provider's pool finds out what the far side bears, as TCP does. An answer of [`grappe_provider::FaultKind::Throttled`] halves what goes on at once, once for all
//! calls that were under way, and closes the pool for as long as the far side asks for: nobody else of that provider begins before. Each time that as many
//! calls have worked as go on at once, there is room for one more.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grappe_graph::Lane;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// What a pool is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// All operations.
    Operations,
    /// All readings of a plan.
    Reads,
    /// A provider's configuration.
    Provider(String),
    /// A type.
    Type(String),
    /// What a type or the user put together.
    Group(String),
}

/// The pools of one engine: planning and applying share what was found out. A pool's number is the lane of the ready queue that waits for it.
#[derive(Clone, Default)]
pub(crate) struct Pools(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// There may be room where there was none.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    lanes: HashMap<Name, Lane>,
    pools: Vec<Pool>,
    /// Those who were at it and wait to go on, first come first.
    waiting: VecDeque<Waiting>,
    /// Pools in which there may be room since that was last asked.
    freed: BTreeSet<Lane>,
    /// Pools that are closed until a time.
    closed: BTreeSet<Lane>,
    tickets: u64,
    /// Whether there is any reason to look at who waits.
    stirred: bool,
}

struct Pool {
    name: Name,
    max: Option<usize>,
    taken: usize,
    /// How many at once a far side that was asked too much is asked now.
    window: Option<usize>,
    /// How many calls have worked since the window last moved.
    worked: usize,
    /// When the window was last cut.
    cut: Option<Instant>,
    closed_until: Option<Instant>,
}

impl Pool {
    fn room(&self) -> bool {
        let most = self.max.into_iter().chain(self.window).min();
        // A pool of none would never let anybody in.
        self.closed_until.is_none() && most.is_none_or(|most| self.taken < most.max(1))
    }
}

/// The places that a call needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seats {
    provider: Option<Lane>,
    /// Given back while a retry waits: all, provider, type.
    load: Vec<Lane>,
    /// Kept: groups, with how many each lets in.
    groups: Vec<(Lane, usize)>,
}

impl Seats {
    pub(crate) fn new(
        all: Lane,
        provider: Option<Lane>,
        ty: Option<Lane>,
        mut groups: Vec<(Lane, usize)>,
    ) -> Self {
        groups.sort_unstable();
        groups.dedup_by_key(|(lane, _)| *lane);
        Seats { provider, load: [Some(all), provider, ty].into_iter().flatten().collect(), groups }
    }
}

struct Waiting {
    ticket: u64,
    seats: Arc<Seats>,
    held: Arc<AtomicBool>,
    go: oneshot::Sender<()>,
}

/// That a provider is asked less from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Throttled {
    pub(crate) provider: String,
    /// How many calls go on at once now.
    pub(crate) most: usize,
}

impl Inner {
    fn lane(&mut self, name: Name) -> Lane {
        if let Some(lane) = self.lanes.get(&name) {
            return *lane;
        }
        let lane = self.pools.len();
        self.lanes.insert(name.clone(), lane);
        self.pools.push(Pool {
            name,
            max: None,
            taken: 0,
            window: None,
            worked: 0,
            cut: None,
            closed_until: None,
        });
        lane
    }

    /// The first pool of the load in which there is no room.
    fn full(&self, seats: &Seats) -> Option<Lane> {
        seats.load.iter().copied().find(|lane| !self.pools[*lane].room())
    }

    fn take_load(&mut self, seats: &Seats) {
        seats.load.iter().for_each(|lane| self.pools[*lane].taken += 1);
    }

    fn give_back(&mut self, lanes: impl Iterator<Item = Lane>) {
        for lane in lanes {
            self.pools[lane].taken -= 1;
            self.free(lane);
        }
    }

    fn free(&mut self, lane: Lane) {
        self.freed.insert(lane);
        self.stirred = true;
    }

    /// Opens what was closed until now, and lets those go on who wait and may.
    fn serve(&mut self) {
        let now = Instant::now();
        let due =
            |inner: &Self, lane: &Lane| inner.pools[*lane].closed_until.is_none_or(|until| until <= now);
        for lane in self.closed.clone().into_iter().filter(|lane| due(self, lane)).collect::<Vec<_>>() {
            self.closed.remove(&lane);
            self.pools[lane].closed_until = None;
            self.free(lane);
        }
        if !std::mem::take(&mut self.stirred) {
            return;
        }
        let mut still = VecDeque::with_capacity(self.waiting.len());
        while let Some(next) = self.waiting.pop_front() {
            if self.full(&next.seats).is_some() {
                still.push_back(next);
                continue;
            }
            self.take_load(&next.seats);
            next.held.store(true, Ordering::Relaxed);
            // One that is not there any more has given up its turn, which gives back what it holds.
            let _ = next.go.send(());
        }
        self.waiting = still;
    }
}

impl Pools {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pool's number, and from now on no more than `max` in it at once, where that is given.
    pub(crate) fn lane(&self, name: Name, max: Option<usize>) -> Lane {
        let mut inner = self.lock();
        let lane = inner.lane(name);
        if max.is_some() {
            inner.pools[lane].max = max;
        }
        lane
    }

    /// Whether there is room in a pool.
    pub(crate) fn has_room(&self, lane: Lane) -> bool {
        let mut inner = self.lock();
        inner.serve();
        inner.pools[lane].room()
    }

    /// Takes all of these places, or none and says which pool is full.
    pub(crate) fn take(&self, seats: &Seats) -> Result<Turn, Lane> {
        let mut inner = self.lock();
        inner.serve();
        let group = seats.groups.iter().find(|(lane, max)| inner.pools[*lane].taken >= (*max).max(1));
        if let Some(full) = inner.full(seats).or(group.map(|(lane, _)| *lane)) {
            return Err(full);
        }
        inner.take_load(seats);
        seats.groups.iter().for_each(|(lane, _)| inner.pools[*lane].taken += 1);
        let ticket = inner.tickets;
        inner.tickets += 1;
        drop(inner);
        Ok(Turn {
            pools: self.clone(),
            seats: Arc::new(seats.clone()),
            held: Arc::new(AtomicBool::new(true)),
            ticket,
        })
    }

    /// The pools in which there may be room since this was last asked.
    pub(crate) fn freed(&self) -> BTreeSet<Lane> {
        let mut inner = self.lock();
        inner.serve();
        std::mem::take(&mut inner.freed)
    }

    /// Resolves when there may be room where there was none. One waits for it at a time.
    pub(crate) async fn changed(&self) {
        let opens = {
            let inner = self.lock();
            inner.closed.iter().filter_map(|lane| inner.pools[*lane].closed_until).min()
        };
        match opens {
            Some(at) => tokio::select! {
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            },
            None => self.0.changed.notified().await,
        }
    }
}

/// The places that a call holds. Dropping it gives them back.
pub(crate) struct Turn {
    pools: Pools,
    seats: Arc<Seats>,
    /// Whether it holds those of the load, too.
    held: Arc<AtomicBool>,
    ticket: u64,
}

impl Turn {
    /// Gives back all places but those in groups.
    pub(crate) fn rest(&self) {
        let mut inner = self.pools.lock();
        if self.held.swap(false, Ordering::Relaxed) {
            inner.give_back(self.seats.load.iter().copied());
            inner.serve();
        }
        drop(inner);
        self.pools.0.changed.notify_one();
    }

    /// Has them again, as soon as there is room: before those that have not begun.
    pub(crate) async fn again(&self) {
        let mut granted = {
            let mut inner = self.pools.lock();
            if self.held.load(Ordering::Relaxed) {
                return;
            }
            let (go, granted) = oneshot::channel();
            let (seats, held) = (self.seats.clone(), self.held.clone());
            inner.waiting.push_back(Waiting { ticket: self.ticket, seats, held, go });
            inner.stirred = true;
            inner.serve();
            granted
        };
        loop {
            let opens = {
                let inner = self.pools.lock();
                let until = self.seats.load.iter().filter_map(|lane| inner.pools[*lane].closed_until).max();
                until.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
            };
            tokio::select! {
                biased;
                _ = &mut granted => return,
                () = tokio::time::sleep_until(opens) => self.pools.lock().serve(),
            }
        }
    }

    /// The far side has answered a call that began at `begun`. What was under way when the window was cut says nothing of the new one.
    pub(crate) fn worked(&self, begun: Instant) {
        let Some(lane) = self.seats.provider else { return };
        let mut inner = self.pools.lock();
        let pool = &mut inner.pools[lane];
        let Some(window) = pool.window.filter(|_| pool.cut.is_none_or(|cut| begun > cut)) else { return };
        pool.worked += 1;
        if pool.worked >= window {
            (pool.window, pool.worked) = (Some(window + 1), 0);
            inner.free(lane);
            inner.serve();
            drop(inner);
            self.pools.0.changed.notify_one();
        }
    }

    /// The far side has answered a call that began at `begun` that it is asked too much: nobody asks it for as long as `wait`, and fewer do then. Gives what
    /// changed, once for all calls that were under way.
    pub(crate) fn throttled(&self, begun: Instant, wait: Duration) -> Option<Throttled> {
        let lane = self.seats.provider?;
        let mut inner = self.pools.lock();
        inner.closed.insert(lane);
        let pool = &mut inner.pools[lane];
        let now = Instant::now();
        pool.closed_until = pool.closed_until.max(Some(now + wait));
        pool.worked = 0;
        if pool.cut.is_some_and(|cut| begun <= cut) {
            return None;
        }
        pool.cut = Some(now);
        let most = (pool.window.map_or(pool.taken, |window| window.min(pool.taken.max(1))) / 2).max(1);
        pool.window = Some(most);
        let Name::Provider(provider) = pool.name.clone() else { return None };
        Some(Throttled { provider, most })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.pools.lock();
        // Only one that is given up while it waits is still in line.
        if let Some(at) = inner.waiting.iter().position(|w| w.ticket == self.ticket) {
            inner.waiting.remove(at);
        }
        if self.held.swap(false, Ordering::Relaxed) {
            inner.give_back(self.seats.load.iter().copied());
        }
        inner.give_back(self.seats.groups.iter().map(|(lane, _)| *lane));
        inner.serve();
        drop(inner);
        self.pools.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    struct Bench {
        pools: Pools,
        all: Lane,
        cloud: Lane,
    }

    impl Bench {
        fn new(all: usize) -> Self {
            let pools = Pools::default();
            let all = pools.lane(Name::Operations, Some(all));
            let cloud = pools.lane(Name::Provider("cloud".into()), None);
            Bench { pools, all, cloud }
        }

        fn seats(&self) -> Seats {
            Seats::new(self.all, Some(self.cloud), None, Vec::new())
        }

        /// As many as there is room for.
        fn fill(&self) -> Vec<Turn> {
            std::iter::from_fn(|| self.pools.take(&self.seats()).ok()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_or_none_and_never_more_than_the_maximum() {
        let Bench { pools, all, .. } = Bench::new(10);
        let (a, b) = (pools.lane(Name::Group("a".into()), None), pools.lane(Name::Group("b".into()), None));
        let seats = |groups: &[(Lane, usize)]| Seats::new(all, None, None, groups.to_vec());
        let one = pools.take(&seats(&[(a, 1), (b, 2)])).ok().unwrap();
        assert_eq!(pools.take(&seats(&[(b, 2), (a, 1)])).err(), Some(a), "a is full, b untouched");
        let two = pools.take(&seats(&[(b, 2)])).ok().unwrap();
        assert_eq!(pools.take(&seats(&[(b, 2)])).err(), Some(b));
        drop((one, two));
        assert_eq!(pools.freed(), BTreeSet::from([all, a, b]));
        let Ok(_both) = pools.take(&seats(&[(a, 0), (b, 2)])) else { panic!("0 means one at a time") };
        assert_eq!(pools.take(&seats(&[(a, 0)])).err(), Some(a));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_to_be_tried_again_keeps_its_group_and_nothing_else() {
        let Bench { pools, all, cloud } = Bench::new(1);
        let group = pools.lane(Name::Group("join".into()), None);
        let seats = Seats::new(all, Some(cloud), None, vec![(group, 1)]);
        let joining = pools.take(&seats).ok().unwrap();
        assert_eq!(pools.take(&Seats::new(all, None, None, Vec::new())).err(), Some(all));
        joining.rest();
        assert_eq!(pools.take(&seats).err(), Some(group));
        let other = pools.take(&Seats::new(all, None, None, Vec::new())).ok().unwrap();
        let mut again = std::pin::pin!(joining.again());
        assert!(futures::poll!(&mut again).is_pending());
        drop(other);
        assert_eq!(pools.take(&Seats::new(all, None, None, Vec::new())).err(), Some(all), "it is its turn");
        again.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_up_gives_back_what_it_was_just_given() {
        let bench = Bench::new(1);
        let waits = bench.pools.take(&bench.seats()).ok().unwrap();
        waits.rest();
        let other = bench.pools.take(&bench.seats()).ok().unwrap();
        {
            let mut again = std::pin::pin!(waits.again());
            assert!(futures::poll!(&mut again).is_pending());
            drop(other);
        }
        assert!(bench.fill().is_empty(), "it has the place, though nobody saw it get it");
        drop(waits);
        assert_eq!(bench.fill().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_far_side_that_is_asked_too_much_is_asked_half_and_then_one_more_at_a_time() {
        let bench = Bench::new(16);
        let turns = bench.fill();
        assert_eq!(turns.len(), 16);
        let begun = Instant::now();
        tokio::time::advance(secs(1)).await;
        let cut = turns[0].throttled(begun, secs(30));
        assert_eq!(cut, Some(Throttled { provider: "cloud".into(), most: 8 }));
        assert_eq!(turns[1].throttled(begun, secs(40)), None, "one burst, one cut");
        drop(turns);
        assert!(bench.fill().is_empty(), "closed for as long as it asks for");
        tokio::time::advance(secs(39)).await;
        assert!(bench.fill().is_empty());
        tokio::time::advance(secs(1)).await;
        let turns = bench.fill();
        assert_eq!(turns.len(), 8);
        turns.iter().for_each(|turn| turn.worked(begun));
        assert!(bench.fill().is_empty(), "they were under way before it was cut");
        turns.iter().for_each(|turn| turn.worked(Instant::now()));
        assert_eq!(bench.fill().len(), 1, "eight have worked: there is room for a ninth");
        for most in [4, 2, 1, 1] {
            tokio::time::advance(secs(1)).await;
            assert_eq!(turns[0].throttled(Instant::now(), secs(1)).map(|t| t.most), Some(most));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_when_the_pool_opens_without_a_call_from_outside() {
        let bench = Bench::new(4);
        let turn = bench.pools.take(&bench.seats()).ok().unwrap();
        let begun = Instant::now();
        turn.throttled(begun, secs(5));
        turn.rest();
        turn.again().await;
        assert_eq!(begun.elapsed(), secs(5));
        turn.throttled(Instant::now(), secs(7));
        bench.pools.changed().await;
        bench.pools.changed().await;
        assert_eq!(begun.elapsed(), secs(12));
    }
}
