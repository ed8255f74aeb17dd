//! A machine's cgroups, in version 1 and 2.
//!
//! `grappe/ID` has its limits, and `grappe/ID/m` under it is what the machine sees as the root of all cgroups: it can't lift its own limits.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use grappe_provider::Fault;
use serde::{Deserialize, Serialize};

use crate::process;
use crate::run::wait_for;
use crate::store::on;

const ROOT: &str = "/sys/fs/cgroup";
/// Our folder in each hierarchy.
const OURS: &str = "grappe";
/// A machine's part of its own cgroup.
const INNER: &str = "m";
/// The period that a quota of CPU time is of, in microseconds.
const PERIOD: f64 = 100_000.0;

/// What a machine may use at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Processors, also in part.
    pub(crate) cpus: Option<f64>,
    /// Bytes.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
}

/// The cgroup of a machine within a hierarchy.
pub(super) fn inner(id: &str) -> String {
    format!("{OURS}/{id}/{INNER}")
}

/// Version 2 has one hierarchy; version 1 has one for each controller (and links for those that share one).
fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn hierarchies() -> Result<Vec<PathBuf>, Fault> {
    let root = PathBuf::from(ROOT);
    if unified() {
        return Ok(vec![root]);
    }
    let entries = std::fs::read_dir(&root).map_err(|e| on(&root, "read", e))?.flatten().map(|e| e.path());
    let mut all: Vec<PathBuf> =
        entries.filter(|p| !p.is_symlink() && p.join("cgroup.procs").exists()).collect();
    if all.is_empty() {
        return Err(
            Fault::permanent("no cgroups are mounted under /sys/fs/cgroup").hint("mount cgroup2 there")
        );
    }
    all.sort();
    Ok(all)
}

/// Whether cgroups can be made here.
pub(super) fn probe() -> Result<(), Fault> {
    for hierarchy in hierarchies()? {
        let ours = hierarchy.join(OURS);
        make(&ours)?;
        let _ = std::fs::remove_dir(&ours);
    }
    Ok(())
}

/// Makes a machine's cgroups, with its limits.
pub(super) fn prepare(id: &str, limits: &Limits) -> Result<(), Fault> {
    for hierarchy in hierarchies()? {
        let mut path = hierarchy.clone();
        let mut above = vec![path.clone()];
        for part in [OURS, id, INNER] {
            let parent = path.clone();
            path.push(part);
            make(&path)?;
            // Version 1: a new cpuset is empty, and takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if parent.join(file).exists() {
                    let value = std::fs::read(parent.join(file)).map_err(|e| on(&parent, "read", e))?;
                    set(&path.join(file), &value)?;
                    set(&path.join("cgroup.clone_children"), b"1")?;
                }
            }
            if path.join("memory.use_hierarchy").exists() {
                // Kernels from 5.11 on know no other way, and refuse the question.
                let _ = set(&path.join("memory.use_hierarchy"), b"1");
            }
            above.push(path.clone());
        }
        if unified() {
            // Hands the controllers down; one that can't be is missed by a limit, if at all.
            for folder in &above[..above.len() - 1] {
                let controllers =
                    std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
                for controller in controllers.split_whitespace() {
                    let _ = set(&folder.join("cgroup.subtree_control"), format!("+{controller}").as_bytes());
                }
            }
        }
    }
    limit(id, limits)
}

/// Lays limits on a machine, or lifts them.
pub(super) fn limit(id: &str, limits: &Limits) -> Result<(), Fault> {
    let root = Path::new(ROOT);
    let max = |n: Option<u64>| n.map_or("max".to_owned(), |n| n.to_string());
    #[expect(clippy::cast_possible_truncation, reason = "a number of processors, checked to be small")]
    let quota = limits.cpus.map(|cpus| (cpus * PERIOD) as i64);
    let files = if unified() {
        let cpu = format!("{} {PERIOD}", quota.map_or("max".to_owned(), |q| q.to_string()));
        let own = root.join(OURS).join(id);
        [
            (own.join("cpu.max"), cpu, limits.cpus.is_some(), "cpus"),
            (own.join("memory.max"), max(limits.memory), limits.memory.is_some(), "memory"),
            (own.join("pids.max"), max(limits.pids), limits.pids.is_some(), "pids"),
        ]
    } else {
        let own = |controller: &str, file: &str| root.join(controller).join(OURS).join(id).join(file);
        let memory = limits.memory.map_or("-1".to_owned(), |n| n.to_string());
        [
            (own("cpu", "cpu.cfs_quota_us"), quota.unwrap_or(-1).to_string(), limits.cpus.is_some(), "cpus"),
            (own("memory", "memory.limit_in_bytes"), memory, limits.memory.is_some(), "memory"),
            (own("pids", "pids.max"), max(limits.pids), limits.pids.is_some(), "pids"),
        ]
    };
    for (file, value, wanted, name) in files {
        if file.exists() {
            set(&file, value.as_bytes()).map_err(|fault| fault.attribute("limits"))?;
        } else if wanted {
            return Err(Fault::permanent(format!(
                "this computer's cgroups can't limit {name}: there is no {}",
                file.display()
            ))
            .hint("leave that limit out")
            .attribute("limits"));
        }
    }
    Ok(())
}

/// The processes of a machine.
pub(super) fn processes(id: &str) -> Result<Vec<i32>, Fault> {
    let Some(hierarchy) = hierarchies()?.into_iter().next() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for folder in below(&hierarchy.join(OURS).join(id)) {
        let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    Ok(found)
}

/// Ends whatever is in a machine's cgroups, and removes them.
pub(super) fn remove(id: &str) -> Result<(), Fault> {
    for hierarchy in hierarchies()? {
        let ours = hierarchy.join(OURS);
        let own = ours.join(id);
        // Dying processes leave their cgroups a moment after they are gone.
        let gone = wait_for(Duration::from_secs(10), || {
            let mut busy = None;
            for folder in below(&own) {
                if let Err(e) = std::fs::remove_dir(&folder)
                    && e.kind() != io::ErrorKind::NotFound
                {
                    busy = Some(on(&folder, "remove", e));
                }
            }
            if busy.is_some() {
                processes(id)?.into_iter().for_each(process::kill_pid);
            }
            Ok(busy.is_none().then_some(()))
        })?;
        if gone.is_none() {
            return Err(Fault::permanent(format!(
                "processes of the machine don't die: see {}",
                own.display()
            )));
        }
        // The last machine's: what others still use is not empty.
        let _ = std::fs::remove_dir(&ours);
    }
    Ok(())
}

/// A folder and those in it, the deepest first. Those that vanish meanwhile are left out.
fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let folders = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let mut all: Vec<PathBuf> = folders.flat_map(|e| below(&e.path())).collect();
    all.push(folder.to_owned());
    all
}

fn make(folder: &Path) -> Result<(), Fault> {
    match std::fs::create_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(on(folder, "make the cgroup", e)),
        _ => Ok(()),
    }
}

fn set(file: &Path, value: &[u8]) -> Result<(), Fault> {
    let open = std::fs::OpenOptions::new().write(true).open(file);
    open.and_then(|mut f| f.write_all(value)).map_err(|e| on(file, "write", e))
}
