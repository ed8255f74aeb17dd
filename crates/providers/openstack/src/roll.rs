//! Waiting by list: whoever waits for a server, a volume or a load balancer looks at the same list, which is fetched once a second as long as somebody waits.
//!
//! Fifty servers that start cost one request a second, not fifty. Nova is asked for what has changed lately, by the cloud's own clock; and now and then
//! for all that has changed since the run logged in.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use grappe_http::Method;
use grappe_provider::{Context, Fault};
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::{Call, Client, Service};

/// How often a list is fetched.
const EVERY: Duration = Duration::from_secs(1);

/// How often a list is a whole one. Those between have what changed since the whole list before the last: the clocks of a cloud's computers differ by less.
const WHOLE: Duration = Duration::from_secs(30);

/// How often an object is looked at itself that no list has: Nova does not say that a server that waits for its host has changed.
const ALONE: Duration = Duration::from_secs(10);

/// A list at one moment.
struct Roll {
    begun: Instant,
    /// Objects by their ids.
    objects: HashMap<String, Arc<Json>>,
    window: Window,
}

/// Some seconds in which the changes since one moment are asked for.
#[derive(Clone)]
struct Window {
    begun: Instant,
    /// The newest change at its begin, in Nova's words.
    newest: Option<String>,
    /// The newest change at the begin of the window before: what is asked for.
    since: Option<String>,
}

impl Window {
    /// The window of a list that had these.
    fn of(items: &[Json], begun: Instant, last: Option<&Window>) -> Self {
        if let Some(same) = last.filter(|window| window.holds(begun)) {
            return same.clone();
        }
        // Only Nova's objects have it: the lists of all others are whole ones.
        let newest = items.iter().filter_map(|item| item["updated"].as_str()).max();
        let since = last.and_then(|window| window.newest.clone());
        Self { begun, newest: newest.map(str::to_owned), since }
    }

    fn holds(&self, now: Instant) -> bool {
        now < self.begun + WHOLE
    }

    /// Since when changes are asked for now; `None` for all of them.
    fn since(&self, now: Instant) -> Option<&str> {
        self.since.as_deref().filter(|_| self.holds(now))
    }
}

type Place = Arc<Mutex<Option<Arc<Roll>>>>;

/// The lists that somebody waits with.
#[derive(Default)]
pub(crate) struct Rolls(std::sync::Mutex<HashMap<(Service, Option<String>), Place>>);

/// What a look at an object says.
pub(crate) enum Look {
    /// Not yet; what it does meanwhile.
    Wait(String),
    /// It is so far.
    Done,
}

impl Rolls {
    fn place(&self, service: Service, region: Option<&str>) -> Place {
        let mut rolls = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rolls.entry((service, region.map(str::to_owned))).or_default().clone()
    }
}

/// The list of a service: its path, the key of its items.
fn listed(service: Service) -> Option<(&'static str, &'static str)> {
    match service {
        Service::Compute => Some(("servers/detail", "servers")),
        Service::Volume => Some(("volumes/detail", "volumes")),
        Service::LoadBalancer => Some(("lbaas/loadbalancers", "loadbalancers")),
        Service::Network | Service::Image => None,
    }
}

impl Client {
    /// A list that was asked for after `after`: fetched by one for all that wait.
    async fn roll(&self, service: Service, region: Option<&str>, after: Instant) -> Result<Arc<Roll>, Fault> {
        let region = self.region(region);
        let region = region.as_deref();
        let place = self.rolls.place(service, region);
        let mut last = place.lock().await;
        if let Some(roll) = last.as_ref().filter(|roll| roll.begun > after) {
            return Ok(roll.clone());
        }
        if let Some(roll) = &*last {
            tokio::time::sleep_until(roll.begun + EVERY).await;
        }
        let (path, key) =
            listed(service).ok_or_else(|| Fault::permanent("nothing to wait with (a bug in grappe)"))?;
        let mut call = Call::new(Method::GET, service, region, path);
        let begun = Instant::now();
        let lately = last.as_deref().and_then(|roll| Some((roll.window.since(begun)?, &roll.objects)));
        if service == Service::Compute {
            let since = match lately {
                Some((since, _)) => since.to_owned(),
                None => self.session().await?.body.issued_at.clone(),
            };
            call = call.query("changes-since", since).version(crate::compute::READ);
        }
        let items = self.list(call, key).await?;
        let window = Window::of(&items, begun, last.as_deref().map(|roll| &roll.window));
        let mut objects = lately.map_or_else(HashMap::new, |(_, objects)| objects.clone());
        objects.extend(items.into_iter().filter_map(|o| Some((o["id"].as_str()?.to_owned(), Arc::new(o)))));
        let roll = Arc::new(Roll { begun, objects, window });
        *last = Some(roll.clone());
        Ok(roll)
    }
}

/// Waits until `look` is content with an object of a service's list. It sees `None` where there is no such object; of a server, that is asked of Nova itself.
pub(crate) async fn wait(
    ctx: &Context<Client>,
    (service, region, id): (Service, Option<&str>, &str),
    look: impl Fn(Option<&Json>) -> Result<Look, Fault>,
) -> Result<Option<Json>, Fault> {
    let client = ctx.client();
    let mut after = Instant::now();
    let mut missed = 0;
    let mut said = String::new();
    let mut alone: Option<(Instant, Option<Arc<Json>>)> = None;
    loop {
        let roll = tokio::select! {
            roll = client.roll(service, region, after) => roll,
            () = ctx.cancelled() => return Err(stopped()),
        };
        // A list that can't be had now is one that was not looked at: the object goes its way meanwhile.
        let roll = match roll {
            Err(fault) if fault.is_transient() && missed < 30 => {
                missed += 1;
                after = Instant::now();
                pause(ctx, EVERY).await?;
                continue;
            }
            roll => roll?,
        };
        after = roll.begun;
        let mut seen = roll.objects.get(id).cloned();
        if seen.is_none() && service == Service::Compute {
            // What has not changed is not listed: it may be long ready, or gone.
            if alone.as_ref().is_none_or(|(at, _)| at.elapsed() >= ALONE) {
                let found = crate::compute::server(client, region, id).await?;
                alone = Some((Instant::now(), found.map(Arc::new)));
            }
            seen = alone.as_ref().and_then(|(_, found)| found.clone());
        }
        match look(seen.as_deref())? {
            Look::Done => return Ok(seen.map(Arc::unwrap_or_clone)),
            Look::Wait(doing) if doing != said => {
                ctx.progress(&doing);
                said = doing;
            }
            Look::Wait(_) => {}
        }
    }
}

/// Tries what is refused because something uses the object (409) until it is not, for a while: what holds it goes in the same run, as a rule.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, crate::client::Refused>>>(
    ctx: &Context<Client>,
    noun: &str,
    what: impl Fn() -> F,
) -> Result<T, Fault> {
    const PATIENCE: Duration = Duration::from_secs(150);
    let until = Instant::now() + PATIENCE;
    let mut wait = Duration::from_millis(500);
    loop {
        let refused = match what().await {
            Ok(done) => return Ok(done),
            Err(refused) => refused,
        };
        if !refused.is_conflict() {
            return Err(refused.fault());
        }
        if Instant::now() + wait > until {
            let fault = refused.fault().context(format!("the {noun} is still in use"));
            return Err(fault.hint("what uses it is not part of this run: take it away, and run again"));
        }
        ctx.progress(format!("waiting for what uses the {noun}: {}", refused.message()));
        pause(ctx, wait).await?;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

/// Sleeps, unless the user asks to stop.
pub(crate) async fn pause(ctx: &Context<Client>, wait: Duration) -> Result<(), Fault> {
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = ctx.cancelled() => Err(stopped()),
    }
}

fn stopped() -> Fault {
    Fault::transient("stopped while waiting")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_between_two_whole_ones_have_what_changed_since_the_one_before() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let servers =
            |times: &[&str]| -> Vec<Json> { times.iter().map(|t| json!({ "updated": t })).collect() };
        let first = Window::of(&servers(&["2026-11-27T04:00:09Z", "2026-11-27T04:00:07Z"]), at(0), None);
        assert_eq!(first.since(at(1)), None, "there was none before");
        let first = Window::of(&servers(&["2026-11-27T04:00:10Z"]), at(1), Some(&first));
        let second = Window::of(&servers(&["2026-11-27T04:00:39Z"]), at(30), Some(&first));
        assert_eq!(second.since(at(31)), Some("2026-11-27T04:00:09Z"));
        let second = Window::of(&servers(&["2026-11-27T04:00:40Z"]), at(31), Some(&second));
        assert_eq!(second.since(at(59)), Some("2026-11-27T04:00:09Z"));
        assert_eq!(second.since(at(60)), None, "it is time for a whole one");
        let third = Window::of(&servers(&[]), at(60), Some(&second));
        assert_eq!(third.since(at(61)), Some("2026-11-27T04:00:39Z"));
    }
}
