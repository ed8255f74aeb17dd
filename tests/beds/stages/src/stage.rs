//! Stages of a build, each made once for its content.
//!
//! A stage's *key* is the hash of all that decides its product: its recipe, settings and files, and the keys of the stages it needs.
//! Its product is the folder `NAME-KEY`, made beside under another name and renamed when it is whole: what is there under its
//! name is complete, and was made from this content. So a build that was killed is taken up with the first stage it
//! had not finished, and a change makes anew what depends on it, no more.
//!
//! Only what is *kept* is wanted: a stage whose product serves others alone is made when one of them is to be made, and removed in the end.
//! Then goes too what earlier contents have left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::shell;

/// What a stage does, given its [`Room`].
pub type Make = Box<dyn Fn(&Room) -> Result<()> + Send + Sync>;

/// One step of a build.
pub struct Stage {
    /// Part of the product's folder, of the log's name, and of what is said.
    pub name: &'static str,
    /// Stages whose products it reads, declared before it.
    pub needs: Vec<&'static str>,
    /// Whether the product stays; otherwise it lives for the build only.
    pub kept: bool,
    /// Environment variables of a script, or parameters of other recipes.
    pub settings: Vec<(&'static str, String)>,
    /// Files that the recipe reads: path in [`Room::files`], and content.
    pub files: Vec<(&'static str, &'static str)>,
    /// How it is made.
    pub recipe: Recipe,
}

/// How a product is made.
pub enum Recipe {
    /// A script for bash, after `lib.sh`.
    Script(&'static str),
    /// A function, and the text that stands for it in the key: its source.
    Function(&'static str, Make),
}

/// What a recipe may use.
pub struct Room {
    /// The product to be: a folder, empty at first.
    pub out: PathBuf,
    /// A folder that is removed afterwards.
    pub scratch: PathBuf,
    /// The stage's files.
    pub files: PathBuf,
    /// Kept between builds, for what looks after its own validity, like Go's build cache.
    pub cache: PathBuf,
    /// The products of the needed stages, by name.
    pub needs: BTreeMap<&'static str, PathBuf>,
    /// As in [`Stage::settings`].
    pub settings: Vec<(&'static str, String)>,
    /// Where a recipe's words go.
    pub log: PathBuf,
}

/// A build: its stages, and the folder of its products.
pub struct Build {
    folder: PathBuf,
    stages: Vec<Stage>,
    keys: BTreeMap<&'static str, String>,
}

/// What is in the folder beside products.
const LOCK: &str = "lock";
const IN_USE: &str = "in-use";
const OTHERS: [&str; 4] = [LOCK, IN_USE, "log", "cache"];
/// Ends the name of what is being made.
const UNFINISHED: &str = ".unfinished";

impl Build {
    /// A build of these stages in this folder, which need not exist.
    pub fn new(folder: PathBuf, stages: Vec<Stage>) -> Build {
        let mut keys = BTreeMap::new();
        for stage in &stages {
            let key = key(stage, &keys);
            keys.insert(stage.name, key);
        }
        Build { folder, stages, keys }
    }

    /// Where the product of a stage is, or will be.
    pub fn product(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-{}", self.keys[name]))
    }

    /// The kept products that are missing.
    pub fn missing(&self) -> Vec<&'static str> {
        let kept = self.stages.iter().filter(|s| s.kept);
        kept.filter(|s| !self.product(s.name).is_dir()).map(|s| s.name).collect()
    }

    /// Holds the products: while this lives, nobody removes them, though others may use them too.
    ///
    /// # Errors
    ///
    /// Where there is no build's folder.
    pub fn hold(&self) -> Result<File> {
        let file = self.opened(IN_USE)?;
        file.lock_shared().context("can't lock the test bed")?;
        Ok(file)
    }

    /// The file that holders lock, each for all of this folder: for a process that holds it on its own.
    pub fn in_use(&self) -> PathBuf {
        self.folder.join(IN_USE)
    }

    /// Makes what is missing, several stages at once where they don't need each other, and removes what nothing wants any more.
    ///
    /// # Errors
    ///
    /// The first stage that failed, with the end of its log. What others have made until then is kept.
    pub fn make(&self, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
        for folder in ["", "log", "cache"] {
            let folder = self.folder.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("can't create {}", folder.display()))?;
        }
        let lock = self.opened(LOCK)?;
        if lock.try_lock().is_err() {
            say("waiting for another build of this test bed");
            lock.lock().context("can't lock the test bed's build")?;
        }
        self.remove(|name| name.ends_with(UNFINISHED))?;
        let wanted = self.wanted();
        self.run(&wanted, say)?;
        self.clear()
    }

    /// Removes what nothing wants any more, unless a build is at work.
    ///
    /// # Errors
    ///
    /// Where something can't be removed.
    pub fn tidy(&self) -> Result<()> {
        let lock = self.opened(LOCK)?;
        if lock.try_lock().is_ok() { self.clear() } else { Ok(()) }
    }

    /// With the build's lock.
    fn clear(&self) -> Result<()> {
        // Whoever has the bed open, in this or another content, keeps all that can be opened.
        let in_use = self.opened(IN_USE)?;
        let held = in_use.try_lock().is_err();
        let names = |kept| self.stages.iter().filter(move |s| s.kept == kept);
        let products: BTreeSet<_> = names(true).map(|s| self.product(s.name)).collect();
        let passing: BTreeSet<_> = names(false).map(|s| format!("{}-", s.name)).collect();
        self.remove(|name| match held {
            true => passing.iter().any(|prefix| name.starts_with(prefix)),
            false => !OTHERS.contains(&name) && !products.contains(&self.folder.join(name)),
        })
    }

    /// The stages to make: missing ones that are kept, and missing ones that those need.
    fn wanted(&self) -> BTreeSet<&'static str> {
        let mut wanted = BTreeSet::new();
        for stage in self.stages.iter().rev() {
            let needed = |name| self.stages.iter().any(|s| wanted.contains(s.name) && s.needs.contains(name));
            if (stage.kept || needed(&stage.name)) && !self.product(stage.name).is_dir() {
                wanted.insert(stage.name);
            }
        }
        wanted
    }

    /// A thread for each stage, which waits for those that it needs.
    fn run(&self, wanted: &BTreeSet<&'static str>, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
        let progress = Progress { ended: Mutex::new(BTreeMap::new()), change: Condvar::new() };
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for stage in self.stages.iter().filter(|s| wanted.contains(s.name)) {
                let (progress, errors) = (&progress, &errors);
                scope.spawn(move || {
                    let needs: Vec<_> = stage.needs.iter().filter(|n| wanted.contains(*n)).copied().collect();
                    let mut good = progress.wait(&needs);
                    if good {
                        let start = Instant::now();
                        match self.make_one(stage) {
                            Ok(()) => say(&line(start.elapsed(), stage.name)),
                            Err(error) => {
                                good = false;
                                errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                            }
                        }
                    }
                    progress.end(stage.name, good);
                });
            }
        });
        match errors.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn make_one(&self, stage: &Stage) -> Result<()> {
        let product = self.product(stage.name);
        let beside = self.folder.join(format!("{}{UNFINISHED}", stage.name));
        let room = Room {
            out: beside.join("out"),
            scratch: beside.join("scratch"),
            files: beside.join("files"),
            cache: self.folder.join("cache"),
            needs: stage.needs.iter().map(|name| (*name, self.product(name))).collect(),
            settings: stage.settings.clone(),
            log: self.folder.join("log").join(format!("{}.log", stage.name)),
        };
        let failed = || format!("can't make the test bed's {:?}", stage.name);
        for folder in [&room.out, &room.scratch, &room.files] {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        for (path, content) in &stage.files {
            write_new(&room.files.join(path), content.as_bytes()).with_context(failed)?;
        }
        match &stage.recipe {
            Recipe::Script(script) => shell::script(script, &room),
            Recipe::Function(_, make) => make(&room),
        }
        .with_context(failed)?;
        fs::rename(&room.out, &product).with_context(failed)?;
        fs::remove_dir_all(&beside).with_context(failed)
    }

    /// Removes what is in the folder under such names.
    fn remove(&self, which: impl Fn(&str) -> bool) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&which) {
                let path = entry.path();
                let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                gone.with_context(|| format!("can't remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// A file to lock: created where there is none.
    fn opened(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        file.with_context(|| format!("can't open {}", path.display()))
    }
}

/// Which stages have ended, and whether they are good.
struct Progress {
    ended: Mutex<BTreeMap<&'static str, bool>>,
    change: Condvar,
}

impl Progress {
    /// Waits until all of them have ended, or one has failed; whether all are good.
    fn wait(&self, names: &[&str]) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if names.iter().any(|n| ended.get(n) == Some(&false)) {
                return false;
            }
            if names.iter().all(|n| ended.contains_key(n)) {
                return true;
            }
            ended = self.change.wait(ended).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, name: &'static str, good: bool) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(name, good);
        self.change.notify_all();
    }
}

/// A line of progress: how long, and what.
pub fn line(time: Duration, what: &str) -> String {
    format!("{:7.1} s  {what}", time.as_secs_f64())
}

/// A new file with this content, and the folders above it.
///
/// # Errors
///
/// Where it is there, or can't be written.
pub fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::options().write(true).create_new(true).open(path)?.write_all(content)
}

/// The hash of a file's content, in hexadecimal digits.
///
/// # Errors
///
/// Where it can't be read.
pub fn sha256(mut content: impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn key(stage: &Stage, keys: &BTreeMap<&str, String>) -> String {
    let mut hash = Sha256::new();
    // Lengths go before texts: otherwise one that grows at another's cost would go unseen.
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    match &stage.recipe {
        Recipe::Script(script) => {
            add(shell::LIB);
            add(script);
        }
        Recipe::Function(source, _) => add(source),
    }
    for (name, value) in
        stage.settings.iter().map(|(n, v)| (*n, v.as_str())).chain(stage.files.iter().copied())
    {
        add(name);
        add(value);
    }
    for name in &stage.needs {
        add(name);
        add(&keys[name]);
    }
    hex(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::Command;

    use super::*;

    /// Where stages of these tests note that they ran.
    fn ran(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_to_string(folder.join("ran")).unwrap_or_default().lines().map(str::to_owned).collect();
        names.sort();
        let _ = fs::remove_file(folder.join("ran"));
        names
    }

    /// A stage that copies its needs' words and its own into its product.
    fn stage(
        notes: &Path,
        name: &'static str,
        needs: &[&'static str],
        kept: bool,
        content: &'static str,
    ) -> Stage {
        let notes = notes.join("ran");
        let make = move |room: &Room| -> Result<()> {
            let mut text = fs::read_to_string(room.files.join("content"))?;
            for need in room.needs.values() {
                text.push_str(&fs::read_to_string(need.join("text"))?);
            }
            writeln!(File::options().create(true).append(true).open(&notes)?, "{name}")?;
            write_new(&room.out.join("text"), text.as_bytes())?;
            if text.contains("bad") { Err(anyhow::anyhow!("it is bad")) } else { Ok(()) }
        };
        Stage {
            name,
            needs: needs.to_vec(),
            kept,
            settings: Vec::new(),
            files: vec![("content", content)],
            recipe: Recipe::Function("a test's", Box::new(make)),
        }
    }

    /// Two chains of stages: base, left, end; base, right.
    fn chains(notes: &Path, folder: &Path, [base, left, right, end]: [&'static str; 4]) -> Build {
        let stages = vec![
            stage(notes, "base", &[], false, base),
            stage(notes, "left", &["base"], true, left),
            stage(notes, "right", &["base"], true, right),
            stage(notes, "end", &["left"], true, end),
        ];
        Build::new(folder.to_owned(), stages)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !OTHERS.contains(&name.as_str()));
        names.sort();
        names
    }

    #[test]
    fn a_change_makes_anew_what_depends_on_it_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let (notes, folder) = (temp.path(), temp.path().join("bed"));
        let first = chains(notes, &folder, ["b", "l", "r", "e"]);
        assert_eq!(first.missing(), ["left", "right", "end"]);
        first.make(&|_| {}).unwrap();
        assert_eq!(ran(notes), ["base", "end", "left", "right"]);
        assert_eq!(fs::read_to_string(first.product("end").join("text")).unwrap(), "elb");
        assert!(first.missing().is_empty());
        first.make(&|_| {}).unwrap();
        assert_eq!(ran(notes), [""; 0]);

        // What others alone wanted has gone, and comes back for them only.
        assert!(!first.product("base").exists());
        let second = chains(notes, &folder, ["b", "l", "r", "E"]);
        assert_eq!(second.missing(), ["end"]);
        second.make(&|_| {}).unwrap();
        assert_eq!(ran(notes), ["end"]);
        let third = chains(notes, &folder, ["b", "l", "R", "E"]);
        third.make(&|_| {}).unwrap();
        assert_eq!(ran(notes), ["base", "right"]);
        let fourth = chains(notes, &folder, ["B", "l", "R", "E"]);
        fourth.make(&|_| {}).unwrap();
        assert_eq!(ran(notes), ["base", "end", "left", "right"]);

        // Earlier contents have gone.
        let mut products: Vec<String> = ["left", "right", "end"]
            .map(|n| fourth.product(n).file_name().unwrap().to_str().unwrap().to_owned())
            .into();
        products.sort();
        assert_eq!(names(&folder), products);
    }

    #[test]
    fn what_somebody_holds_stays() {
        let temp = tempfile::tempdir().unwrap();
        let (notes, folder) = (temp.path(), temp.path().join("bed"));
        let first = chains(notes, &folder, ["b", "l", "r", "e"]);
        first.make(&|_| {}).unwrap();
        let held = first.hold().unwrap();
        let second = chains(notes, &folder, ["B", "l", "r", "e"]);
        second.make(&|_| {}).unwrap();
        assert!(first.missing().is_empty() && second.missing().is_empty());
        // But what none can hold has gone.
        assert!(!first.product("base").exists() && !second.product("base").exists());
        drop(held);
        second.tidy().unwrap();
        assert_eq!(first.missing(), ["left", "right", "end"]);
    }

    #[test]
    fn a_stage_that_fails_has_no_product_and_stops_only_what_needs_it() {
        let temp = tempfile::tempdir().unwrap();
        let (notes, folder) = (temp.path(), temp.path().join("bed"));
        let build = chains(notes, &folder, ["b", "bad", "r", "e"]);
        let error = format!("{:#}", build.make(&|_| {}).unwrap_err());
        assert_eq!(error, "can't make the test bed's \"left\": it is bad");
        assert_eq!(ran(notes), ["base", "left", "right"]);
        assert_eq!(build.missing(), ["left", "end"]);
        // Its half is there, under no name that counts, and the next build begins anew; what was good is used again.
        assert!(folder.join("left.unfinished/out/text").exists());
        build.make(&|_| {}).unwrap_err();
        assert_eq!(ran(notes), ["left"]);
        chains(notes, &folder, ["b", "l", "r", "e"]).make(&|_| {}).unwrap();
        assert_eq!(ran(notes), ["end", "left"]);
    }

    #[test]
    fn a_failed_script_shows_the_end_of_its_log() {
        let temp = tempfile::tempdir().unwrap();
        let build = scripted(temp.path(), "seq 100; ls /nowhere/at/all");
        let error = format!("{:#}", build.make(&|_| {}).unwrap_err());
        assert!(error.contains("log/only.log ends:\n82\n83\n"), "{error}");
        assert!(error.contains("100\nls: cannot access '/nowhere/at/all'"), "{error}");
    }

    fn scripted(folder: &Path, script: &'static str) -> Build {
        let stage = Stage {
            name: "only",
            needs: Vec::new(),
            kept: true,
            settings: vec![("PIPE", folder.join("pipe").to_string_lossy().into_owned())],
            files: Vec::new(),
            recipe: Recipe::Script(script),
        };
        Build::new(folder.join("bed"), vec![stage])
    }

    /// This test starts itself as the victim: a process that builds, and is killed meanwhile.
    #[test]
    fn a_killed_build_leaves_nothing_running_and_is_redone() {
        const SCRIPT: &str = "
            if [ -e $PIPE ]; then
              exec 3> $PIPE; echo half > $OUT/text; echo begun >&3
              sleep 60 & wait
            fi
            echo whole > $OUT/text";
        if let Some(folder) = std::env::var_os("VICTIM") {
            scripted(Path::new(&folder), SCRIPT).make(&|_| {}).unwrap();
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let pipe = temp.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--exact", "stage::tests::a_killed_build_leaves_nothing_running_and_is_redone"]);
        let mut victim = victim.env("VICTIM", temp.path()).spawn().unwrap();
        let mut reader = BufReader::new(File::open(&pipe).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "begun\n");
        victim.kill().unwrap();
        victim.wait().unwrap();
        let start = Instant::now();
        // The end comes when the last process that could write has gone.
        reader.read_to_string(&mut line).unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

        fs::remove_file(&pipe).unwrap();
        let build = scripted(temp.path(), SCRIPT);
        assert_eq!(build.missing(), ["only"]);
        build.make(&|_| {}).unwrap();
        assert_eq!(fs::read_to_string(build.product("only").join("text")).unwrap(), "whole\n");
    }
}
