//! One small world: networks, ports, machines and the clusters that live on them, in one file.
//!
//! [`World::open`] gives a handle; everything reads and changes the state through [`World::with`], under one lock, and
//! [`World::flush`] returns once all that has been changed is on disk. A kill at any instant leaves a file that parses and that holds
//! every change whose reply was sent.

mod api;
mod boot;
mod cloud_init;
mod exec;
pub mod mishap;
pub mod model;
pub mod net;
mod store;
pub mod table;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

pub(crate) use cloud_init::STACK;

pub use api::{ApiError, NewMachine, NewPort};
pub use exec::Output;
pub use mishap::Mishap;
pub use model::{Knobs, Machine, Network, Port, Quota, State};
pub use store::StoreError;

use crate::server::Listeners;

/// A world that is open. Handles of one process share it; another process is refused.
#[derive(Debug)]
pub struct World {
    path: PathBuf,
    saved: Arc<store::Saved>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Private host keys by machine id, in OpenSSH's format: kept beside the world, never shown.
    keys: Mutex<BTreeMap<String, String>>,
    /// How often the cloud was called, by words.
    called: Mutex<BTreeMap<String, u64>>,
    pub(crate) listeners: Listeners,
    _lock: File,
}

/// Worlds open in this process, so that two users of one path share one world.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<World>>>> = LazyLock::new(Mutex::default);

impl World {
    /// Opens the world in `path`, which is made if it is not there (with the folder it is in).
    ///
    /// # Errors
    /// When another process has it open, when the file is not a world, or when the disk fails.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>, StoreError> {
        let path = path.as_ref();
        let io = |what| {
            let path = path.to_owned();
            move |source| StoreError::Io { what, path, source }
        };
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).map_err(io("make the folder of"))?;
        let folder = folder.canonicalize().map_err(io("find the folder of"))?;
        let path = folder.join(path.file_name().unwrap_or("world.json".as_ref()));
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = open.get(&path).and_then(Weak::upgrade) {
            return Ok(world);
        }
        let world = Arc::new(Self::load(path.clone())?);
        open.insert(path, Arc::downgrade(&world));
        open.retain(|_, w| w.strong_count() > 0);
        drop(open);
        cloud_init::resume(&world);
        Ok(world)
    }

    fn load(path: PathBuf) -> Result<Self, StoreError> {
        let lock = store::lock(&path)?;
        let read = |at: &Path| match std::fs::read_to_string(at) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { what: "read", path: at.to_owned(), source }),
        };
        let state = match read(&path)? {
            Some(text) => State::from_json(&text)
                .map_err(|source| StoreError::Corrupt { path: path.clone(), source })?,
            None => State { dirty: true, ..State::default() },
        };
        let mut keys: BTreeMap<String, String> = match read(&keys_path(&path))? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|e| StoreError::Corrupt { path: keys_path(&path), source: e.into() })?,
            None => BTreeMap::new(),
        };
        keys.retain(|id, _| state.machines.get(id).is_some()); // a create that was killed leaves its key
        let saved = Arc::new(store::Saved::new(path.clone(), state));
        saved.note(&mut saved.lock());
        let writer = {
            let saved = saved.clone();
            std::thread::Builder::new().name("sim-world".to_owned()).spawn(move || saved.run())
        };
        let writer = writer.map_err(|source| StoreError::Io {
            what: "start the writer of",
            path: path.clone(),
            source,
        })?;
        let world = Self {
            path,
            saved,
            writer: Mutex::new(Some(writer)),
            keys: Mutex::new(keys),
            called: Mutex::default(),
            listeners: Listeners::default(),
            _lock: lock,
        };
        world.flush().map_err(|e| StoreError::Io {
            what: "save",
            path: world.path.clone(),
            source: std::io::Error::other(e.to_string()),
        })?;
        Ok(world)
    }

    /// The world file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads or changes the state. Keep it short: everything in the world waits.
    pub fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.saved.lock();
        let result = f(&mut state);
        self.saved.note(&mut state);
        result
    }

    /// Returns once every change made before is on disk.
    ///
    /// # Errors
    /// When the disk fails; the change then lives in memory only.
    pub fn flush(&self) -> Result<(), Arc<StoreError>> {
        self.saved.flush()
    }

    /// Waits until `f` gives something, looking again at each change of the state and every `tick`; none after `limit` or once `stop` says so.
    pub fn wait<R>(
        &self,
        limit: Duration,
        tick: Duration,
        stop: impl Fn() -> bool,
        mut f: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let end = std::time::Instant::now() + limit;
        let mut state = self.saved.lock();
        loop {
            let found = f(&mut state);
            self.saved.note(&mut state);
            let left = end.saturating_duration_since(std::time::Instant::now());
            if found.is_some() || left.is_zero() || stop() {
                return found;
            }
            state = self
                .saved
                .moved
                .wait_timeout(state, left.min(tick))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Private host key of a machine.
    pub(crate) fn host_key(&self, machine: &str) -> Option<String> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(machine).cloned()
    }

    /// Changes the host keys and saves them.
    fn change_keys(&self, f: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), StoreError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut keys);
        let text = serde_json::to_string(&*keys).map_err(|e| StoreError::Io {
            what: "serialise",
            path: keys_path(&self.path),
            source: e.into(),
        })?;
        store::write_atomic(&keys_path(&self.path), &text)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.saved.stop();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic of the writer was its own message; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

fn keys_path(world: &Path) -> PathBuf {
    let mut path = world.as_os_str().to_owned();
    path.push(".keys");
    path.into()
}
