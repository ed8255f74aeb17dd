//! `kubectl exec` and `kubectl logs`: into the pods of etcd, which answer etcdctl.

use serde_json::Value;

use super::Kubectl;
use super::get::{find, not_found};
use super::wait::ready;
use crate::tools::Status;

pub(super) fn run(k: &mut Kubectl<'_, '_>, words: &[&str], command: &[String]) -> Status {
    let [pod, rest @ ..] = words else {
        return Err(k.fail("error: pod, type/name or --filename must be specified"));
    };
    let name = pod.strip_prefix("pod/").unwrap_or(pod).to_owned();
    // Old kubectl took the command without `--`.
    let command: Vec<String> =
        if command.is_empty() { rest.iter().map(|w| (*w).to_owned()).collect() } else { command.to_vec() };
    let namespace = k.namespace.clone();
    let Some(object) = k.with(|c| c.objects.get("Pod", &namespace, &name).cloned()) else {
        let kind = k.kind("pods")?;
        return Err(not_found(k, &kind, &name));
    };
    if !ready(&object) {
        return Err(k.fail("error: unable to upgrade connection: container not found"));
    }
    let words: Vec<&str> =
        command.iter().map(String::as_str).filter(|w| !w.contains('=') || w.starts_with('-')).collect();
    let words: Vec<&str> = words.into_iter().skip_while(|w| matches!(*w, "env" | "sh" | "-c")).collect();
    let component = object.pointer("/metadata/labels/component").and_then(Value::as_str).unwrap_or_default();
    if component != "etcd" || words.first() != Some(&"etcdctl") {
        return Err(k.cx.unsupported(format!("exec of `{}` in a pod", command.join(" "))));
    }
    let node = object.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let plain: Vec<&str> = words.iter().skip(1).copied().filter(|w| !w.starts_with('-')).collect();
    etcdctl(k, &node, &plain, &words)
}

fn etcdctl(k: &mut Kubectl<'_, '_>, node: &str, words: &[&str], all: &[&str]) -> Status {
    let members = k.with(|c| c.etcd.clone());
    let json = all.contains(&"-w=json")
        || all.windows(2).any(|w| matches!(w[0], "-w" | "--write-out") && w[1] == "json")
        || all.contains(&"--write-out=json");
    let words: Vec<&str> = words.iter().copied().filter(|w| *w != "json" && *w != "table").collect();
    match words.as_slice() {
        ["member", "list"] if json => {
            let list: Vec<Value> = members
                .iter()
                .map(|m| {
                    let id = u64::from_str_radix(&m.id, 16).unwrap_or(0);
                    let mut value = serde_json::json!({"ID": id, "name": m.name, "peerURLs": [format!("https://{}:2380", m.address)], "clientURLs": [format!("https://{}:2379", m.address)]});
                    if m.learner_until.is_some() {
                        value["isLearner"] = true.into();
                    }
                    value
                })
                .collect();
            k.out(format!("{}\n", serde_json::json!({"members": list})));
            Ok(0)
        }
        ["member", "list"] => {
            for m in members {
                k.out(format!(
                    "{}, started, {}, https://{a}:2380, https://{a}:2379, {}\n",
                    m.id,
                    m.name,
                    m.learner_until.is_some(),
                    a = m.address
                ));
            }
            Ok(0)
        }
        ["member", "remove", id] => {
            if !members.iter().any(|m| m.id == *id) {
                return Err(k.fail("Error: etcdserver: member not found"));
            }
            if members.len() == 1 {
                return Err(
                    k.fail("Error: etcdserver: re-configuration failed due to not enough started members")
                );
            }
            let machines: Vec<(String, bool)> =
                k.cx.sh.state(|s| members.iter().map(|m| (m.id.clone(), s.etcd_up(&m.machine))).collect());
            let left: Vec<_> = machines.iter().filter(|(i, _)| i != id).collect();
            let up = left.iter().filter(|(_, up)| *up).count();
            if up <= left.len() / 2 {
                return Err(
                    k.fail("Error: etcdserver: re-configuration failed due to not enough started members")
                );
            }
            k.change(|c, _| c.etcd.retain(|m| m.id != *id));
            k.out(format!("Member {id} removed from cluster simulated\n"));
            Ok(0)
        }
        ["member", "promote", _] => {
            Err(k.fail("Error: etcdserver: can only promote a learner member which is in sync with leader"))
        }
        ["endpoint", "health"] => {
            k.out("127.0.0.1:2379 is healthy: successfully committed proposal: took = 1ms\n");
            Ok(0)
        }
        ["endpoint", "status"] => {
            let id = members.iter().find(|m| m.name == node).map(|m| m.id.clone()).unwrap_or_default();
            k.out(format!("https://127.0.0.1:2379, {id}, 3.5.0, 1.0 MB, true, false, 2, 100, 100, \n"));
            Ok(0)
        }
        ["move-leader", _] => {
            k.out("Leadership transferred\n");
            Ok(0)
        }
        ["snapshot", "save", file] => {
            let (file, node) = ((*file).to_owned(), node.to_owned());
            k.cx.sh.state(|s| {
                let now = s.now() / 1000;
                let machine =
                    members.iter().find(|m| m.name == node).map(|m| m.machine.clone()).unwrap_or_default();
                if let Some(host) = s.host_mut(&machine) {
                    host.files.put(&file, "simulated snapshot of etcd\n", 0o600, now);
                }
            });
            k.out(format!("Snapshot saved at {}\n", words[2]));
            Ok(0)
        }
        _ => Err(k.cx.unsupported(format!("etcdctl {}", words.join(" ")))),
    }
}

pub(super) fn logs(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let [pod, ..] = words else {
        return Err(k.fail("error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'"));
    };
    let what = if pod.contains('/') { vec![*pod] } else { vec!["pods", pod] };
    let (found, _) = find(k, &what)?;
    for (_, object) in found {
        let statuses = object["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let waiting = statuses
            .iter()
            .find_map(|s| s.pointer("/state/waiting/message").and_then(Value::as_str).map(str::to_owned));
        k.out(format!(
            "{}\n",
            waiting.unwrap_or_else(|| "simulated: this container says nothing".to_owned())
        ));
    }
    Ok(0)
}
