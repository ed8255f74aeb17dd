//! A storage over a server: the lease is renewed in the background, and what may pass is tried again while it lasts.
//!
//! The server is talked to on a thread of its own, which goes on while its callers block. An answer that does not come is waited for no longer than a
//! third of the lease; the step is then asked for again, which is harmless. When the lease is over without a word from the server, the run can't know any more whether
//! it still holds the state: the write fails, and the run begins nothing that would need another.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use grappe_state::storage::{Append, Backup, Hold, Seen, Storage, StoreError, Stored};
use grappe_state::{Holder, LockError};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::server::{Asking, Kept, Server, Taking, Trouble};

/// How long a lock is held without a word.
pub const LEASE: Duration = Duration::from_secs(30);

/// The first pause before a step is asked for again.
const PAUSE: Duration = Duration::from_millis(100);

/// A state on a server.
#[derive(Debug)]
pub struct Leased {
    link: Arc<Link>,
}

/// The server, and the thread that talks to it.
#[derive(Debug)]
struct Link {
    server: Arc<dyn Server>,
    lease: Duration,
    runtime: Option<Runtime>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last user may be a task of another runtime, which must not wait for this one.
            runtime.shutdown_background();
        }
    }
}

impl Leased {
    /// A state on this server.
    ///
    /// # Errors
    /// Where no thread can be made.
    pub fn new(server: Arc<dyn Server>) -> std::io::Result<Self> {
        Self::with_lease(server, LEASE)
    }

    /// With a lease of another length.
    ///
    /// # Errors
    /// As of [`Leased::new`].
    pub fn with_lease(server: Arc<dyn Server>, lease: Duration) -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("store").enable_all().build()?;
        Ok(Leased { link: Arc::new(Link { server, lease, runtime: Some(runtime) }) })
    }
}

impl Link {
    /// Does a step on the server's thread, and blocks until it is done. What may pass is tried again until `until`.
    fn wait<T, F, R>(&self, until: impl Fn() -> Instant + Send + 'static, step: F) -> Result<T, Trouble>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn Server>) -> R + Send + 'static,
        R: Future<Output = Result<T, Trouble>> + Send,
    {
        let (answer, done) = futures::channel::oneshot::channel();
        let (server, patience) = (self.server.clone(), self.lease / 3);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                let _ = answer.send(patiently(&server, patience, until, step).await);
            });
        }
        futures::executor::block_on(done)
            .unwrap_or_else(|_| Err(Trouble::Final(silent(&*self.server, "reach"))))
    }

    /// The same for who holds no lock: for as long as a lease.
    fn ask<T, F, R>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn Server>) -> R + Send + 'static,
        R: Future<Output = Result<T, Trouble>> + Send,
    {
        let until = Instant::now() + self.lease;
        self.wait(move || until, step).map_err(told)
    }
}

async fn patiently<T, F, R>(
    server: &Arc<dyn Server>,
    patience: Duration,
    until: impl Fn() -> Instant,
    step: F,
) -> Result<T, Trouble>
where
    F: Fn(Arc<dyn Server>) -> R,
    R: Future<Output = Result<T, Trouble>>,
{
    let mut pause = PAUSE;
    loop {
        let error = match tokio::time::timeout(patience, step(server.clone())).await {
            Ok(Err(Trouble::Passing(error))) => error,
            Ok(other) => return other,
            Err(_) => silent(&**server, "reach"),
        };
        if Instant::now() + pause >= until() {
            return Err(Trouble::Final(error));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(patience);
    }
}

fn silent(server: &dyn Server, doing: &'static str) -> StoreError {
    let place = server.place().display().to_string();
    StoreError::Remote { doing, place, why: "no answer in time".into(), hint: None }
}

fn told(trouble: Trouble) -> StoreError {
    match trouble {
        Trouble::Passing(error) | Trouble::Final(error) => error,
        Trouble::Fenced(by) => StoreError::Fenced { by },
    }
}

impl Storage for Leased {
    fn place(&self) -> PathBuf {
        self.link.server.place()
    }

    fn journal_place(&self) -> PathBuf {
        self.link.server.place()
    }

    fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.load()? != Stored::default())
    }

    fn load(&self) -> Result<Stored, StoreError> {
        self.link.ask(|server| async move { server.load().await })
    }

    fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        let place = |serial| PathBuf::from(format!("{} (serial {serial})", self.place().display()));
        let old = self.link.ask(|server| async move { server.backups().await })?;
        Ok(old
            .into_iter()
            .map(|o| Backup {
                serial: o.serial,
                written: o.written,
                place: place(o.serial),
                bytes: Ok(o.bytes),
            })
            .collect())
    }

    fn holder(&self) -> Result<Option<Seen>, StoreError> {
        let kept = self.link.ask(|server| async move { server.lock().await })?;
        let me = Holder::this("");
        Ok(kept.map(|kept| Seen { lives: !is_dead(&kept, &me), holder: kept.holder, can_be_forced: true }))
    }

    fn lock(&self, me: &Holder, by_force: bool) -> Result<Box<dyn Hold>, LockError> {
        let (me, lease) = (me.clone(), self.link.lease);
        let id = uuid::Uuid::new_v4().to_string();
        let asked = Instant::now();
        let taking = self.link.ask(move |server| {
            let (me, id) = (me.clone(), id.clone());
            async move {
                let may_take = |kept: &Kept| by_force || is_dead(kept, &me);
                server.take(&Asking { id: &id, me: &me, lease, may_take: &may_take }).await
            }
        })?;
        match taking {
            Taking::Held(holder) => Err(LockError::Held { holder: Some(holder) }),
            Taking::Taken { token, before } => {
                Ok(Box::new(Held::new(self.link.clone(), token, before, asked)))
            }
        }
    }
}

/// Whether a lock's holder can be taken for dead: its lease is over, or its process is gone from this machine.
fn is_dead(kept: &Kept, me: &Holder) -> bool {
    let Holder { pid, host, boot_id, namespace, .. } = &kept.holder;
    let is_here = (host, boot_id, namespace) == (&me.host, &me.boot_id, &me.namespace);
    let can_tell = !boot_id.is_empty() && !namespace.is_empty();
    kept.is_over || (is_here && can_tell && !PathBuf::from(format!("/proc/{pid}")).exists())
}

/// Until when a lock is surely held, and whether it was found to be lost.
#[derive(Debug)]
struct Lease {
    length: Duration,
    renewed: Mutex<Instant>,
    lost: Mutex<Option<Option<Holder>>>,
}

impl Lease {
    fn until(&self) -> Instant {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) + self.length
    }

    /// Keeps what a step came to in mind.
    fn learn<T>(&self, asked: Instant, result: Result<T, Trouble>) -> Result<T, Trouble> {
        match &result {
            Ok(_) => *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked,
            Err(Trouble::Fenced(by)) => {
                *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(by.clone());
            }
            Err(_) => {}
        }
        result
    }

    fn lost(&self) -> Option<Option<Holder>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A lock that is held, and renewed for as long as it is.
#[derive(Debug)]
struct Held {
    link: Arc<Link>,
    token: u64,
    before: Option<Holder>,
    lease: Arc<Lease>,
    renewing: Option<JoinHandle<()>>,
}

impl Held {
    fn new(link: Arc<Link>, token: u64, before: Option<Holder>, asked: Instant) -> Self {
        let lease =
            Arc::new(Lease { length: link.lease, renewed: Mutex::new(asked), lost: Mutex::new(None) });
        let renewing =
            link.runtime.as_ref().map(|r| r.spawn(renew(link.server.clone(), token, lease.clone())));
        Held { link, token, before, lease, renewing }
    }

    fn step<T, F, R>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn Server>) -> R + Send + 'static,
        R: Future<Output = Result<T, Trouble>> + Send,
    {
        held(&self.link, &self.lease, step)
    }
}

/// A step of who holds the lock.
fn held<T, F, R>(link: &Link, lease: &Arc<Lease>, step: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(Arc<dyn Server>) -> R + Send + 'static,
    R: Future<Output = Result<T, Trouble>> + Send,
{
    if let Some(by) = lease.lost() {
        return Err(StoreError::Fenced { by });
    }
    let last = lease.clone();
    match link.wait(move || last.until(), step) {
        Err(Trouble::Fenced(by)) => {
            let _ = lease.learn::<()>(Instant::now(), Err(Trouble::Fenced(by.clone())));
            Err(StoreError::Fenced { by })
        }
        other => other.map_err(told),
    }
}

async fn renew(server: Arc<dyn Server>, token: u64, lease: Arc<Lease>) {
    let third = lease.length / 3;
    loop {
        tokio::time::sleep(third).await;
        let asked = Instant::now();
        // Tried on, even when the lease is over: as long as nobody took it, it is ours again.
        let renewed = tokio::time::timeout(third, server.renew(token)).await;
        let Ok(renewed) = renewed else { continue };
        if let Err(Trouble::Fenced(_)) = lease.learn(asked, renewed) {
            return;
        }
    }
}

impl Hold for Held {
    fn taken_over(&self) -> Option<&Holder> {
        self.before.as_ref()
    }

    fn journal(&mut self, good: u64) -> Result<Box<dyn Append>, StoreError> {
        let token = self.token;
        let next = self.step(move |server| async move { server.begin(token, good == 0).await })?;
        Ok(Box::new(Journal { link: self.link.clone(), lease: self.lease.clone(), token, next }))
    }

    fn replace(&mut self, snapshot: &[u8], old: u64) -> Result<(), StoreError> {
        let (token, name) = (self.token, uuid::Uuid::new_v4().to_string());
        let bytes: Arc<[u8]> = snapshot.into();
        self.step(move |server| {
            let (name, bytes) = (name.clone(), bytes.clone());
            async move { server.replace(token, &name, &bytes, old).await }
        })
    }

    fn drop_journal(&mut self) -> Result<(), StoreError> {
        let token = self.token;
        self.step(move |server| async move { server.drop_journal(token).await })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(renewing) = self.renewing.take() {
            renewing.abort();
        }
        let (token, until) = (self.token, Instant::now() + self.lease.length / 3);
        if self.lease.lost().is_none() {
            // Where it can't be given back, it is over by itself.
            let _ = self.link.wait(move || until, move |server| async move { server.give_back(token).await });
        }
    }
}

struct Journal {
    link: Arc<Link>,
    lease: Arc<Lease>,
    token: u64,
    next: u64,
}

impl Append for Journal {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (token, number) = (self.token, self.next);
        let bytes: Arc<[u8]> = bytes.into();
        held(&self.link, &self.lease, move |server| {
            let bytes = bytes.clone();
            async move { server.append(token, number, &bytes).await }
        })?;
        self.next += 1;
        Ok(())
    }
}
