//! One call of a provider: tried again where that may help, given up at its deadline, stopped when the user asks, and survived when it panics.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{Fault, FaultKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::failure::panic_message;
use crate::mask::Mask;
use crate::pools::{Throttled, Turn};
use crate::retry::RetryPolicy;

/// How long an operation that is asked to end has before it is dropped.
pub const GRACE: Duration = Duration::from_secs(5);

/// How a call is made.
pub(crate) struct Rules<'a> {
    pub(crate) retry: &'a RetryPolicy,
    /// For all tries together.
    pub(crate) deadline: Duration,
    /// Set when the user asks to stop now.
    pub(crate) stop: &'a CancellationToken,
    pub(crate) mask: &'a Mask,
    /// The places that it holds; given back while it waits to be tried again.
    pub(crate) turn: Option<&'a Turn>,
}

/// That a call failed, and is tried again.
pub(crate) struct Retry {
    /// The try that failed, from 1.
    pub(crate) attempt: u32,
    /// In how long.
    pub(crate) wait: Duration,
    pub(crate) failure: Failure,
    /// That its provider is asked less from now on.
    pub(crate) throttled: Option<Throttled>,
}

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stopped {
    pub(crate) failure: Failure,
    pub(crate) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was not even begun: its provider can't be used, or its intent can't be recorded.
    NotBegun,
    /// The provider says that it can't be done.
    Refused,
    /// The provider says that the object is not there.
    Gone,
    /// Nobody knows how far it came: it may have worked, or half of it.
    Uncertain,
}

impl Stopped {
    pub(crate) fn not_begun(failure: Failure) -> Self {
        Stopped { failure, why: Why::NotBegun }
    }

    fn uncertain(failure: Failure) -> Self {
        Stopped { failure, why: Why::Uncertain }
    }
}

enum Ended<T> {
    Answered(Result<T, Fault>),
    Panicked(Box<dyn Any + Send>),
    Late,
    Interrupted,
}

/// Calls until it works or is not to be tried again. `call` gets the number of the try (from 1) and a token that is set when it must end;
/// `on_retry` is told of each failed try that another follows.
pub(crate) async fn attempt<'f, T: Send>(
    rules: &Rules<'_>,
    mut call: impl FnMut(u32, CancellationToken) -> BoxFuture<'f, Result<T, Fault>>,
    mut on_retry: impl FnMut(Retry),
) -> Result<T, Stopped> {
    let mut until = Instant::now() + rules.deadline;
    // What was throttled uses up no try.
    let mut failed = 0;
    let late = |last: Option<Failure>| {
        let text = format!("gave up after {}", human(rules.deadline));
        Stopped::uncertain(match last {
            Some(last) => Failure { summary: format!("{text}; last: {}", last.summary), ..last },
            None => Failure {
                hint: Some(
                    "it may still be going on over there; the next run goes on from what exists. A timeouts block gives it more time".into(),
                ),
                ..Failure::new(text)
            },
        })
    };
    let interrupted = || Stopped::uncertain(Failure::new("interrupted"));
    for number in 1.. {
        let token = rules.stop.child_token();
        let begun = Instant::now();
        let fault = match run(call(number, token.clone()), &token, rules.stop, until).await {
            Ended::Answered(Ok(value)) => {
                rules.turn.into_iter().for_each(|turn| turn.worked(begun));
                return Ok(value);
            }
            Ended::Answered(Err(fault)) => fault,
            Ended::Panicked(panic) => {
                let text = rules.mask.hide(&panic_message(&*panic));
                return Err(Stopped::uncertain(Failure::new(text)));
            }
            Ended::Late => return Err(late(None)),
            Ended::Interrupted => return Err(interrupted()),
        };
        let failure = Failure::of_fault(&fault, rules.mask);
        if rules.stop.is_cancelled() {
            // It was told to stop: whatever it says of why, nobody knows how far it came.
            return Err(Stopped::uncertain(failure));
        }
        let is_throttled = matches!(fault.kind, FaultKind::Throttled(_));
        failed += u32::from(!is_throttled);
        let Some(wait) = rules.retry.wait(if is_throttled { number } else { failed }, &fault) else {
            if !fault.is_transient() {
                rules.turn.into_iter().for_each(|turn| turn.worked(begun));
            }
            let why = match fault.kind {
                FaultKind::Transient(_) | FaultKind::Throttled(_) => Why::Uncertain,
                FaultKind::Gone => Why::Gone,
                FaultKind::Permanent => Why::Refused,
            };
            return Err(Stopped { failure, why });
        };
        let throttled = rules.turn.filter(|_| is_throttled).and_then(|turn| turn.throttled(begun, wait));
        if Instant::now() + wait >= until {
            return Err(late(Some(failure)));
        }
        on_retry(Retry { attempt: number, wait, failure, throttled });
        tokio::select! {
            waited = rest(rules.turn, wait) => until += waited,
            () = rules.stop.cancelled() => return Err(interrupted()),
        }
    }
    Err(interrupted())
}

/// Waits to be tried again: meanwhile others may have the place. Gives how long it waited for one, which is not the operation's time.
async fn rest(turn: Option<&Turn>, wait: Duration) -> Duration {
    let Some(turn) = turn else {
        tokio::time::sleep(wait).await;
        return Duration::ZERO;
    };
    turn.rest();
    tokio::time::sleep(wait).await;
    let since = Instant::now();
    turn.again().await;
    since.elapsed()
}

async fn run<T>(
    call: BoxFuture<'_, Result<T, Fault>>,
    token: &CancellationToken,
    stop: &CancellationToken,
    until: Instant,
) -> Ended<T> {
    let mut call = AssertUnwindSafe(call).catch_unwind();
    let ended = tokio::select! {
        biased;
        answer = &mut call => return answered(answer),
        () = stop.cancelled() => Ended::Interrupted,
        () = tokio::time::sleep_until(until) => Ended::Late,
    };
    // It has a moment to end by itself, and to say what it did.
    token.cancel();
    match tokio::time::timeout(GRACE, call).await {
        Ok(answer) => match (answered(answer), ended) {
            // A deadline is no fault of the provider's: its answer to being told to end is not what went wrong.
            (Ended::Answered(Err(_)), Ended::Late) => Ended::Late,
            (answer, _) => answer,
        },
        Err(_) => ended,
    }
}

fn answered<T>(answer: Result<Result<T, Fault>, Box<dyn Any + Send>>) -> Ended<T> {
    match answer {
        Ok(answer) => Ended::Answered(answer),
        Err(panic) => Ended::Panicked(panic),
    }
}

/// `90s`, `20m`
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        s if s % 60 == 0 && s >= 120 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Calls with no jitter; gives the answer, when each try began, and how long it took.
    async fn timed<T: Send>(
        deadline: Duration,
        stop: &CancellationToken,
        mut call: impl FnMut(u32, CancellationToken) -> BoxFuture<'static, Result<T, Fault>>,
    ) -> (Result<T, Stopped>, Vec<u64>, u64) {
        let retry = RetryPolicy { jitter: 0.0, ..RetryPolicy::default() };
        let rules = Rules { retry: &retry, deadline, stop, mask: &Mask::default(), turn: None };
        let start = Instant::now();
        let tries = Mutex::new(Vec::new());
        let answer = attempt(
            &rules,
            |n, token| {
                tries.lock().unwrap().push(start.elapsed().as_secs());
                call(n, token)
            },
            |_| {},
        )
        .await;
        (answer, tries.into_inner().unwrap(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_transient_fault_is_tried_again_with_growing_waits() {
        let stop = CancellationToken::new();
        let (answer, tries, _) = timed(secs(1000), &stop, |n, _| {
            async move { if n < 4 { Err(Fault::transient("busy")) } else { Ok(n) } }.boxed()
        })
        .await;
        assert_eq!((answer, tries), (Ok(4), vec![0, 1, 3, 7]));

        let (answer, tries, _) =
            timed::<()>(secs(1000), &stop, |_, _| async { Err(Fault::transient("busy")) }.boxed()).await;
        assert_eq!(answer.unwrap_err().why, Why::Uncertain);
        assert_eq!(tries.len(), 8);

        let (_, tries, _) = timed::<()>(secs(1000), &stop, |n, _| {
            async move {
                Err(if n == 1 { Fault::transient("429").after(secs(60)) } else { Fault::permanent("no") })
            }
            .boxed()
        })
        .await;
        assert_eq!(tries, [0, 60], "what the far side asks for is honoured, a permanent fault is final");
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_all_tries_together() {
        let stop = CancellationToken::new();
        let (answer, tries, took) =
            timed::<()>(secs(10), &stop, |_, _| async { Err(Fault::transient("busy")) }.boxed()).await;
        assert_eq!((tries, took), (vec![0, 1, 3, 7], 7), "no wait that would end after it");
        let stopped = answer.unwrap_err();
        assert!(stopped.failure.summary.contains("gave up after 10s; last: busy"), "{stopped:?}");

        let (answer, _, took) = timed::<()>(secs(10), &stop, |_, _| futures::future::pending().boxed()).await;
        assert_eq!((answer.unwrap_err().why, took), (Why::Uncertain, 15), "five seconds to end by itself");

        let (answer, _, took) = timed(secs(10), &stop, |_, token| {
            async move {
                token.cancelled().await;
                Ok("just in time")
            }
            .boxed()
        })
        .await;
        assert_eq!((answer, took), (Ok("just in time"), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_told_and_enforced() {
        let stop = CancellationToken::new();
        let later = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(secs(3)).await;
            later.cancel();
        });
        let (answer, _, took) =
            timed::<()>(secs(1000), &stop, |_, _| futures::future::pending().boxed()).await;
        assert_eq!((answer.unwrap_err().failure.summary.as_str(), took), ("interrupted", 8));

        let (answer, tries, _) =
            timed::<()>(secs(1000), &stop, |_, _| async { Err(Fault::permanent("told to")) }.boxed()).await;
        assert_eq!((answer.unwrap_err().why, tries.len()), (Why::Uncertain, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure() {
        let stop = CancellationToken::new();
        let (answer, _, _) = timed::<()>(secs(10), &stop, |_, _| {
            async { Option::<()>::None.ok_or(()).map_err(|()| panic!("index out of {}", 3)) }.boxed()
        })
        .await;
        let stopped = answer.unwrap_err();
        assert!(stopped.failure.summary.ends_with("panicked (a bug in it): index out of 3"), "{stopped:?}");
    }
}
