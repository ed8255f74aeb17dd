//! A cloud in memory, with the manners of the real one that these tests are about; and types driven on it through the erased traits, as the engine does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use grappe_http::testing::{Answer, Asked, Server};
use grappe_provider::{AnyContext, AnyProvider, AnyResource, Client, Fault, Run, Setup, Stream};
use grappe_value::{Nesting, Value, convert, json};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

/// Collections of objects by id.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) objects: BTreeMap<String, BTreeMap<String, Json>>,
    made: usize,
    /// What is answered instead, once: method, part of the path, answer, and whether the request takes effect all the same.
    pub(crate) faults: Vec<(&'static str, &'static str, Answer, bool)>,
}

/// The cloud, a client of it, and what was asked.
pub(crate) struct Fake {
    pub(crate) server: Server,
    pub(crate) stored: Arc<Mutex<Stored>>,
    pub(crate) provider: Arc<dyn AnyProvider>,
    client: Client,
    pub(crate) run: Arc<Recorder>,
}

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) checkpoints: Mutex<Vec<Json>>,
    pub(crate) said: Mutex<Vec<String>>,
}

impl Run for Recorder {
    fn progress(&self, step: &str) {
        self.said.lock().unwrap().push(step.to_owned());
    }
    fn output(&self, _: Stream, _: &str) {}
    fn checkpoint(&self, state: Json) -> BoxFuture<'_, Result<(), Fault>> {
        self.checkpoints.lock().unwrap().push(state);
        async { Ok(()) }.boxed()
    }
}

/// Collection, id, rest and query.
type Parts = (String, Option<String>, Option<String>, Vec<(String, String)>);

/// `/net/v2.0/ports/ID/tags?x=y` in its parts.
fn parts(path: &str) -> Parts {
    let url: url::Url = format!("http://cloud{path}").parse().unwrap();
    let mut segments =
        url.path_segments().unwrap().map(str::to_owned).skip_while(|s| s != "v2.0" && s != "v2.1").skip(1);
    let query = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    (segments.next().unwrap_or_default(), segments.next(), segments.next(), query)
}

fn one(collection: &str) -> String {
    collection.trim_end_matches('s').replace('-', "_")
}

impl Stored {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let (collection, id, more, query) = parts(&asked.path);
        let key = one(&collection);
        let objects = self.objects.entry(collection.clone()).or_default();
        match (asked.method.as_str(), id.as_deref(), more.as_deref()) {
            ("GET", None | Some("detail"), None) => {
                let fits = |o: &&Json| {
                    query.iter().all(|(name, value)| match name.as_str() {
                        "tags" => o["tags"].as_array().is_some_and(|t| t.iter().any(|t| t == value)),
                        "name" => {
                            format!("^{}$", o["name"].as_str().unwrap_or_default()).replace('-', "\\-")
                                == *value
                                || o["name"] == *value
                        }
                        // As Nova does: what was never changed is not listed.
                        "changes-since" => o["updated"].as_str().is_some_and(|at| at >= value.as_str()),
                        "fields" | "limit" => true,
                        name => o[name] == *value,
                    })
                };
                let many = collection.replace('-', "_");
                Answer::json(200, &json!({ many: objects.values().filter(fits).collect::<Vec<_>>() }))
            }
            ("POST", None, None) => {
                self.made += 1;
                let id = format!("{key}-{}", self.made);
                let mut object = asked.json()[&key].clone();
                object["id"] = id.as_str().into();
                if object.get("tags").is_none() {
                    object["tags"] = json!([]);
                }
                objects.insert(id, object.clone());
                Answer::json(201, &json!({ key: object }))
            }
            (method, Some(id), more) => {
                let Some(object) = objects.get_mut(id) else {
                    return Answer::json(
                        404,
                        &json!({ "NeutronError": { "message": format!("{key} {id} could not be found.") } }),
                    );
                };
                match (method, more) {
                    ("PUT", Some("tags")) => object["tags"] = asked.json()["tags"].clone(),
                    ("PUT", None) => {
                        for (name, value) in asked.json()[&key].as_object().unwrap() {
                            object[name] = value.clone();
                        }
                    }
                    ("GET", Some("os-interface")) => {
                        return Answer::json(200, &json!({ "interfaceAttachments": [] }));
                    }
                    ("DELETE", None) => {
                        objects.remove(id);
                        return Answer::text(204, "");
                    }
                    _ => {}
                }
                Answer::json(200, &json!({ key: objects[id] }))
            }
            (method, ..) => Answer::text(405, method),
        }
    }
}

fn catalog(base: &str) -> Json {
    let entry = |ty: &str, path: &str| json!({ "type": ty, "endpoints": [{ "interface": "public", "region": "one", "url": format!("{base}{path}") }] });
    let catalog = [entry("network", "/net"), entry("compute", "/nova/v2.1"), entry("image", "/glance/v2.0")];
    json!({ "token": { "catalog": catalog, "issued_at": "2026-11-27T03:00:00.000000Z" } })
}

impl Fake {
    pub(crate) async fn new() -> Self {
        let stored: Arc<Mutex<Stored>> = Arc::default();
        let behind = stored.clone();
        let server = Server::start(move |asked| {
            if asked.path.ends_with("/auth/tokens") {
                return Answer::json(201, &catalog(&format!("http://{}", asked.headers["host"])))
                    .header("x-subject-token", "t");
            }
            let mut stored = behind.lock().unwrap();
            let fault = stored
                .faults
                .iter()
                .position(|(method, path, ..)| *method == asked.method && asked.path.contains(path));
            match fault {
                Some(i) => {
                    let (.., answer, happens) = stored.faults.remove(i);
                    if happens {
                        stored.answer(asked);
                    }
                    answer
                }
                None => stored.answer(asked),
            }
        })
        .await;
        let provider = grappe_provider_openstack::provider();
        let setup = Setup { plan_dir: ".".into(), data_dir: ".".into() };
        let config = json::from_json(&json!({
            "auth_url": server.url(), "user_name": "alice", "password": "hunter2", "region": "one", "tenant_name": "lab", "endpoint_overrides": {},
        }));
        let client = provider.configure(&setup, &config).await.unwrap();
        Fake { server, stored, provider, client, run: Arc::default() }
    }

    pub(crate) fn resource(&self, ty: &str) -> &dyn AnyResource {
        &**self.provider.resources().iter().find(|r| r.name() == ty).unwrap()
    }

    pub(crate) fn ctx(&self, key: &str, resumed: Option<Json>) -> AnyContext {
        AnyContext {
            client: self.client.clone(),
            run: self.run.clone(),
            addr: "a.b".parse().unwrap(),
            key: key.into(),
            resumed,
            only_looks: false,
            cancel: CancellationToken::new(),
            going: Arc::default(),
        }
    }

    /// What would be planned for a creation: all that is given, defaults, and the rest as the provider decides.
    pub(crate) fn planned(&self, ty: &str, given: &Json) -> Value {
        let schema = self.resource(ty).schema();
        let attributes = schema.attributes.iter().map(|(name, a)| {
            let value = given.get(&**name).map(json::from_json).or_else(|| a.default.clone());
            let open = if a.is_computed() { Value::unknown(a.ty.clone()) } else { Value::null(a.ty.clone()) };
            (name.clone(), value.map_or(open, |v| convert(&v, &a.ty).unwrap()))
        });
        let blocks = schema.blocks.iter().map(|(name, block)| {
            let items = given.get(&**name).and_then(Json::as_array).cloned().unwrap_or_default();
            let items: Vec<Value> = items
                .iter()
                .map(|item| {
                    let fields = block.schema.attributes.iter().map(|(n, a)| {
                        let value = item.get(&**n).map(json::from_json).or_else(|| a.default.clone());
                        (n.clone(), value.map_or(Value::null(a.ty.clone()), |v| convert(&v, &a.ty).unwrap()))
                    });
                    Value::object(fields)
                })
                .collect();
            let value = match block.nesting {
                Nesting::Set => Value::set(block.schema.ty(), items),
                _ => Value::list(block.schema.ty(), items),
            };
            (name.clone(), value)
        });
        Value::object(attributes.chain(blocks))
    }

    pub(crate) async fn create(&self, ty: &str, key: &str, given: &Json) -> Result<Value, Fault> {
        let planned = self.planned(ty, given);
        let made = self.resource(ty).create(self.ctx(key, None), &planned).await?;
        for (name, value) in planned.as_entries().unwrap() {
            if value.is_wholly_known() && !value.is_null() {
                assert!(value.same(made.get(name).unwrap()), "{name}: {value:?} was planned: {made:?}");
            }
        }
        Ok(made)
    }

    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.server.asked().iter().filter(|a| a.method == method && a.path.contains(part)).count()
    }
}
