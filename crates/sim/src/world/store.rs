//! The files of a world: the world itself, its lock, and the host keys beside it.
//!
//! A change marks the world dirty; one thread writes it (temporary file, fsync, rename, fsync of the folder) and whoever must not
//! answer before the change is on disk waits for it. Changes that come while a write runs share the next one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::model::State;

/// How long a world may be held by one who is about to let it go: a run gives its state back before its world, and whoever waited
/// for the state is here first.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a world could not be opened or saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The disk's words.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the simulated world {path} is in use by another process{holder}: wait for it, or give this one a world of its own", path = path.display())]
    Locked {
        /// The world file.
        path: PathBuf,
        /// ` (pid N)` when known.
        holder: String,
    },
    /// Not a world file.
    #[error("{path} is not a simulated world: {source}. Move it away to start a new one", path = path.display())]
    Corrupt {
        /// The world file.
        path: PathBuf,
        /// What was wrong.
        source: super::model::ParseError,
    },
}

/// Replaces a file so that a kill at any instant leaves the old one or the new one; mode 0600.
pub(super) fn write_atomic(path: &Path, text: &str) -> Result<(), StoreError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let fail = |what, at: &Path| {
        let path = at.to_owned();
        move |source| StoreError::Io { what, path, source }
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(fail("create", &temporary))?;
    file.write_all(text.as_bytes()).map_err(fail("write", &temporary))?;
    file.sync_all().map_err(fail("sync", &temporary))?;
    std::fs::rename(&temporary, path).map_err(fail("replace", path))?;
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(fail("sync", folder))
}

/// Takes the lock file beside the world, waiting for it a little; it is held as long as the returned file lives.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let fail = |source| StoreError::Io { what: "open", path: beside.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&beside)
        .map_err(fail)?;
    let until = Instant::now() + PATIENCE;
    let taken = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a world is opened outside of the runtime's workers"
                )]
                std::thread::sleep(Duration::from_millis(20));
            }
            taken => break taken,
        }
    };
    match taken {
        Ok(()) => {
            // The pid is a courtesy for the error below; without it the lock holds as well.
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = io::read_to_string(&file).unwrap_or_default();
            let holder = if pid.is_empty() { String::new() } else { format!(" (pid {pid})") };
            Err(StoreError::Locked { path: path.to_owned(), holder })
        }
        Err(TryLockError::Error(source)) => Err(fail(source)),
    }
}

#[derive(Debug, Default)]
struct Progress {
    /// Number of the last change.
    changed: u64,
    /// Number of the last change on disk.
    saved: u64,
    /// Someone waits for a save.
    urgent: bool,
    stop: bool,
    /// The last save's failure, and the last change it would have saved.
    failure: Option<(u64, Arc<StoreError>)>,
}

/// The state and the thread that saves it.
#[derive(Debug)]
pub(super) struct Saved {
    path: PathBuf,
    state: Mutex<State>,
    /// Told of each change of the state.
    pub(super) moved: Condvar,
    progress: Mutex<Progress>,
    wake: Condvar,
}

/// How long an unhurried change may wait for company.
const COALESCE: Duration = Duration::from_millis(40);

impl Saved {
    pub(super) fn new(path: PathBuf, state: State) -> Self {
        Self {
            path,
            state: Mutex::new(state),
            moved: Condvar::new(),
            progress: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with the state's lock held, after each use of it.
    pub(super) fn note(&self, state: &mut State) {
        if state.take_dirty() {
            self.progress().changed += 1;
            self.wake.notify_all();
            self.moved.notify_all();
        }
    }

    /// Returns once every change made before the call is on disk.
    pub(super) fn flush(&self) -> Result<(), Arc<StoreError>> {
        let mut progress = self.progress();
        let wanted = progress.changed;
        while progress.saved < wanted {
            if let Some((number, failure)) = &progress.failure
                && *number >= wanted
            {
                return Err(failure.clone());
            }
            progress.urgent = true;
            self.wake.notify_all();
            progress = self.wake.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Asks the thread to save what is left and end.
    pub(super) fn stop(&self) {
        self.progress().stop = true;
        self.wake.notify_all();
    }

    /// The thread's work.
    pub(super) fn run(&self) {
        let mut progress = self.progress();
        loop {
            while progress.changed == progress.saved && !progress.stop {
                progress = self.wake.wait(progress).unwrap_or_else(PoisonError::into_inner);
            }
            if progress.changed == progress.saved {
                return;
            }
            if !progress.urgent && !progress.stop {
                progress = self
                    .wake
                    .wait_timeout_while(progress, COALESCE, |p| !p.urgent && !p.stop)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            progress.urgent = false;
            drop(progress);
            // The state is locked first, then the progress: the order of `note`.
            let (text, number) = {
                let mut state = self.lock();
                let number = self.progress().changed;
                (state.to_json(), number)
            };
            let result = match text {
                Ok(text) => write_atomic(&self.path, &text),
                Err(e) => Err(StoreError::Io {
                    what: "serialise",
                    path: self.path.clone(),
                    source: io::Error::other(e),
                }),
            };
            progress = self.progress();
            match result {
                Ok(()) => {
                    progress.saved = number;
                    progress.failure = None;
                }
                Err(e) => {
                    progress.failure = Some((number, Arc::new(e)));
                    // Nobody could be told more by trying for ever: the next change tries again.
                    if progress.stop {
                        self.wake.notify_all();
                        return;
                    }
                }
            }
            self.wake.notify_all();
            if progress.failure.is_some() {
                let failed = progress.changed;
                progress = self
                    .wake
                    .wait_timeout_while(progress, Duration::from_secs(1), |p| p.changed == failed && !p.stop)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
    }
}
