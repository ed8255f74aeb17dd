//! `openstack_compute_instance_v2`.
//!
//! A server carries the key of its creation as metadata (`grappe_key`), and is found by it among those of its name. Whoever waits for one waits by
//! list ([`crate::roll`]). What others add (metadata, tags) stays, and shows only in `all_metadata` and `all_tags`.
//!
//! Changed in place: name, metadata, tags, security groups, password, power state, flavor (a resize, confirmed), image (a rebuild).

mod body;
mod schema;
mod state;

use std::collections::HashMap;
use std::time::Duration;

use grappe_http::Method;
use grappe_provider::{Change, Context, Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_value::{Schema, Value};
use serde_json::{Value as Json, json};

use super::{READ, call, server};
use crate::asking::{Begun, ask, begun, look};
use crate::client::{Client, Refused, Service, inner};
use crate::roll::{Look, patiently, wait};
use crate::thing::{METADATA_KEY, Object, blocks, merged_tags, of, strings, text, without_empties};

pub(super) struct Instance;

type Ctx = Context<Client>;

/// What a server that failed says of why.
fn failed(server: &Json, doing: &str) -> Fault {
    let why = of(&server["fault"], "message").unwrap_or("it says no reason");
    let name = of(server, "name").unwrap_or_default();
    let fault = Fault::permanent(format!("the server {name} is in ERROR {doing}: {why}"));
    let fault = match of(&server["fault"], "details") {
        Some(details) => fault.details(details),
        None => fault,
    };
    if why.contains("Exhausted all hosts") {
        return fault.hint("each host that was tried failed: nova-compute's log there says why; members of an anti-affinity group that start at once take each other's place");
    }
    if why.contains("No valid host") {
        return fault.hint("no host has room for this flavor, or none that the server group, the availability zone and the hints allow");
    }
    fault
}

/// Waits until a server has one of these states.
async fn until(
    ctx: &Ctx,
    region: Option<&str>,
    id: &str,
    states: &[&str],
    doing: &str,
) -> Result<Json, Fault> {
    let found = wait(ctx, (Service::Compute, region, id), |server| {
        let Some(server) = server else { return Err(Fault::gone("the server is gone")) };
        let status = of(server, "status").unwrap_or_default();
        let task = of(server, "OS-EXT-STS:task_state");
        match status {
            "ERROR" => Err(failed(server, doing)),
            "DELETED" | "SOFT_DELETED" => Err(Fault::gone("the server was deleted meanwhile")),
            _ if states.contains(&status) && task.is_none() => Ok(Look::Done),
            _ => Ok(Look::Wait(match task {
                Some(task) => format!("the server is {status} ({task})"),
                None => format!("the server is {status}"),
            })),
        }
    })
    .await?;
    found.ok_or_else(|| Fault::gone("the server is gone"))
}

async fn action(ctx: &Ctx, region: Option<&str>, id: &str, body: Json) -> Result<(), Fault> {
    let path = format!("servers/{id}/action");
    patiently(ctx, "server", || async {
        let post = call(Method::POST, region, path.clone()).version(READ).json(body.clone());
        ctx.client().raw(&post).await.map(drop)
    })
    .await
}

/// What an earlier try has made.
async fn marked(ctx: &Ctx, args: &Object) -> Result<Option<Json>, Fault> {
    match begun(ctx) {
        Begun::No => Ok(None),
        Begun::Made(id) => {
            let found = server(ctx.client(), text(args, "region"), &id).await?;
            Ok(found.filter(|s| of(s, "status") != Some("DELETED")))
        }
        Begun::Asked { patience } => look(ctx, patience, || carrier(ctx, args)).await,
    }
}

/// What carries the key of an operation, among those of its name.
async fn carrier(ctx: &Ctx, args: &Object) -> Result<Option<Json>, Fault> {
    let name = format!("^{}$", regex::escape(text(args, "name").unwrap_or_default()));
    let list = call(Method::GET, text(args, "region"), "servers/detail").version(READ).query("name", name);
    let found = ctx.client().list(list, "servers").await?;
    Ok(found.into_iter().find(|s| of(&s["metadata"], METADATA_KEY) == Some(ctx.key())))
}

impl Instance {
    /// Sees a new server through: until it runs, and has the state that the plan wants.
    async fn settle(&self, ctx: &Ctx, args: &Object, id: &str) -> Result<Object, Fault> {
        let region = text(args, "region");
        let mut now = until(
            ctx,
            region,
            id,
            &["ACTIVE", "SHUTOFF", "PAUSED", "SHELVED_OFFLOADED"],
            "after its creation",
        )
        .await?;
        if let Some(wanted) = text(args, "power_state") {
            now = power(ctx, region, now, wanted).await?;
        }
        let interfaces = state::interfaces(ctx.client(), region, id).await?;
        state::of_server(ctx, &now, args, Some(&interfaces)).await
    }
}

/// Brings a server into a power state.
async fn power(ctx: &Ctx, region: Option<&str>, now: Json, wanted: &str) -> Result<Json, Fault> {
    let id = of(&now, "id").unwrap_or_default().to_owned();
    let mut now = now;
    // From one state of rest to another the way goes through the running server.
    for _ in 0..3 {
        let status = of(&now, "status").unwrap_or_default();
        let (act, then): (&str, &[&str]) = match (status, wanted) {
            ("ACTIVE", "active")
            | ("SHUTOFF", "shutoff")
            | ("PAUSED", "paused")
            | ("SHELVED_OFFLOADED", "shelved_offloaded") => return Ok(now),
            ("ACTIVE", "shutoff") => ("os-stop", &["SHUTOFF"]),
            ("ACTIVE", "paused") => ("pause", &["PAUSED"]),
            ("ACTIVE" | "SHUTOFF" | "PAUSED", "shelved_offloaded") => ("shelve", &["SHELVED_OFFLOADED"]),
            ("SHUTOFF", _) => ("os-start", &["ACTIVE"]),
            ("PAUSED", _) => ("unpause", &["ACTIVE"]),
            ("SHELVED" | "SHELVED_OFFLOADED", _) => ("unshelve", &["ACTIVE"]),
            (other, _) => {
                return Err(Fault::permanent(format!("a server that is {other} can't be made {wanted}"))
                    .attribute("power_state"));
            }
        };
        action(ctx, region, &id, json!({ act: null })).await?;
        now = until(ctx, region, &id, then, "after a change of its power state").await?;
    }
    Ok(now)
}

impl Resource for Instance {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_compute_instance_v2"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        schema::validate(config)
    }

    fn plan(&self, change: &mut Change<'_>) {
        schema::plan(change);
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(30 * 60);
        Timeouts { create: long, update: long, delete: long, ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Ctx, before: Object) -> Result<Option<Object>, Fault> {
        let found =
            server(ctx.client(), text(&before, "region"), text(&before, "id").unwrap_or_default()).await?;
        match found.filter(|s| !matches!(of(s, "status"), Some("DELETED" | "SOFT_DELETED"))) {
            Some(server) => state::of_server(ctx, &server, &before, None).await.map(Some),
            None => Ok(None),
        }
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        Some(state.get("region").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    async fn read_many(
        &self,
        ctx: &Ctx,
        states: Vec<Object>,
    ) -> Result<Vec<Result<Option<Object>, Fault>>, Fault> {
        let Some(first) = states.first() else { return Ok(Vec::new()) };
        let list = call(Method::GET, text(first, "region"), "servers/detail").version(READ);
        let all = ctx.client().list(list, "servers").await?;
        let found: HashMap<&str, &Json> =
            all.iter().filter_map(|server| Some((of(server, "id")?, server))).collect();
        let mut read = Vec::with_capacity(states.len());
        for state in states {
            read.push(match text(&state, "id").and_then(|id| found.get(id)) {
                Some(server) => state::of_server(ctx, server, &state, None).await.map(Some),
                // Lists hide what belongs to others: only the server itself tells that it is gone.
                None => self.read(ctx, state).await,
            });
        }
        Ok(read)
    }

    async fn create(&self, ctx: &Ctx, mut args: Object) -> Result<Object, Fault> {
        let region = ctx.client().region(text(&args, "region"));
        if let Some(found) = marked(ctx, &args).await? {
            let id = of(&found, "id").unwrap_or_default().to_owned();
            return self.settle(ctx, &args, &id).await;
        }
        body::look_up(ctx, &mut args).await?;
        let (body, version) = body::creation(ctx, &args)?;
        let secret = text(&args, "admin_pass").map(str::to_owned);
        let mut post = call(Method::POST, region.as_deref(), "servers").version(&version).json(body);
        post.hide(secret.as_deref());
        post.hide(text(&args, "user_data"));
        let made = ask(ctx, ctx.client().call(post)).await.map_err(Refused::fault)?;
        let made = inner(made, "server")?;
        let id = of(&made, "id").unwrap_or_default().to_owned();
        ctx.checkpoint(&json!({ "id": id, "region": region, "name": args.get("name") })).await?;
        self.settle(ctx, &args, &id).await
    }

    async fn update(&self, ctx: &Ctx, prior: Object, mut args: Object) -> Result<Object, Fault> {
        let client = ctx.client();
        let region = client.region(text(&prior, "region"));
        let region = region.as_deref();
        let id = text(&prior, "id").unwrap_or_default();
        body::look_up(ctx, &mut args).await?;
        let now = server(client, region, id).await?.ok_or_else(|| Fault::gone("the server is gone"))?;
        let differs =
            |name: &str| prior.get(name).unwrap_or(&Json::Null) != args.get(name).unwrap_or(&Json::Null);
        let refused = Refused::fault;
        if differs("name") {
            let put = call(Method::PUT, region, format!("servers/{id}"))
                .json(json!({ "server": { "name": args.get("name") } }));
            client.call(put).await.map_err(refused)?;
        }
        if differs("metadata") {
            let entries = |object: &Object| {
                object.get("metadata").and_then(Json::as_object).cloned().unwrap_or_default()
            };
            let (before, after) = (entries(&prior), entries(&args));
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                let path = format!("servers/{id}/metadata/{}", crate::client::segment(key));
                match client.raw(&call(Method::DELETE, region, path)).await {
                    Err(refused) if refused.status() != Some(404) => return Err(refused.fault()),
                    _ => {}
                }
            }
            if !after.is_empty() {
                let post = call(Method::POST, region, format!("servers/{id}/metadata"))
                    .json(json!({ "metadata": after }));
                client.call(post).await.map_err(refused)?;
            }
        }
        if differs("tags") {
            let tags =
                merged_tags(strings(now.get("tags")), &strings(prior.get("tags")), strings(args.get("tags")));
            let put = call(Method::PUT, region, format!("servers/{id}/tags"))
                .version(READ)
                .json(json!({ "tags": tags }));
            client.call(put).await.map_err(refused)?;
        }
        if differs("security_groups") && args.get("security_groups").is_some_and(|g| !g.is_null()) {
            let (before, after) =
                (strings(prior.get("security_groups")), strings(args.get("security_groups")));
            for group in after.iter().filter(|g| !before.contains(g)) {
                action(ctx, region, id, json!({ "addSecurityGroup": { "name": group } })).await?;
            }
            for group in before.iter().filter(|g| !after.contains(g)) {
                action(ctx, region, id, json!({ "removeSecurityGroup": { "name": group } })).await?;
            }
        }
        if let Some(password) = text(&args, "admin_pass").filter(|_| differs("admin_pass")) {
            let mut post = call(Method::POST, region, format!("servers/{id}/action"));
            post.hide(Some(password));
            client
                .raw(&post.json(json!({ "changePassword": { "adminPass": password } })))
                .await
                .map_err(refused)?;
        }
        let flavor = text(&args, "flavor_id");
        if flavor.is_some() && flavor != of(&now["flavor"], "id") {
            ctx.progress("resizing");
            action(ctx, region, id, json!({ "resize": { "flavorRef": flavor } })).await?;
            let resized =
                until(ctx, region, id, &["VERIFY_RESIZE", "ACTIVE", "SHUTOFF"], "while it is resized")
                    .await?;
            let confirms =
                !blocks(&args, "vendor_options").iter().any(|o| o["ignore_resize_confirmation"] == true);
            if of(&resized, "status") == Some("VERIFY_RESIZE") && confirms {
                action(ctx, region, id, json!({ "confirmResize": null })).await?;
                until(ctx, region, id, &["ACTIVE", "SHUTOFF"], "after it was resized").await?;
            }
        }
        let image = text(&args, "image_id");
        let from_image = blocks(&args, "block_device").is_empty();
        if from_image && image.is_some() && image != of(&now["image"], "id") || differs("personality") {
            ctx.progress("rebuilding");
            let mut rebuild = json!({ "imageRef": image });
            if differs("personality") {
                rebuild["personality"] = body::personality(&args);
            }
            action(ctx, region, id, json!({ "rebuild": rebuild })).await?;
            until(ctx, region, id, &["ACTIVE", "SHUTOFF"], "after it was rebuilt").await?;
        }
        let mut now = server(client, region, id).await?.ok_or_else(|| Fault::gone("the server is gone"))?;
        if let Some(wanted) = text(&args, "power_state") {
            now = power(ctx, region, now, wanted).await?;
        }
        state::of_server(ctx, &now, &args, None).await
    }

    async fn delete(&self, ctx: &Ctx, state: Object) -> Result<(), Fault> {
        let client = ctx.client();
        let (region, id) = (text(&state, "region"), text(&state, "id").unwrap_or_default());
        let Some(now) = server(client, region, id).await? else { return Ok(()) };
        if state.get("stop_before_destroy") == Some(&Json::Bool(true)) && of(&now, "status") == Some("ACTIVE")
        {
            ctx.progress("stopping");
            action(ctx, region, id, json!({ "os-stop": null })).await?;
            let stopped = until(ctx, region, id, &["SHUTOFF"], "while it is stopped");
            // One that does not stop is deleted all the same.
            let _ = tokio::time::timeout(Duration::from_secs(120), stopped).await;
        }
        if blocks(&state, "vendor_options").iter().any(|o| o["detach_ports_before_destroy"] == true) {
            for interface in state::interfaces(client, region, id).await? {
                let port = of(&interface, "port_id").unwrap_or_default();
                let path = format!("servers/{id}/os-interface/{port}");
                match client.raw(&call(Method::DELETE, region, path)).await {
                    Err(refused) if refused.status() != Some(404) => return Err(refused.fault()),
                    _ => {}
                }
            }
        }
        let forced = state.get("force_delete") == Some(&Json::Bool(true));
        let gone = patiently(ctx, "server", || async {
            let delete = match forced {
                true => call(Method::POST, region, format!("servers/{id}/action"))
                    .json(json!({ "forceDelete": null })),
                false => call(Method::DELETE, region, format!("servers/{id}")),
            };
            match client.raw(&delete).await {
                Err(refused) if refused.status() == Some(404) => Ok(()),
                answer => answer.map(drop),
            }
        });
        gone.await?;
        wait(ctx, (Service::Compute, region, id), |server| match server.and_then(|s| of(s, "status")) {
            None | Some("DELETED" | "SOFT_DELETED") => Ok(Look::Done),
            Some("ERROR")
                if server.is_some_and(|s| s["OS-EXT-STS:task_state"].is_null())
                    && of(&now, "status") != Some("ERROR") =>
            {
                Err(failed(server.unwrap_or(&Json::Null), "and could not be deleted"))
            }
            Some(status) => Ok(Look::Wait(format!("the server is {status}"))),
        })
        .await
        .map(drop)
    }

    fn importable(&self) -> Importable {
        Importable::By("its id")
    }

    async fn import(&self, ctx: &Ctx, id: &str, args: Object) -> Result<Option<Imported>, Fault> {
        let region = text(&args, "region").map(str::to_owned);
        let Some(found) = server(ctx.client(), region.as_deref(), id).await? else { return Ok(None) };
        let interfaces = state::interfaces(ctx.client(), region.as_deref(), id).await?;
        Imported::new(&state::of_server(ctx, &found, &args, Some(&interfaces)).await?).map(Some)
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(without_empties(&self.schema(), stored))
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        match marked(ctx, &args).await? {
            Some(found) => state::of_server(ctx, &found, &args, None).await.map(Some),
            None => Ok(None),
        }
    }
}
