//! The journal: what happened since the snapshot, one record a line.
//!
//! ```text
//! {"line":7,"batch":6,"sum":"9f86d081884c7d65","record":{"intent":…}}
//! ```
//!
//! Records are only ever appended. [`Writer`] is a thread that hands whatever it is given to the storage at once where that is cheap (a file), so that a
//! kill of the process loses none of it. A power failure is another thing: what somebody waits for is made durable, with all that came meanwhile, and
//! then everybody is told: fifty operations that finish together cost one fsync, one row or one object (group commit). Records reach the disk in the
//! order in which they were given, so who waits for one has all before it too. What nobody waits for is durable with the next record that somebody does
//! wait for, or [`LINGER`] later.
//!
//! `sum` is the start of the SHA-256 of the line's numbers and its record; `batch` is the first line that was not yet durable when the line was made.
//! Together they tell a torn end from a damaged middle: after a power failure, pages of what was not durable may be missing in any order, but nobody
//! was told of any of it; so it is left out as a whole from the first torn line on. A damaged line that a line of a *later* batch follows was durable
//! once: that is refused.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::ledger::{Impossible, Record};
use crate::storage::{Append, StoreError};

/// The version of the form of a journal.
///
/// 1: the first. 2: a run names the program that writes it, and values may be withheld or sealed with a passphrase.
pub const FORMAT: u32 = 2;

/// A journal that can't be followed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum JournalError {
    /// A record that was durable is damaged, and later ones are there.
    #[error("line {line} is damaged; the {before} records before it are good, and so are {after} after it")]
    Damaged {
        /// Where, from 1.
        line: usize,
        /// Good records before it.
        before: usize,
        /// Good records after it.
        after: usize,
    },
    /// A newer program wrote it.
    #[error(
        "line {line} was written by a newer grappe ({by}, format {format}); this one knows formats up to {FORMAT}"
    )]
    Newer {
        /// Where.
        line: usize,
        /// Its format.
        format: u64,
        /// Who wrote it.
        by: String,
    },
    /// A record that can't follow those before it.
    #[error("line {line} can't follow those before it: {why}")]
    Impossible {
        /// Where.
        line: usize,
        /// What is wrong.
        why: Impossible,
    },
    /// A record that is whole and says nothing that this program knows.
    #[error("line {line} holds a record that this program does not know: {why}")]
    Unknown {
        /// Where.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// What a journal holds.
#[derive(Debug, Default, PartialEq)]
pub struct Replay {
    /// Its records, sealed values as they are on disk.
    pub records: Vec<serde_json::Value>,
    /// How many bytes of the file they take: what is behind is a torn end.
    pub good_bytes: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    line: u64,
    batch: u64,
    sum: &'a str,
    #[serde(borrow)]
    record: &'a RawValue,
}

fn sum(line: u64, batch: u64, record: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(line.to_le_bytes());
    hash.update(batch.to_le_bytes());
    hash.update(record);
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads what [`Writer`] wrote, whatever a crash did to its end.
///
/// # Errors
/// [`JournalError::Damaged`] where something that was durable is damaged.
pub fn read(bytes: &[u8]) -> Result<Replay, JournalError> {
    let mut replay = Replay::default();
    let mut torn_at = None;
    let mut after = 0;
    for raw in bytes.split_inclusive(|b| *b == b'\n') {
        let whole = raw.strip_suffix(b"\n").and_then(|text| serde_json::from_slice::<Line<'_>>(text).ok());
        let whole = whole.filter(|l| l.sum == sum(l.line, l.batch, l.record.get().as_bytes()));
        let expected = replay.records.len() as u64 + 1;
        match (whole, torn_at) {
            (Some(line), None) if line.line == expected => {
                let record: serde_json::Value = serde_json::from_str(line.record.get()).map_err(|e| {
                    JournalError::Unknown { line: replay.records.len() + 1, why: e.to_string() }
                })?;
                if let Some(format) = record["begin"]["format"].as_u64()
                    && format > u64::from(FORMAT)
                {
                    let by = record["begin"]["written_by"].as_str().unwrap_or("unknown").to_owned();
                    return Err(JournalError::Newer { line: replay.records.len() + 1, format, by });
                }
                replay.records.push(record);
                replay.good_bytes += raw.len() as u64;
            }
            // A line that is good but not where it belongs: what was between is lost.
            (Some(line), None) => {
                torn_at = Some(expected);
                after += usize::from(line.batch > expected);
            }
            (Some(line), Some(torn)) => after += usize::from(line.batch > torn),
            (None, _) => torn_at = torn_at.or(Some(expected)),
        }
    }
    if after > 0 {
        let before = replay.records.len();
        return Err(JournalError::Damaged { line: before + 1, before, after });
    }
    Ok(replay)
}

/// The end of a write: resolves once the record is on disk.
///
/// Dropping it does not take the record back.
#[derive(Debug)]
#[must_use = "an effect must wait until its record is durable"]
pub struct Durable(oneshot::Receiver<Result<(), Arc<StoreError>>>);

impl Durable {
    /// One that can't be had.
    pub(crate) fn failed() -> Self {
        Durable(oneshot::channel().1)
    }

    /// Waits, blocking the thread.
    ///
    /// # Errors
    /// Where it could not be written.
    pub fn wait(self) -> Result<(), Arc<StoreError>> {
        futures::executor::block_on(self)
    }
}

impl Future for Durable {
    type Output = Result<(), Arc<StoreError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| {
            // The thread answers everybody before it ends.
            answer.unwrap_or_else(|_| Err(gone()))
        })
    }
}

fn gone() -> Arc<StoreError> {
    Arc::new(StoreError::Remote {
        doing: "write",
        place: "the journal".into(),
        why: "its writer has ended".into(),
        hint: None,
    })
}

struct Message {
    record: Vec<u8>,
    done: oneshot::Sender<Result<(), Arc<StoreError>>>,
    /// Whether something waits for it to be durable.
    urgent: bool,
}

/// How long a record that nothing waits for may be there and not be durable.
pub const LINGER: Duration = Duration::from_millis(10);

/// The thread that appends to a journal.
#[derive(Debug)]
pub struct Writer {
    /// How many lines are durable.
    durable: Arc<AtomicU64>,
    queue: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Appends to a journal that holds `lines` good lines and nothing behind them.
    ///
    /// # Errors
    /// Where no thread can be made.
    pub fn start(end: Box<dyn Append>, lines: u64) -> Result<Self, StoreError> {
        let (queue, messages) = mpsc::channel();
        let durable = Arc::new(AtomicU64::new(lines));
        let log = Log::new(end, lines, durable.clone());
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || log.run(&messages))
            .map_err(|e| StoreError::Remote {
                doing: "start the writer of",
                place: "the journal".into(),
                why: e.to_string(),
                hint: None,
            })?;
        Ok(Writer { durable, queue: Some(queue), thread: Some(thread) })
    }

    /// How many lines are known to be durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Waits until all that was queued is written, or can't be; says how many lines are durable then.
    #[must_use]
    pub fn end(self) -> u64 {
        let durable = self.durable.clone();
        drop(self);
        durable.load(Ordering::Acquire)
    }

    /// Waits, blocking the thread, until all that was queued is durable.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn flush(&self) -> Result<(), Arc<StoreError>> {
        // A message without a record: it is answered with those before it.
        self.append(Vec::new()).wait()
    }

    /// Queues a record, given as JSON, that something waits for.
    pub fn append(&self, record: Vec<u8>) -> Durable {
        self.send(record, true)
    }

    /// Queues a record that nothing waits for: it is durable with others, or after [`LINGER`].
    pub fn soon(&self, record: Vec<u8>) -> Durable {
        self.send(record, false)
    }

    fn send(&self, record: Vec<u8>, urgent: bool) -> Durable {
        let (done, durable) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // Where the thread is gone, the answer is dropped with the message, and its future says so.
            let _ = queue.send(Message { record, done, urgent });
        }
        Durable(durable)
    }
}

/// Ends the thread once all that was queued is durable.
impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell(waiting: &mut Vec<oneshot::Sender<Result<(), Arc<StoreError>>>>, failed: Option<&Arc<StoreError>>) {
    for done in waiting.drain(..) {
        // Nobody may be left to be told.
        let _ = done.send(failed.map_or(Ok(()), |error| Err(error.clone())));
    }
}

struct Log {
    end: Box<dyn Append>,
    lines: u64,
    durable: Arc<AtomicU64>,
    /// Lines that the storage does not have yet.
    kept: Vec<u8>,
}

impl Log {
    fn new(end: Box<dyn Append>, lines: u64, durable: Arc<AtomicU64>) -> Self {
        Log { end, lines, durable, kept: Vec::new() }
    }

    fn run(mut self, messages: &mpsc::Receiver<Message>) {
        let mut failed: Option<Arc<StoreError>> = None;
        // When what is there must be durable, and who is told then.
        let mut until: Option<Instant> = None;
        let mut waiting = Vec::new();
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let first = match left {
                None => messages.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Some(left) => messages.recv_timeout(left),
            };
            let batch: Vec<Message> = match first {
                Ok(first) => std::iter::once(first).chain(messages.try_iter()).collect(),
                Err(mpsc::RecvTimeoutError::Timeout) => Vec::new(),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            let urgent = batch.iter().any(|message| message.urgent);
            let due = urgent || until.is_some_and(|until| until <= Instant::now());
            // After a failure nothing more is written: what is on disk must have no hole.
            if failed.is_none() {
                self.write(&batch);
                failed = if due { self.sync() } else { self.hand_over() }.err().map(Arc::new);
            }
            until = if due { None } else { until.or_else(|| Some(Instant::now() + LINGER)) };
            waiting.extend(batch.into_iter().map(|message| message.done));
            if due || failed.is_some() {
                tell(&mut waiting, failed.as_ref());
            }
        }
        if failed.is_none() {
            failed = self.sync().err().map(Arc::new);
        }
        tell(&mut waiting, failed.as_ref());
    }

    fn write(&mut self, batch: &[Message]) {
        let group = self.durable.load(Ordering::Acquire) + 1;
        for message in batch.iter().filter(|message| !message.record.is_empty()) {
            self.lines += 1;
            let (line, sum) = (self.lines, sum(self.lines, group, &message.record));
            self.kept.extend_from_slice(
                format!("{{\"line\":{line},\"batch\":{group},\"sum\":\"{sum}\",\"record\":").as_bytes(),
            );
            self.kept.extend_from_slice(&message.record);
            self.kept.extend_from_slice(b"}\n");
        }
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        if !self.kept.is_empty() && self.end.hand_over(&self.kept)? {
            self.kept.clear();
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        if self.durable.load(Ordering::Acquire) < self.lines {
            self.end.append(&self.kept)?;
            self.kept.clear();
            self.durable.store(self.lines, Ordering::Release);
        }
        Ok(())
    }
}

/// A record as the journal holds it, for the store.
pub(crate) fn parse(record: serde_json::Value, line: usize) -> Result<Record, JournalError> {
    serde_json::from_value(record).map_err(|e| JournalError::Unknown { line, why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Journal;
    use serde_json::json;
    use std::path::Path;

    fn end_of(path: &Path) -> Box<dyn Append> {
        let file = crate::files::open_private(path, true).unwrap();
        Box::new(Journal { file, path: path.to_owned() })
    }

    fn message(n: usize) -> Message {
        Message {
            record: json!({ "n": n }).to_string().into_bytes(),
            done: oneshot::channel().0,
            urgent: false,
        }
    }

    /// A journal with one record a batch entry, written by the real writer.
    fn journal(batches: &[usize]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut log = Log::new(end_of(&path), 0, Arc::default());
        let mut n = 0;
        for size in batches {
            let batch: Vec<Message> = (0..*size)
                .map(|_| {
                    n += 1;
                    message(n)
                })
                .collect();
            log.write(&batch);
            log.sync().unwrap();
        }
        std::fs::read(path).unwrap()
    }

    fn offsets(bytes: &[u8]) -> Vec<usize> {
        let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
        std::iter::once(0).chain(ends).collect()
    }

    #[test]
    fn a_torn_last_write_is_left_out_from_its_first_torn_line() {
        let mut bytes = journal(&[1, 1, 3]);
        let lines = offsets(&bytes);
        // The first page of the last write is missing, the rest of it is there.
        bytes[lines[2] + 40..lines[3] - 1].fill(0);
        let replay = read(&bytes).unwrap();
        assert_eq!((replay.records.len(), replay.good_bytes as usize), (2, lines[2]));
    }

    #[test]
    fn a_damaged_middle_is_refused_with_its_place() {
        let good = journal(&[1, 1, 3, 1]);
        let lines = offsets(&good);
        let mut bytes = good.clone();
        bytes[lines[1] + 50] ^= 1;
        assert_eq!(read(&bytes), Err(JournalError::Damaged { line: 2, before: 1, after: 4 }));
        // A line that is missing altogether.
        let cut = [&good[..lines[1]], &good[lines[2]..]].concat();
        assert_eq!(read(&cut), Err(JournalError::Damaged { line: 2, before: 1, after: 4 }));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let writer = Writer::start(end_of(&path), 0).unwrap();
        writer.append(br#"{"begin":{"format":9,"written_by":"grappe 9.0.0"}}"#.to_vec()).wait().unwrap();
        let error = read(&std::fs::read(&path).unwrap()).unwrap_err();
        assert_eq!(error, JournalError::Newer { line: 1, format: 9, by: "grappe 9.0.0".into() });
        assert!(error.to_string().contains("newer grappe (grappe 9.0.0, format 9)"), "{error}");
    }

    #[test]
    fn all_that_was_queued_is_written_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let writer = Writer::start(end_of(&path), 0).unwrap();
        let waits: Vec<Durable> = (0..500).map(|n| writer.append(n.to_string().into_bytes())).collect();
        (500..600).for_each(|n| drop(writer.soon(n.to_string().into_bytes())));
        for wait in waits {
            wait.wait().unwrap();
        }
        drop(writer);
        let replay = read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(replay.records, (0..600).map(|n| json!(n)).collect::<Vec<_>>());
    }

    #[test]
    fn what_nobody_waits_for_is_in_the_file_at_once_and_in_one_group_until_it_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let mut log = Log::new(end_of(&path), 0, Arc::default());
        log.write(&[message(1)]);
        log.hand_over().unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap()).unwrap().records.len(), 1, "a kill does not lose it");
        log.write(&[message(2), message(3)]);
        log.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read(&whole).unwrap().records.len(), 3);
        let lines = offsets(&whole);
        // Its page was lost, the later one was not: nobody was told of any of them.
        let mut torn = whole.clone();
        torn[lines[0] + 45] ^= 1;
        assert_eq!(read(&torn).unwrap().records.len(), 0);
        // Once the next group is there, they were durable.
        log.write(&[message(4)]);
        log.hand_over().unwrap();
        let mut damaged = std::fs::read(&path).unwrap();
        damaged[lines[0] + 45] ^= 1;
        assert_eq!(read(&damaged), Err(JournalError::Damaged { line: 1, before: 0, after: 1 }));
    }

    /// A storage that nothing can be handed to cheaply.
    struct Far(Arc<std::sync::Mutex<Vec<usize>>>);

    impl Append for Far {
        fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
            self.0.lock().unwrap().push(bytes.iter().filter(|b| **b == b'\n').count());
            Ok(())
        }
    }

    #[test]
    fn a_far_storage_gets_what_nobody_waits_for_in_groups() {
        let sizes = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut log = Log::new(Box::new(Far(sizes.clone())), 0, Arc::default());
        for _ in 0..3 {
            log.write(&[message(1)]);
            log.hand_over().unwrap();
        }
        log.sync().unwrap();
        log.sync().unwrap();
        assert_eq!(*sizes.lock().unwrap(), [3], "at once, and nothing where there is nothing");
    }

    #[test]
    fn a_full_disk_is_told_to_everybody_from_then_on() {
        let full = Path::new("/dev/full");
        let file = std::fs::OpenOptions::new().append(true).open(full).unwrap();
        let writer = Writer::start(Box::new(Journal { file, path: full.to_owned() }), 0).unwrap();
        for _ in 0..2 {
            let error = writer.append(b"{}".to_vec()).wait().unwrap_err();
            let StoreError::File(file) = &*error else { panic!("{error}") };
            assert_eq!(file.source.kind(), std::io::ErrorKind::StorageFull);
            assert!(error.hint().unwrap().contains("free some space"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn cut_anywhere_it_reads_as_a_prefix(batches in proptest::collection::vec(1usize..4, 0..6)) {
            let bytes = journal(&batches);
            let whole = read(&bytes).unwrap();
            for end in 0..=bytes.len() {
                let cut = read(&bytes[..end]).unwrap();
                proptest::prop_assert_eq!(&cut.records[..], &whole.records[..cut.records.len()]);
                let complete = bytes[..end].iter().filter(|b| **b == b'\n').count();
                proptest::prop_assert_eq!(cut.records.len(), complete, "a whole line is lost");
            }
        }

        #[test]
        fn any_changed_byte_is_noticed(at in 0usize..400, flip in 1u8..=255) {
            let mut bytes = journal(&[1, 2, 1, 1]);
            let at = at % bytes.len();
            let whole = read(&bytes).unwrap();
            bytes[at] ^= flip;
            if let Ok(read) = read(&bytes) {
                proptest::prop_assert!(read.records.len() < whole.records.len(), "a changed record was taken");
                proptest::prop_assert_eq!(&read.records[..], &whole.records[..read.records.len()]);
            }
        }
    }
}
