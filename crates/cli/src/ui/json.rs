//! Plans and states for programs, in the shape of `terraform show -json`.
//!
//! One thing differs on purpose: sensitive values are left out (null), here as everywhere; `before_sensitive`, `after_sensitive` and
//! `sensitive_values` say where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_plan::{Action, Change, Open, OpenReason, OutputChange, Plan, Reason};
use grappe_provider::Registry;
use grappe_state::{Object, State};
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode};
use grappe_value::{Kind, Marks, Value, wire};
use serde_json::{Map, Value as Json, json};

use crate::commands::decode_object;

/// A plan.
#[must_use]
pub fn plan(plan: &Plan, state: &State, registry: &Registry) -> Json {
    let resources: Vec<Json> = plan.changes.iter().map(|c| change(c, plan, registry)).collect();
    let drift: Vec<Json> = plan
        .drift
        .iter()
        .map(|d| {
            let actions = if d.after.is_none() { json!(["delete"]) } else { json!(["update"]) };
            resource_change(&d.addr, None, &actions, d.before.as_ref(), d.after.as_ref(), registry)
        })
        .collect();
    let outputs: Map<String, Json> =
        plan.outputs.iter().map(|(name, output)| (name.to_string(), output_change(output))).collect();
    json!({
        "format_version": "1.2",
        "grappe_version": env!("CARGO_PKG_VERSION"),
        "applyable": !plan.is_empty(),
        "variables": plan.variables.iter().map(|(k, v)| (k.to_string(), json!({ "value": visible(v) }))).collect::<Map<_, _>>(),
        "resource_changes": resources,
        "resource_drift": drift,
        "output_changes": outputs,
        "complete": plan.open.is_empty(),
        "open": plan.open.iter().map(open).collect::<Vec<_>>(),
        "open_outputs": plan.open_outputs,
        "prior_state": self::state(state, registry),
        "timestamp": plan.timestamp,
    })
}

/// Something that a plan leaves open, with the reason by Terraform's name.
#[must_use]
pub fn open(open: &Open) -> Json {
    let reason = match open.why {
        OpenReason::Count | OpenReason::ForEach => "instance_count_unknown",
        OpenReason::Provider => "provider_config_unknown",
        OpenReason::Import => "resource_config_unknown",
        OpenReason::Dependencies => "deferred_prereq",
    };
    json!({
        "address": open.what.to_string(),
        "reason": reason,
        "waits_for": open.on.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "objects": open.objects,
    })
}

/// A state.
#[must_use]
pub fn state(state: &State, registry: &Registry) -> Json {
    let mut modules: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    let current = state.objects.iter().map(|(addr, object)| (addr, None, object));
    let deposed = state.deposed.iter().map(|((addr, key), object)| (addr, Some(key), object));
    for (addr, key, object) in current.chain(deposed) {
        let module = addr.resource.module.to_string();
        modules.entry(module).or_default().push(stored(addr, key, object, registry));
    }
    let root = modules.remove("").unwrap_or_default();
    let children: Vec<Json> = modules
        .into_iter()
        .map(|(address, resources)| json!({ "address": address, "resources": resources }))
        .collect();
    json!({
        "format_version": "1.0",
        "grappe_version": env!("CARGO_PKG_VERSION"),
        "lineage": state.lineage,
        "serial": state.serial,
        "values": { "outputs": outputs(state), "root_module": { "resources": root, "child_modules": children } },
    })
}

/// The outputs of a state.
#[must_use]
pub fn outputs(state: &State) -> Json {
    let outputs: Map<String, Json> = state
        .outputs
        .iter()
        .map(|(name, output)| {
            let value = wire::decode(&output.value, &output.ty).unwrap_or(Value::NULL);
            let value = if output.sensitive { Json::Null } else { visible(&value) };
            let ty = wire::type_to_json(&output.ty);
            (name.clone(), json!({ "sensitive": output.sensitive, "type": ty, "value": value }))
        })
        .collect();
    Json::Object(outputs)
}

fn stored(addr: &InstanceAddr, deposed: Option<&String>, object: &Object, registry: &Registry) -> Json {
    let value = decode_object(registry, addr, object);
    let mut out = address(addr, registry);
    out["schema_version"] = object.schema_version.into();
    out["values"] = visible(&value);
    out["sensitive_values"] = marked(&value).unwrap_or_else(|| json!({}));
    if !object.dependencies.is_empty() {
        out["depends_on"] = object.dependencies.iter().map(ToString::to_string).collect();
    }
    if object.tainted {
        out["tainted"] = true.into();
    }
    if let Some(key) = deposed {
        out["deposed_key"] = key.as_str().into();
    }
    out
}

/// One change, as `plan -json` and `show -json` give it.
#[must_use]
pub fn change(change: &Change, plan: &Plan, registry: &Registry) -> Json {
    let actions = actions(change.action);
    let mut out = resource_change(
        &change.addr,
        change.deposed.as_ref(),
        &actions,
        change.before.as_ref(),
        change.after.as_ref(),
        registry,
    );
    if let Some(from) = plan.moved_from(&change.addr).filter(|_| change.deposed.is_none()) {
        out["previous_address"] = from.to_string().into();
    }
    if let Some(id) = &change.importing {
        out["change"]["importing"] = json!({ "id": visible(id) });
    }
    // That all goes needs no reason for each.
    if let Some(reason) = change.reason.as_ref().filter(|reason| **reason != Reason::Destroy) {
        out["action_reason"] = action_reason(reason).into();
        if let Some(text) = super::plan::because(reason) {
            out["action_reason_text"] = text.into();
        }
        if let Reason::Attributes(paths) = reason {
            out["change"]["replace_paths"] = paths.iter().map(ToString::to_string).collect();
        }
    }
    out
}

fn resource_change(
    addr: &InstanceAddr,
    deposed: Option<&Arc<str>>,
    actions: &Json,
    before: Option<&Value>,
    after: Option<&Value>,
    registry: &Registry,
) -> Json {
    let side = |v: Option<&Value>| v.map_or(Json::Null, visible);
    let sensitive = |v: Option<&Value>| v.map_or(json!(false), |v| marked(v).unwrap_or_else(|| json!({})));
    let mut out = address(addr, registry);
    if let Some(key) = deposed {
        out["deposed"] = (**key).into();
    }
    out["change"] = json!({
        "actions": actions,
        "before": side(before),
        "after": side(after),
        "after_unknown": after.map_or(json!(false), |v| unknown(v).unwrap_or_else(|| json!({}))),
        "before_sensitive": sensitive(before),
        "after_sensitive": sensitive(after),
    });
    out
}

/// An output's change.
#[must_use]
pub fn output_change(output: &OutputChange) -> Json {
    let side = |v: &Option<Value>| match v {
        Some(v) if !output.sensitive => visible(v),
        _ => Json::Null,
    };
    json!({
        "actions": actions(output.action),
        "before": side(&output.before),
        "after": side(&output.after),
        "after_unknown": output.after.as_ref().is_some_and(|v| !v.is_wholly_known()),
        "before_sensitive": output.sensitive,
        "after_sensitive": output.sensitive,
    })
}

/// As Terraform names what happens.
#[must_use]
pub fn actions(action: Action) -> Json {
    match action {
        Action::NoOp => json!(["no-op"]),
        Action::Create => json!(["create"]),
        Action::Update | Action::Provision => json!(["update"]),
        Action::Replace { create_first: false } => json!(["delete", "create"]),
        Action::Replace { create_first: true } => json!(["create", "delete"]),
        Action::Delete => json!(["delete"]),
        Action::Read => json!(["read"]),
        Action::Forget => json!(["forget"]),
    }
}

/// Terraform's names where it has one.
fn action_reason(reason: &Reason) -> &'static str {
    match reason {
        Reason::Attributes(_) => "replace_because_cannot_update",
        Reason::Tainted => "replace_because_tainted",
        Reason::Requested => "replace_by_request",
        Reason::TriggeredBy(_) => "replace_by_triggers",
        Reason::NotInConfiguration => "delete_because_no_resource_config",
        Reason::ModuleNotInConfiguration => "delete_because_no_module",
        Reason::NoMoveTarget => "delete_because_no_move_target",
        Reason::IndexOutOfCount => "delete_because_count_index",
        Reason::KeyNotInForEach => "delete_because_each_key",
        Reason::RepetitionChanged => "delete_because_wrong_repetition",
        Reason::ArgumentsUnknown => "read_because_config_unknown",
        Reason::DependenciesChange => "read_because_dependency_pending",
        Reason::GoneOutside => "create_because_gone",
        Reason::Destroy => "delete_because_destroy",
        Reason::Deposed => "delete_because_deposed",
        Reason::Abandoned | Reason::AbandonedFound => "delete_because_abandoned",
        Reason::Resumed | Reason::ResumedFound => "create_because_resumed",
        Reason::Supplants => "create_because_abandoned",
        Reason::StepsLeft { .. } => "update_because_steps_left",
    }
}

fn address(addr: &InstanceAddr, registry: &Registry) -> Json {
    let resource = &addr.resource;
    let provider = registry.owner(resource.mode, &resource.ty);
    let mode = match resource.mode {
        Mode::Managed => "managed",
        Mode::Data => "data",
        Mode::Ephemeral => "ephemeral",
    };
    let mut out = json!({
        "address": addr.to_string(),
        "mode": mode,
        "type": &*resource.ty,
        "name": &*resource.name,
        "provider_name": provider,
    });
    if !resource.module.is_root() {
        out["module_address"] = resource.module.to_string().into();
    }
    match &addr.key {
        InstanceKey::None => {}
        InstanceKey::Int(n) => out["index"] = (*n).into(),
        InstanceKey::Str(key) => out["index"] = (**key).into(),
    }
    out
}

/// The value as JSON, sensitive and unknown parts left out.
fn visible(value: &Value) -> Json {
    if value.marks().contains(Marks::SENSITIVE) {
        return Json::Null;
    }
    match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            items.iter().map(visible).collect()
        }
        Kind::Map(_, entries) | Kind::Object(entries) => Json::Object(
            entries
                .iter()
                .filter(|(_, v)| !v.is_unknown() || v.is_sensitive_deep())
                .map(|(k, v)| (k.to_string(), visible(v)))
                .collect(),
        ),
        // A number stays one: whoever reads JSON has the nearest that fits. (Only those beyond all doubles are text.)
        Kind::Number(n) => match (n.as_i64(), n.to_string().parse::<u64>()) {
            (Some(n), _) => n.into(),
            (None, Ok(n)) => n.into(),
            _ => serde_json::Number::from_f64(n.to_f64()).map_or_else(|| n.to_string().into(), Json::Number),
        },
        _ => grappe_value::json::to_json(value),
    }
}

/// True where a part is sensitive; only the way to such parts is there.
fn marked(value: &Value) -> Option<Json> {
    skeleton(value, &|v| v.marks().contains(Marks::SENSITIVE))
}

/// True where a part is unknown.
fn unknown(value: &Value) -> Option<Json> {
    skeleton(value, &Value::is_unknown)
}

fn skeleton(value: &Value, is: &dyn Fn(&Value) -> bool) -> Option<Json> {
    if is(value) {
        return Some(true.into());
    }
    match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            let parts: Vec<Option<Json>> = items.iter().map(|v| skeleton(v, is)).collect();
            let any = parts.iter().any(Option::is_some);
            any.then(|| parts.into_iter().map(|p| p.unwrap_or(false.into())).collect())
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let parts: Map<String, Json> =
                entries.iter().filter_map(|(k, v)| Some((k.to_string(), skeleton(v, is)?))).collect();
            (!parts.is_empty()).then_some(Json::Object(parts))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use grappe_value::Type;

    use super::*;

    #[test]
    fn secrets_and_unknowns_are_named_not_shown() {
        let value = Value::object([
            ("user", Value::from("root")),
            ("password", Value::from("hunter2").sensitive()),
            ("id", Value::unknown(Type::String)),
            ("keys", Value::tuple(["a".into(), Value::from("b").sensitive()])),
        ]);
        assert_eq!(visible(&value), json!({ "user": "root", "password": null, "keys": ["a", null] }));
        assert_eq!(marked(&value), Some(json!({ "password": true, "keys": [false, true] })));
        assert_eq!(unknown(&value), Some(json!({ "id": true })));
        assert_eq!(marked(&Value::from(1)), None);
    }

    #[test]
    fn a_number_is_a_number_however_long() {
        let numbers = [
            "1",
            "1.5",
            "18446744073709551615",
            "123456789012345678901234567890",
            "0.3333333333333333333333",
        ];
        for text in numbers {
            let value = Value::from(text.parse::<grappe_value::Number>().unwrap());
            assert_eq!(visible(&value).as_f64(), Some(text.parse().unwrap()), "{text}");
        }
    }
}
