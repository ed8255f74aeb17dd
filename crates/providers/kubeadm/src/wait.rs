//! Waiting for something to become true, with a deadline, until the user says stop.

use std::future::Future;
use std::time::Duration;

use grappe_provider::{Context, Fault};
use tokio::time::Instant;

use crate::client::Client;

/// Asks again and again until there is an answer; `Err(text)` says what is still missing.
///
/// A transient fault is no answer either: API servers restart while a control plane grows.
///
/// # Errors
/// The deadline passed: with what was missing last. A permanent fault, or the user's wish to stop, ends the wait at once.
pub async fn until<T, F>(
    ctx: &Context<Client>,
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<Result<T, String>, Fault>>,
{
    let start = Instant::now();
    let deadline = start + limit;
    let mut said = String::new();
    loop {
        let missing = match ask().await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(missing)) => missing,
            Err(fault) if fault.is_transient() => {
                let details = fault.details.last().map(|line| format!(": {line}")).unwrap_or_default();
                format!("{}{details}", fault.summary)
            }
            Err(fault) => return Err(fault),
        };
        if said != missing {
            ctx.progress(format!("waiting for {what}: {missing}"));
            said = missing;
        }
        // An eighth of what was waited: late by little, whether it takes seconds or minutes.
        let pause = (start.elapsed() / 8).clamp(Duration::from_millis(250), Duration::from_secs(3));
        if Instant::now() + pause > deadline {
            let summary = format!("{what}: not within {} s", limit.as_secs());
            return Err(Fault::transient(summary).details(said));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ctx.cancelled() => {
                let stopped = Fault::permanent(format!("stopped as asked, while waiting for {what}")).details(said);
                return Err(stopped.hint("the next apply goes on from here"));
            }
        }
    }
}
