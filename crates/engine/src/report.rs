//! Events with their times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grappe_state::Durable;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::attempt::Retry;
use crate::event::{Event, EventKind, Sink};
use crate::pools::Throttled;

/// Sends the events of one run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    start: Instant,
    sink: Sink,
    held: Arc<Mutex<Held>>,
}

/// What is not said yet: the first event waits until something is on disk, and those after it for their turn.
#[derive(Default)]
struct Held {
    events: VecDeque<(Option<Durable>, Event)>,
    /// Whether a task is at it, which says all that comes until nothing is left.
    busy: bool,
    task: Option<JoinHandle<()>>,
}

impl Reporter {
    pub(crate) fn new(sink: Sink) -> Self {
        Reporter { start: Instant::now(), sink, held: Arc::default() }
    }

    pub(crate) fn say(&self, kind: EventKind) {
        self.say_when(None, kind);
    }

    /// Says it once its record, where it has one, is on disk: who is killed then has not said more than the state knows. What is never recorded is never said;
    /// the error that follows tells it.
    pub(crate) fn say_when(&self, recorded: Option<Durable>, kind: EventKind) {
        let event = Event { at: self.elapsed(), kind };
        let mut held = self.held();
        if recorded.is_none() && !held.busy {
            return (self.sink)(event);
        }
        held.events.push_back((recorded, event));
        if !held.busy {
            held.busy = true;
            held.task = Some(tokio::spawn(self.clone().let_go()));
        }
    }

    /// Waits until all is said.
    pub(crate) async fn settled(&self) {
        let task = self.held().task.take();
        if let Some(task) = task {
            // It has no way to panic, and nobody cancels it.
            let _ = task.await;
        }
    }

    async fn let_go(self) {
        while let Some((recorded, event)) = self.next() {
            if recorded.await.is_ok() {
                (self.sink)(event);
            }
        }
    }

    /// Says what waits for nothing, up to the next event that does: that one, and what it waits for. Where there is none, the task is over, in the same
    /// breath: whoever speaks next speaks for themselves.
    fn next(&self) -> Option<(Durable, Event)> {
        let mut held = self.held();
        while let Some((recorded, event)) = held.events.pop_front() {
            match recorded {
                Some(recorded) => return Some((recorded, event)),
                None => (self.sink)(event),
            }
        }
        held.busy = false;
        None
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notice(&self, text: impl Into<String>) {
        self.say(EventKind::Notice { text: text.into() });
    }

    /// That a provider is asked less from now on, where a failed call was the reason.
    pub(crate) fn throttled(&self, retry: &Retry) {
        if let Some(Throttled { provider, most }) = retry.throttled.clone() {
            self.say(EventKind::Throttled { provider, most, after: millis(retry.wait) });
        }
    }

    /// Milliseconds since the run began.
    pub(crate) fn elapsed(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use grappe_state::StoreError;
    use grappe_state::journal::Writer;
    use grappe_state::storage::Append;

    use super::*;

    /// Writes when it is told how that goes.
    struct Told(mpsc::Receiver<Result<(), StoreError>>);

    impl Append for Told {
        fn append(&mut self, _: &[u8]) -> Result<(), StoreError> {
            self.0.recv().unwrap_or(Ok(()))
        }
    }

    /// What is said where three events come, of which the second waits for a record.
    async fn said(goes: Result<(), StoreError>) -> (Vec<String>, Vec<String>) {
        let (tell, told) = mpsc::channel();
        let writer = Writer::start(Box::new(Told(told)), 0).unwrap();
        let all = Arc::new(Mutex::new(Vec::new()));
        let sink = all.clone();
        let reporter = Reporter::new(Arc::new(move |event| match event.kind {
            EventKind::Notice { text } => sink.lock().unwrap().push(text),
            other => panic!("{other:?}"),
        }));
        reporter.notice("a");
        reporter.say_when(Some(writer.append(b"1".to_vec())), EventKind::Notice { text: "b".into() });
        reporter.notice("c");
        tokio::task::yield_now().await;
        let before = all.lock().unwrap().clone();
        tell.send(goes).unwrap();
        reporter.settled().await;
        reporter.notice("d");
        let after = all.lock().unwrap().clone();
        (before, after)
    }

    #[tokio::test]
    async fn what_waits_for_its_record_is_said_then_and_all_after_it_later() {
        let (before, after) = said(Ok(())).await;
        assert_eq!((before.join(""), after.join("")), ("a".into(), "abcd".into()));
    }

    #[tokio::test]
    async fn what_is_not_recorded_is_not_said() {
        let why =
            StoreError::Remote { doing: "write", place: "there".into(), why: "full".into(), hint: None };
        let (before, after) = said(Err(why)).await;
        assert_eq!((before.join(""), after.join("")), ("a".into(), "acd".into()));
    }
}
