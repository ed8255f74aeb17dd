//! Events with their times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::attempt::Retry;
use crate::event::{Event, EventKind, Sink};
use crate::pools::Throttled;

/// Sends the events of one run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    start: Instant,
    sink: Sink,
}

impl Reporter {
    pub(crate) fn new(sink: Sink) -> Self {
        Reporter { start: Instant::now(), sink }
    }

    pub(crate) fn say(&self, kind: EventKind) {
        (self.sink)(Event { at: self.elapsed(), kind });
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
