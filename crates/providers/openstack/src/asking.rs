//! What the journal says of a creation that was begun: whether it was asked for, and what came of it.
//!
//! A request that was sent goes on over there when the run that sent it is killed: the object may come to be seconds later, when the next run has looked for it
//! in vain. So the journal holds *that* it was asked for before it is, and when. Who finds that and no answer looks until nothing can come any more. And where
//! nothing was ever asked for, nobody need look at all.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grappe_provider::Fault;
use serde_json::Value as Json;

use crate::client::Refused;
use crate::roll::pause;
use crate::thing::{Ctx, Object, text};

/// After this long nothing comes of a request that nobody waits for any more.
const LATE: Duration = Duration::from_secs(20);

/// How far a creation has come.
pub(crate) enum Begun {
    /// Nothing was asked for.
    No,
    /// It was asked for; for so long it may still come to be.
    Asked { patience: Duration },
    /// It exists, with this id.
    Made(String),
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the journal says. (A note of asking is text, what exists an object: so a note is never taken for a thing.)
pub(crate) fn begun(ctx: &Ctx) -> Begun {
    match ctx.resumed::<Json>() {
        Some(Json::String(note)) => {
            let (what, when) = note.split_once(' ').unwrap_or((&note, "0"));
            let since = now().saturating_sub(Duration::from_secs(when.parse().unwrap_or(0)));
            // Who asked may have waited for the answer as long as one waits, and been killed then.
            let over = what == "refused" || since >= grappe_http::Options::default().read + LATE;
            Begun::Asked { patience: if over { Duration::ZERO } else { LATE } }
        }
        Some(Json::Object(object)) => made(&object),
        _ => Begun::No,
    }
}

fn made(object: &Object) -> Begun {
    text(object, "id").map_or(Begun::Asked { patience: LATE }, |id| Begun::Made(id.to_owned()))
}

/// Asks for an object, with a note of it in the journal before, and one after where nothing comes of it.
pub(crate) async fn ask<T>(
    ctx: &Ctx,
    request: impl Future<Output = Result<T, Refused>>,
) -> Result<T, Refused> {
    ctx.checkpoint(&format!("asked {}", now().as_secs())).await?;
    let answer = request.await;
    if answer.as_ref().is_err_and(Refused::is_final) {
        ctx.checkpoint(&format!("refused {}", now().as_secs())).await?;
    }
    answer
}

/// Looks for what was asked for, as long as it may still come to be.
pub(crate) async fn look<F>(
    ctx: &Ctx,
    patience: Duration,
    find: impl Fn() -> F,
) -> Result<Option<Json>, Fault>
where
    F: Future<Output = Result<Option<Json>, Fault>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        let found = find().await?;
        if found.is_some() || ctx.only_looks() || begun.elapsed() >= patience {
            return Ok(found);
        }
        ctx.progress("looking for what an earlier run asked for");
        pause(ctx, Duration::from_secs(1)).await?;
    }
}
