//! A table and a kind, as a resource.

use std::collections::HashMap;

use grappe_http::Method;
use grappe_provider::{Change, Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_value::{Attribute, OnChange, Presence, Schema, Type, Value};
use serde_json::{Value as Json, json};

use super::{
    BESIDE, Ctx, Field, Keyed, Kind, METADATA_KEY, Object, Table, is_mark, known_tags, mark, merged_tags, of,
    region, settled, strings, tag_fields, text, unmarked, without_empties,
};
use crate::asking::{Begun, ask, begun, look};
use crate::client::{Call, Client, Refused, Service, inner, outer};
use crate::roll::patiently;

/// A turn below a load balancer, and that one's id.
type Turn = (String, tokio::sync::OwnedMutexGuard<()>);

/// A type as a resource.
pub(crate) struct Thing<K: Kind> {
    table: Table,
    _kind: std::marker::PhantomData<K>,
}

impl<K: Kind> Thing<K> {
    pub(crate) fn new() -> Self {
        let mut table = K::table();
        table.fields.push(region());
        if table.tags {
            table.fields.extend(tag_fields());
        }
        Thing { table, _kind: std::marker::PhantomData }
    }

    fn call<'a>(&self, method: Method, object: &'a Object, rest: &str) -> Call<'a> {
        let path = format!("{}{rest}", K::collection(object));
        Call::new(method, self.table.service, text(object, "region"), path)
    }

    fn one<'a>(&self, method: Method, object: &'a Object, id: &str, more: &str) -> Call<'a> {
        self.call(method, object, &format!("/{id}{more}"))
    }

    /// What its lists have their items under.
    fn many(&self) -> String {
        self.table.path.rsplit('/').next().unwrap_or_default().replace('-', "_")
    }

    /// Reads an object by its id.
    async fn show(&self, client: &Client, object: &Object, id: &str) -> Result<Option<Json>, Fault> {
        let call = self.one(Method::GET, object, id, "");
        let found = client.find(call).await?;
        let Some(found) = found else { return Ok(None) };
        let found = inner(found, self.table.one)?;
        // Octavia shows what it has deleted for a while.
        let deleted = found.get("provisioning_status").is_some_and(|s| s == "DELETED");
        Ok(Some(found).filter(|_| !deleted))
    }

    /// Finds what an earlier try has made.
    async fn marked(&self, ctx: &Ctx, args: &Object) -> Result<Option<Json>, Fault> {
        match begun(ctx) {
            Begun::No => Ok(None),
            Begun::Made(id) => self.show(ctx.client(), args, &id).await,
            Begun::Asked { patience } => look(ctx, patience, || self.carrier(ctx, args)).await,
        }
    }

    /// Finds what carries the key of an operation, among all there are.
    async fn carrier(&self, ctx: &Ctx, args: &Object) -> Result<Option<Json>, Fault> {
        let mark = mark(ctx.key());
        let many = self.many();
        let list = |name: &'static str, value: &str| {
            ctx.client().list(self.call(Method::GET, args, "").query(name, value), &many)
        };
        let found = match self.table.keyed {
            Keyed::Tag => list("tags", &mark).await?,
            Keyed::Suffix => {
                let group = text(args, "security_group_id").unwrap_or_default().to_owned();
                let mut all = list("security_group_id", &group).await?;
                all.retain(|rule| of(rule, "description").is_some_and(|d| d.contains(&mark)));
                all
            }
            Keyed::Description => match list("description", &mark).await? {
                found if !found.is_empty() => found,
                _ if text(args, "description").is_some() => list("tags", &mark).await?,
                none => none,
            },
            // Cinder compares entries itself.
            Keyed::Metadata => {
                let call = self.call(Method::GET, args, "/detail");
                let wanted = format!("{{'{METADATA_KEY}': '{}'}}", ctx.key());
                ctx.client().list(call.query("metadata", wanted), &many).await?
            }
        };
        Ok(found.into_iter().find(|object| object.get("provisioning_status").is_none_or(|s| s != "DELETED")))
    }

    /// What is known of an object, laid beside what was planned or remembered.
    fn state(&self, ctx: &Ctx, object: &Json, before: &Object) -> Object {
        let mut state = Object::new();
        for field in self.table.fields.iter().filter(|f| !f.own && !f.write_only) {
            let Some(now) = object.get(field.api) else { continue };
            let mut now = now.clone();
            if field.name == "description" {
                now = unmarked(now.as_str().unwrap_or_default()).into();
            }
            let value = match field.attribute.presence {
                Presence::Computed => now,
                _ => settled(before.get(field.name), now),
            };
            state.insert(field.name.into(), value);
        }
        state.insert("id".into(), object.get("id").cloned().unwrap_or_default());
        state.insert("region".into(), ctx.client().region(text(before, "region")).into());
        if self.table.tags {
            let all: Vec<String> = strings(object.get("tags")).into_iter().filter(|t| !is_mark(t)).collect();
            state.insert("tags".into(), known_tags(before.get("tags"), &all));
            state.insert("all_tags".into(), all.into());
        }
        K::seen(object, before, &mut state);
        state
    }

    /// The object's turn below its load balancer, and the balancer ready for a change.
    async fn turn(&self, ctx: &Ctx, args: &Object) -> Result<Option<Turn>, Fault> {
        let Some(balancer) = K::balancer(ctx, args).await? else { return Ok(None) };
        let turn = ctx.client().turn(&balancer);
        let turn = tokio::select! {
            turn = turn.lock_owned() => turn,
            () = ctx.cancelled() => return Err(Fault::transient("stopped while waiting for the load balancer")),
        };
        crate::balancing::ready(ctx, text(args, "region"), &balancer).await?;
        Ok(Some((balancer, turn)))
    }

    /// Waits until the load balancer has done what was changed below it; the object as it is then.
    async fn balanced(
        &self,
        ctx: &Ctx,
        args: &Object,
        turn: Option<&Turn>,
        object: Json,
    ) -> Result<Json, Fault> {
        let id = of(&object, "id").unwrap_or_default();
        let Some((balancer, _)) = turn.filter(|(balancer, _)| balancer != id) else { return Ok(object) };
        crate::balancing::settled(ctx, text(args, "region"), balancer, "after a change below it").await?;
        let now = self.show(ctx.client(), args, id).await?;
        let now = now.ok_or_else(|| Fault::gone(format!("the {} {id} is gone", self.table.noun)))?;
        if of(&now, "provisioning_status") == Some("ERROR") {
            return Err(Fault::permanent(format!("the {} {id} is in ERROR", self.table.noun))
                .hint("Octavia's log says more"));
        }
        Ok(now)
    }

    async fn make(&self, ctx: &Ctx, args: &Object) -> Result<Json, Fault> {
        let mut body = Object::new();
        let sent = |f: &&Field| !f.own && f.attribute.is_settable();
        for field in self.table.fields.iter().filter(sent) {
            if let Some(value) = args.get(field.name).filter(|v| !v.is_null()) {
                body.insert(field.api.into(), value.clone());
            }
        }
        let mark = mark(ctx.key());
        match self.table.keyed {
            Keyed::Description => drop(body.insert("description".into(), mark.into())),
            Keyed::Suffix => {
                let own = text(args, "description").map_or(mark.clone(), |own| format!("{own} ({mark})"));
                body.insert("description".into(), own.into());
            }
            Keyed::Tag => {
                let mut tags = strings(args.get("tags"));
                tags.push(mark);
                body.insert("tags".into(), tags.into());
            }
            Keyed::Metadata => {
                let mut metadata =
                    args.get("metadata").and_then(Json::as_object).cloned().unwrap_or_default();
                metadata.insert(METADATA_KEY.into(), ctx.key().into());
                body.insert("metadata".into(), metadata.into());
            }
        }
        // Neutron refuses them in a creation.
        if self.table.keyed != Keyed::Tag {
            body.remove("tags");
        }
        K::body(args, &mut body)?;
        if let Some(Json::Object(more)) = args.get("value_specs") {
            body.extend(more.clone());
        }
        let beside = body.remove(BESIDE);
        let mut body = outer(self.table.one, body);
        for (name, value) in beside.as_ref().and_then(Json::as_object).into_iter().flatten() {
            body[name] = value.clone();
        }
        let call = || self.call(Method::POST, args, "").json(body.clone());
        let make = || ask(ctx, ctx.client().call(call()));
        let made = match self.table.service {
            Service::LoadBalancer => patiently(ctx, self.table.noun, make).await?,
            _ => make().await.map_err(Refused::fault)?,
        };
        inner(made, self.table.one)
    }

    /// What a creation has still to do once the object exists.
    async fn finish(&self, ctx: &Ctx, args: &Object, mut object: Json) -> Result<Json, Fault> {
        let id = of(&object, "id").unwrap_or_default().to_owned();
        let mark = mark(ctx.key());
        let description = text(args, "description");
        if self.table.keyed == Keyed::Description {
            let wanted = strings(args.get("tags"));
            let marked = of(&object, "description") == Some(&*mark);
            if !wanted.is_empty() || (description.is_some() && marked) {
                let mut tags = wanted;
                tags.push(mark);
                object["tags"] = self.tag(ctx, args, &id, tags).await?.into();
            }
            if let Some(description) = description.filter(|_| marked) {
                let body = outer(self.table.one, json!({ "description": description }));
                let call = self.one(Method::PUT, args, &id, "");
                let answer = ctx.client().call(call.json(body)).await.map_err(Refused::fault)?;
                let tags = object["tags"].take();
                object = inner(answer, self.table.one)?;
                object["tags"] = tags;
            }
        }
        K::created(ctx, args, object).await
    }

    /// Sets Neutron's tags of an object.
    async fn tag(
        &self,
        ctx: &Ctx,
        object: &Object,
        id: &str,
        tags: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let call = self.one(Method::PUT, object, id, "/tags");
        ctx.client().call(call.json(json!({ "tags": tags }))).await.map_err(Refused::fault)?;
        Ok(tags)
    }
}

impl<K: Kind> Resource for Thing<K> {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        K::NAME
    }

    fn schema(&self) -> Schema {
        let table = &self.table;
        let schema = table
            .fields
            .iter()
            .fold(Schema::new(table.description), |s, f| s.attr(f.name, f.attribute.clone()));
        let mut schema = schema.attr("id", Attribute::computed(Type::String, "Its id."));
        for block in &table.blocks {
            schema = schema.block(block.name, block.nesting, block.schema.clone());
            if let Some(inner) = schema.blocks.get_mut(block.name) {
                inner.max = block.max;
            }
        }
        schema
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        K::validate(config)
    }

    fn plan(&self, change: &mut Change<'_>) {
        if change.prior.is_some() {
            for field in &self.table.fields {
                let follows = field.follows.iter().any(|name| change.changes(name));
                // What the configuration gives itself is known.
                if follows && change.config.get(field.name).is_none_or(Value::is_null) {
                    change.set(field.name, Value::unknown(field.attribute.ty.clone()));
                }
            }
        }
        K::plan(change);
    }

    fn timeouts(&self) -> Timeouts {
        let minutes = |n: u64| std::time::Duration::from_secs(60 * n);
        Timeouts { create: minutes(10), update: minutes(10), delete: minutes(10), ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Ctx, state: Object) -> Result<Option<Object>, Fault> {
        // One that was asked for and never made has none.
        let Some(id) = text(&state, "id") else { return Ok(None) };
        let found = self.show(ctx.client(), &state, id).await?;
        Ok(found.map(|object| self.state(ctx, &object, &state)))
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        let text = |name| state.get(name).and_then(Value::as_str).unwrap_or_default();
        // Members are listed by their pool.
        Some(format!("{}/{}", text("region"), if self.table.one == "member" { text("pool_id") } else { "" }))
    }

    async fn read_many(
        &self,
        ctx: &Ctx,
        states: Vec<Object>,
    ) -> Result<Vec<Result<Option<Object>, Fault>>, Fault> {
        let Some(first) = states.first() else { return Ok(Vec::new()) };
        let detail = if self.table.keyed == Keyed::Metadata { "/detail" } else { "" };
        let all = ctx.client().list(self.call(Method::GET, first, detail), &self.many()).await?;
        let found: HashMap<&str, &Json> =
            all.iter().filter_map(|object| Some((of(object, "id")?, object))).collect();
        let mut read = Vec::with_capacity(states.len());
        for state in states {
            let object = text(&state, "id").and_then(|id| found.get(id));
            let deleted = object.is_some_and(|o| of(o, "provisioning_status") == Some("DELETED"));
            read.push(match object {
                Some(object) if !deleted => Ok(Some(self.state(ctx, object, &state))),
                // Lists hide what belongs to others: only the object itself tells that it is gone.
                _ => self.read(ctx, state).await,
            });
        }
        Ok(read)
    }

    async fn create(&self, ctx: &Ctx, mut args: Object) -> Result<Object, Fault> {
        K::prepare(ctx, &mut args).await?;
        let turn = self.turn(ctx, &args).await?;
        let object = match self.marked(ctx, &args).await? {
            Some(object) => object,
            None => self.make(ctx, &args).await?,
        };
        ctx.checkpoint(&self.state(ctx, &object, &args)).await?;
        let object = self.finish(ctx, &args, object).await?;
        let object = self.balanced(ctx, &args, turn.as_ref(), object).await?;
        Ok(self.state(ctx, &object, &args))
    }

    async fn update(&self, ctx: &Ctx, prior: Object, mut args: Object) -> Result<Object, Fault> {
        K::prepare(ctx, &mut args).await?;
        let id = text(&prior, "id").unwrap_or_default();
        let gone = || Fault::gone(format!("the {} {id} is gone", self.table.noun));
        let turn = self.turn(ctx, &prior).await?;
        let mut now = self.show(ctx.client(), &prior, id).await?.ok_or_else(gone)?;
        let mut body = Object::new();
        let changed = |f: &&Field| {
            let (before, after) =
                (prior.get(f.name).unwrap_or(&Json::Null), args.get(f.name).unwrap_or(&Json::Null));
            !f.own
                && f.attribute.is_settable()
                && f.attribute.on_change == OnChange::Update
                && before != after
        };
        for field in self.table.fields.iter().filter(changed) {
            let value = args.get(field.name).cloned().unwrap_or_else(|| field.cleared());
            body.insert(field.api.into(), value);
        }
        let mut tags = strings(now.get("tags"));
        let before = strings(prior.get("tags"));
        let wanted = merged_tags(tags.clone(), &before, strings(args.get("tags")));
        if self.table.tags && before != strings(args.get("tags")) {
            tags = wanted;
            match self.table.keyed {
                Keyed::Tag => drop(body.insert("tags".into(), tags.clone().into())),
                _ => tags = self.tag(ctx, &prior, id, tags).await?,
            }
        }
        K::changes(&prior, &args, &now, &mut body)?;
        if body.contains_key("description") && self.table.keyed == Keyed::Description {
            // The key must stay somewhere.
            let old = of(&now, "description").filter(|d| is_mark(d)).map(str::to_owned);
            if let Some(mark) = old {
                tags.push(mark);
                tags = self.tag(ctx, &prior, id, tags).await?;
            }
        }
        if !body.is_empty() {
            let body = outer(self.table.one, body);
            let revision = now
                .get("revision_number")
                .filter(|_| self.table.service == Service::Network)
                .map(ToString::to_string);
            let put = || async {
                let call = self.one(Method::PUT, &prior, id, "");
                let call = match &revision {
                    // Lists that others write to as well are replaced as a whole: only what was seen is.
                    Some(revision) if tags == strings(now.get("tags")) => {
                        call.header("if-match", format!("revision_number={revision}"))
                    }
                    _ => call,
                };
                ctx.client().call(call.json(body.clone())).await
            };
            let answer = match put().await {
                Err(refused) if refused.status() == Some(412) => {
                    return Err(Fault::transient(format!(
                        "somebody else changed the {} {id} at the same time",
                        self.table.noun
                    )));
                }
                Err(refused) if refused.is_conflict() => patiently(ctx, self.table.noun, put).await?,
                answer => answer.map_err(Refused::fault)?,
            };
            now = inner(answer, self.table.one)?;
        }
        now["tags"] = tags.into();
        let now = K::updated(ctx, &prior, &args, now).await?;
        let now = self.balanced(ctx, &args, turn.as_ref(), now).await?;
        Ok(self.state(ctx, &now, &args))
    }

    async fn delete(&self, ctx: &Ctx, state: Object) -> Result<(), Fault> {
        let Some(id) = text(&state, "id") else { return Ok(()) };
        let turn = match self.turn(ctx, &state).await {
            Ok(turn) => turn,
            // With its load balancer it has gone too.
            Err(fault) if fault.kind == grappe_provider::FaultKind::Gone => return Ok(()),
            Err(fault) => return Err(fault),
        };
        K::leaving(ctx, &state).await?;
        let gone = patiently(ctx, self.table.noun, || async {
            let call = self.one(Method::DELETE, &state, id, "");
            ctx.client().raw(&call).await.map(drop)
        });
        match gone.await {
            Ok(()) => {
                if let Some((balancer, _)) = turn.filter(|(balancer, _)| balancer != id) {
                    match crate::balancing::ready(ctx, text(&state, "region"), &balancer).await {
                        Err(fault) if fault.kind != grappe_provider::FaultKind::Gone => return Err(fault),
                        _ => {}
                    }
                }
                K::gone(ctx, &state).await
            }
            Err(fault) if fault.kind == grappe_provider::FaultKind::Gone => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By(K::IMPORT)
    }

    async fn import(&self, ctx: &Ctx, id: &str, mut args: Object) -> Result<Option<Imported>, Fault> {
        // What lives below another object is imported by both ids: `POOL/MEMBER`.
        let id = match id.rsplit_once('/') {
            Some((parent, id)) => {
                args.insert("pool_id".into(), parent.into());
                id
            }
            None => id,
        };
        let Some(object) = self.show(ctx.client(), &args, id).await? else { return Ok(None) };
        Imported::new(&self.state(ctx, &object, &args)).map(Some)
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(without_empties(&Resource::schema(self), stored))
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        Ok(self.marked(ctx, &args).await?.map(|object| self.state(ctx, &object, &args)))
    }
}
