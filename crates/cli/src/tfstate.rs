//! What a state of Terraform (version 4) holds, as a state of ours.
//!
//! Each attribute is read against our schema of the same type; what the schema or Terraform calls sensitive is marked, and so sealed when it is
//! stored. Terraform lists all that an object depends on, however far away, by blocks: of these the nearest are kept. What has no place here is
//! listed with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_plan::ProviderKey;
use grappe_provider::{AnyResource, Registry};
use grappe_state::{Object, OutputValue, State};
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode, ModuleAddr, ResourceAddr, Target};
use grappe_value::{Kind, Type, Value, json, wire};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// What was taken of it.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Objects and outputs.
    pub(crate) state: State,
    /// What was not, by address, with the reason.
    pub(crate) refused: Vec<(String, String)>,
    /// What is worth knowing.
    pub(crate) notes: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    version: u64,
    #[serde(default)]
    outputs: BTreeMap<String, Output>,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Output {
    value: Json,
    #[serde(rename = "type")]
    ty: Json,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: String,
    mode: String,
    #[serde(rename = "type")]
    ty: String,
    name: String,
    provider: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Json,
    #[serde(default)]
    status: String,
    #[serde(default)]
    deposed: Option<String>,
    #[serde(default)]
    attributes: Map<String, Json>,
    #[serde(default)]
    sensitive_attributes: Vec<Vec<Json>>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    create_before_destroy: bool,
}

/// Reads a state of Terraform.
///
/// # Errors
/// Where it is none that can be read.
pub(crate) fn take(json: &Json, registry: &Registry) -> Result<Taken, String> {
    if json.get("encrypted_data").is_some() {
        return Err("it is encrypted; \"tofu state pull\" prints it in clear".into());
    }
    let file: File = serde_json::from_value(json.clone()).map_err(|e| format!("it is no state: {e}"))?;
    if file.version != 4 {
        return Err(format!(
            "it has version {}, and version 4 is what can be read: an apply by Terraform 0.13 or later writes that",
            file.version
        ));
    }
    let mut taken = Taken::default();
    let mut dependencies: BTreeMap<InstanceAddr, Vec<String>> = BTreeMap::new();
    let mut data = 0;
    for resource in &file.resources {
        if resource.mode != "managed" {
            data += 1;
            continue;
        }
        for instance in &resource.instances {
            match address(resource, instance) {
                Err(why) => taken.refused.push((format!("{}.{}", resource.ty, resource.name), why)),
                Ok(addr) => match object(resource, instance, &addr, registry, &mut taken.notes) {
                    Err(why) => taken.refused.push((addr.to_string(), why)),
                    Ok(object) => {
                        dependencies.insert(addr.clone(), instance.dependencies.clone());
                        taken.state.put(addr, instance.deposed.clone(), object);
                    }
                },
            }
        }
    }
    connect(&mut taken.state, &dependencies);
    for (name, output) in file.outputs {
        match read_output(&output) {
            Ok(output) => drop(taken.state.outputs.insert(name, output)),
            Err(why) => taken.refused.push((format!("output.{name}"), why)),
        }
    }
    if data > 0 {
        taken.notes.push(format!("Data sources are read anew: {data} of them were left out."));
    }
    Ok(taken)
}

fn address(resource: &Resource, instance: &Instance) -> Result<InstanceAddr, String> {
    let module = match resource.module.as_str() {
        "" => ModuleAddr::root(),
        text => match text.parse::<Target>() {
            Ok(Target::Module(module)) => module,
            _ => return Err(format!("{text:?} is no address of a module")),
        },
    };
    let key = match &instance.index_key {
        Json::Null => InstanceKey::None,
        Json::String(key) => InstanceKey::Str(key.as_str().into()),
        other => InstanceKey::Int(other.as_u64().ok_or_else(|| format!("{other} is no key of an instance"))?),
    };
    let (ty, name) = (resource.ty.as_str().into(), resource.name.as_str().into());
    Ok(Arc::new(ResourceAddr { module, mode: Mode::Managed, ty, name }).instance(key))
}

/// `module.m.provider["registry.terraform.io/hashicorp/random"].west`
fn provider(text: &str) -> Option<ProviderKey> {
    let (module, rest) = text.split_once("provider[\"")?;
    let (source, alias) = rest.split_once("\"]")?;
    let module = match module.strip_suffix('.') {
        None => ModuleAddr::root(),
        Some(text) => match text.parse::<Target>().ok()? {
            Target::Module(module) => module,
            _ => return None,
        },
    };
    let name = source.rsplit('/').next()?;
    Some(ProviderKey { module, name: name.into(), alias: alias.strip_prefix('.').map(Arc::from), key: None })
}

fn object(
    resource: &Resource,
    instance: &Instance,
    addr: &InstanceAddr,
    registry: &Registry,
    notes: &mut Vec<String>,
) -> Result<Object, String> {
    let provider = provider(&resource.provider)
        .ok_or_else(|| format!("its provider {} can't be read", resource.provider))?;
    let kind =
        registry.resource(&resource.ty).ok_or_else(|| format!("grappe has no type {}", resource.ty))?;
    let owner = registry.provider_of(&resource.ty).unwrap_or_default();
    if owner != &*provider.name {
        return Err(format!("{} belongs to provider {owner} here, not to {}", resource.ty, provider.name));
    }
    let value = kind.take_terraforms(stored(kind, instance)?)?;
    let unknown: Vec<&str> = instance
        .attributes
        .iter()
        .filter(|(name, value)| !value.is_null() && !knows(kind, name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !unknown.is_empty() {
        notes.push(format!(
            "{addr}: {} is left out: grappe's {} has no such attribute.",
            unknown.join(", "),
            resource.ty
        ));
    }
    Ok(Object {
        provider: provider.to_string(),
        schema_version: kind.schema().version,
        attributes: wire::encode(&value, kind.ty()),
        tainted: instance.status == "tainted",
        create_before_destroy: instance.create_before_destroy,
        ..Object::default()
    })
}

fn knows(kind: &dyn AnyResource, name: &str) -> bool {
    let schema = kind.schema();
    schema.attributes.contains_key(name) || schema.blocks.contains_key(name)
}

/// The attributes as a value of our type, with what is sensitive marked.
fn stored(kind: &dyn AnyResource, instance: &Instance) -> Result<Value, String> {
    let schema = kind.schema();
    let types = schema.attributes.iter().map(|(name, a)| (name, a.ty.clone()));
    let types = types.chain(schema.blocks.iter().map(|(name, b)| (name, b.ty())));
    let mut out = BTreeMap::new();
    for (name, ty) in types {
        let value = match instance.attributes.get(&**name) {
            Some(json) => read(json, &ty).map_err(|why| format!("its {name} can't be read: {why}"))?,
            None => Value::null(ty),
        };
        out.insert(name.clone(), value);
    }
    let value = Value::from(Kind::Object(Arc::new(out)));
    // What is left out takes its mark with it.
    let left_out = |path: &&Vec<Json>| {
        let name = path.first().and_then(|step| step["value"].as_str());
        name.is_some_and(|name| value.get(name).is_none() && instance.attributes.contains_key(name))
    };
    let paths = instance.sensitive_attributes.iter().filter(|path| !left_out(path));
    let marked = paths.fold(value.clone(), |value, path| mark(&value, path));
    Ok(schema.mark(marked))
}

/// JSON as a value. What may be of any type says of which it is.
fn read(json: &Json, ty: &Type) -> Result<Value, String> {
    exact(json)?;
    let typed = |json: &Json, ty: &Type| json::from_json_typed(json, ty).map_err(|e| e.to_string());
    match (ty, json) {
        (Type::Any, Json::Object(map)) => match (map.get("type"), map.get("value")) {
            (Some(ty), Some(value)) if map.len() == 2 => {
                typed(value, &wire::type_from_json(ty).map_err(|e| e.to_string())?)
            }
            _ => Err("it does not say of which type it is".into()),
        },
        _ => typed(json, ty),
    }
}

/// Whether all numbers are read digit by digit.
fn exact(json: &Json) -> Result<(), String> {
    match json {
        Json::Number(n) if n.as_i64().is_none() && n.as_u64().is_none() => match n.as_f64() {
            Some(f) if f.abs() < 9_007_199_254_740_992.0 => Ok(()),
            _ => Err(format!("the number {n} has more digits than can be read exactly")),
        },
        Json::Array(items) => items.iter().try_for_each(exact),
        Json::Object(map) => map.values().try_for_each(exact),
        _ => Ok(()),
    }
}

/// Marks what a path leads to: steps as Terraform writes them. A path that leads nowhere exactly marks what it came to.
fn mark(value: &Value, path: &[Json]) -> Value {
    let Some((step, rest)) = path.split_first() else { return value.clone().sensitive() };
    // An index is a value with its type, or the value alone.
    let at = step["value"].get("value").unwrap_or(&step["value"]);
    let marks = value.marks();
    let inner = match (value.kind(), at) {
        (Kind::Object(entries), Json::String(name)) if entries.contains_key(name.as_str()) => {
            let all = entries
                .iter()
                .map(|(k, v)| (k.clone(), if **k == **name { mark(v, rest) } else { v.clone() }));
            Value::object(all)
        }
        (Kind::Map(ty, entries), Json::String(name)) if entries.contains_key(name.as_str()) => {
            let all = entries
                .iter()
                .map(|(k, v)| (k.clone(), if **k == **name { mark(v, rest) } else { v.clone() }));
            Value::map(ty.clone(), all)
        }
        (Kind::Tuple(items), Json::Number(n)) if n.as_u64().is_some_and(|n| n < items.len() as u64) => {
            let all = items.iter().enumerate();
            Value::tuple(
                all.map(|(i, v)| if Some(i as u64) == n.as_u64() { mark(v, rest) } else { v.clone() }),
            )
        }
        (Kind::List(ty, items), Json::Number(n)) if n.as_u64().is_some_and(|n| n < items.len() as u64) => {
            let all = items.iter().enumerate();
            let all = all.map(|(i, v)| if Some(i as u64) == n.as_u64() { mark(v, rest) } else { v.clone() });
            Value::list(ty.clone(), all)
        }
        (Kind::Null(_), _) => return value.clone(),
        _ => return value.clone().sensitive(),
    };
    inner.with_marks(marks)
}

fn read_output(output: &Output) -> Result<OutputValue, String> {
    exact(&output.value)?;
    let ty = wire::type_from_json(&output.ty).map_err(|e| e.to_string())?;
    let value = json::from_json_typed(&output.value, &ty).map_err(|e| e.to_string())?;
    let ty = if ty == Type::Any { value.ty() } else { ty };
    let value = if output.sensitive { value.sensitive() } else { value };
    Ok(OutputValue { value: wire::encode(&value, &ty), ty, sensitive: output.sensitive })
}

/// The nearest of all that each object depends on.
fn connect(state: &mut State, dependencies: &BTreeMap<InstanceAddr, Vec<String>>) {
    // A block's path without keys: its name in the configuration.
    let block = |addr: &ResourceAddr| {
        let calls: String = addr.module.0.iter().map(|(name, _)| format!("module.{name}.")).collect();
        format!("{calls}{}.{}", addr.ty, addr.name)
    };
    let mut blocks: BTreeMap<String, BTreeSet<Arc<ResourceAddr>>> = BTreeMap::new();
    let mut needs: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for addr in state.objects.keys() {
        blocks.entry(block(&addr.resource)).or_default().insert(addr.resource.clone());
    }
    for (addr, all) in dependencies {
        needs.entry(block(&addr.resource)).or_default().extend(all.iter().map(String::as_str));
    }
    let further = |all: &BTreeSet<&str>, name: &str| {
        all.iter().any(|other| *other != name && needs.get(*other).is_some_and(|n| n.contains(name)))
    };
    let mut found: BTreeMap<InstanceAddr, Vec<InstanceAddr>> = BTreeMap::new();
    for (addr, all) in dependencies {
        let all: BTreeSet<&str> =
            all.iter().map(String::as_str).filter(|n| blocks.contains_key(*n)).collect();
        let near = all.iter().filter(|name| !further(&all, name)).flat_map(|name| &blocks[*name]);
        let near = near.filter(|resource| **resource != addr.resource);
        found.insert(addr.clone(), near.map(|resource| resource.instance(InstanceKey::None)).collect());
    }
    let of = |addr: &InstanceAddr| found.get(addr).cloned().unwrap_or_default();
    for (addr, object) in &mut state.objects {
        object.dependencies = of(addr);
    }
    for ((addr, _), object) in &mut state.deposed {
        object.dependencies = of(addr);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::registry;

    fn resource(ty: &str, name: &str, provider: &str, instances: Json) -> Json {
        json!({ "mode": "managed", "type": ty, "name": name, "provider": format!("provider[\"registry.terraform.io/hashicorp/{provider}\"]"), "instances": instances })
    }

    fn taken(resources: Json) -> Taken {
        let state = json!({ "version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "x", "outputs": {}, "resources": resources });
        take(&state, &registry()).unwrap()
    }

    fn attributes(taken: &Taken, at: &str) -> Json {
        let addr: InstanceAddr = at.parse().unwrap();
        taken.state.objects[&addr].attributes.clone()
    }

    /// What hashicorp/random 3.7, hashicorp/local 2.5 and hashicorp/tls 4.0 store.
    #[test]
    fn the_types_that_both_have_are_read() {
        let taken = taken(json!([
            resource(
                "random_password",
                "p",
                "random",
                json!([{
                    "schema_version": 3, "sensitive_attributes": [[{"type": "get_attr", "value": "bcrypt_hash"}], [{"type": "get_attr", "value": "result"}]],
                    "attributes": {
                        "bcrypt_hash": "$2a$10$x", "id": "none", "keepers": null, "length": 7, "lower": true, "min_lower": 0, "min_numeric": 0,
                        "min_special": 0, "min_upper": 0, "number": true, "numeric": true, "override_special": null, "result": "hunter2",
                        "special": true, "upper": true,
                    },
                }])
            ),
            resource(
                "tls_private_key",
                "k",
                "tls",
                json!([{
                    "schema_version": 1, "sensitive_attributes": [],
                    "attributes": { "algorithm": "RSA", "ecdsa_curve": "P224", "id": "i", "private_key_pem": "SECRET", "rsa_bits": 2048 },
                }])
            ),
            resource(
                "local_file",
                "f",
                "local",
                json!([{
                    "schema_version": 0, "sensitive_attributes": [],
                    "attributes": {
                        "content": "x", "content_base64": null, "directory_permission": "0777", "file_permission": "0777", "filename": "f",
                        "id": "11f6ad8ec52a2984abaafd7c3b516503785c2072", "sensitive_content": null, "source": null,
                    },
                }])
            ),
            resource(
                "random_pet",
                "each",
                "random",
                json!([
                    { "index_key": "a.b", "schema_version": 0, "attributes": { "id": "x", "length": 2, "separator": "-" } },
                    { "index_key": "old", "schema_version": 0, "status": "tainted", "attributes": { "id": "y", "length": 2, "separator": "-" }, "create_before_destroy": true },
                    { "index_key": "old", "deposed": "00ff00ff", "schema_version": 0, "attributes": { "id": "z", "length": 2, "separator": "-" } },
                ])
            ),
        ]));
        assert_eq!(taken.refused, []);
        let password = attributes(&taken, "random_password.p");
        assert_eq!(password["result"], json!({ "$sensitive": "hunter2" }));
        assert_eq!(password.get("number"), None, "a block that names numeric alone is as before");
        let key = attributes(&taken, "tls_private_key.k");
        assert_eq!(
            (&key["ecdsa_curve"], &key["private_key_pem"]),
            (&json!("P256"), &json!({ "$sensitive": "SECRET" }))
        );
        assert_eq!(attributes(&taken, "local_file.f")["content"], "x");
        let old = &taken.state.objects[&"random_pet.each[\"old\"]".parse().unwrap()];
        assert!(old.tainted && old.create_before_destroy);
        assert_eq!(taken.state.deposed.keys().next().unwrap().1, "00ff00ff");
        assert_eq!(
            taken.notes,
            ["random_password.p: bcrypt_hash is left out: grappe's random_password has no such attribute."]
        );
        assert!(!format!("{:?}", taken.notes).contains("$2a"));
    }

    #[test]
    fn what_has_no_place_says_why() {
        let key = |curve: &str| json!([{ "attributes": { "algorithm": "ECDSA", "ecdsa_curve": curve, "rsa_bits": 2048 } }]);
        let taken = taken(json!([
            resource("aws_instance", "a", "aws", json!([{ "index_key": 3, "attributes": { "id": "i-1" } }])),
            resource("random_pet", "b", "notrandom", json!([{ "attributes": { "id": "x" } }])),
            resource("tls_private_key", "c", "tls", key("P224")),
            resource("tls_private_key", "ok", "tls", key("P384")),
            resource("sim_network", "d", "sim", json!([{ "attributes": { "id": "x" } }])),
            resource("random_integer", "e", "random", json!([{ "attributes": { "min": "many" } }])),
            resource("random_integer", "f", "random", json!([{ "attributes": { "min": 1e30 } }])),
            resource("local_file", "g", "local", json!([{ "attributes": { "sensitive_content": "s", "filename": "f" } }])),
            { "mode": "data", "type": "aws_ami", "name": "d", "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]", "instances": [{}] },
        ]));
        let reasons: Vec<String> = taken.refused.iter().map(|(addr, why)| format!("{addr}: {why}")).collect();
        insta::assert_snapshot!(reasons.join("\n"));
        assert_eq!(taken.state.objects.len(), 1);
        assert_eq!(taken.notes, ["Data sources are read anew: 1 of them were left out."]);
        let version = |v: u64| take(&json!({ "version": v }), &registry()).unwrap_err();
        assert!(version(3).contains("Terraform 0.13"));
        assert!(take(&json!({ "encrypted_data": "x" }), &registry()).unwrap_err().contains("encrypted"));
        assert!(take(&json!([]), &registry()).is_err());
    }

    #[test]
    fn the_nearest_of_what_an_object_depends_on_is_kept() {
        let pet = |name: &str, keys: &[Json], depends: &[&str]| {
            let instances: Vec<Json> = keys
                .iter()
                .map(|k| json!({ "index_key": k, "attributes": { "id": "x", "length": 2, "separator": "-" }, "dependencies": depends }))
                .collect();
            resource("random_pet", name, "random", instances.into())
        };
        let mut inner = pet("inner", &[Json::Null], &["random_pet.a", "random_pet.b"]);
        inner["module"] = "module.m[0]".into();
        let taken = taken(json!([
            pet("a", &[0.into(), 1.into()], &["random_pet.a"]),
            pet("b", &[Json::Null], &["random_pet.a", "data.x.y", "aws_vpc.gone"]),
            pet("c", &[Json::Null], &["random_pet.a", "random_pet.b", "module.m.random_pet.inner"]),
            inner,
        ]));
        let of = |at: &str| -> Vec<String> {
            let addr: InstanceAddr = at.parse().unwrap();
            taken.state.objects[&addr].dependencies.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("random_pet.a[0]"), [""; 0]);
        assert_eq!(of("random_pet.b"), ["random_pet.a"]);
        assert_eq!(of("module.m[0].random_pet.inner"), ["random_pet.b"]);
        assert_eq!(of("random_pet.c"), ["module.m[0].random_pet.inner"]);
    }

    #[test]
    fn providers_and_marks_are_read_as_terraform_writes_them() {
        let key = |text: &str| provider(text).map(|k| k.to_string());
        assert_eq!(key("provider[\"terraform.io/builtin/terraform\"]").as_deref(), Some("terraform"));
        assert_eq!(key("module.m.provider[\"r.io/h/random\"].west").as_deref(), Some("module.m.random.west"));
        assert_eq!(key("random"), None);
        let value = Value::object([
            ("a", Value::tuple([Value::from("x"), "secret".into()])),
            ("b", Value::map(Type::String, [("k", Value::from("secret")), ("l", "y".into())])),
        ]);
        let step = |name: &str| json!({ "type": "get_attr", "value": name });
        let index = json!({ "type": "index", "value": { "value": 1, "type": "number" } });
        let marked = mark(
            &mark(&value, &[step("a"), index]),
            &[step("b"), json!({ "type": "index", "value": { "value": "k", "type": "string" } })],
        );
        let text = format!("{marked:?}");
        assert!(!text.contains("secret") && text.contains('x') && text.contains('y'), "{text}");
        assert!(mark(&value, &[step("nowhere")]).is_sensitive_deep(), "in doubt, all of it");
    }
}
