//! `kubectl exec` and `kubectl logs`: into the pods of etcd, which answer etcdctl.

use serde_json::Value;

use super::Kubectl;
use super::get::{find, not_found};
use super::wait::ready;
use crate::tools::{Status, getopt};

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
    let start = command.iter().position(|w| !w.contains('=') && !matches!(w.as_str(), "env" | "sh" | "-c"));
    let (before, words) = command.split_at(start.unwrap_or(command.len()));
    let component = object.pointer("/metadata/labels/component").and_then(Value::as_str).unwrap_or_default();
    if component != "etcd" || words.first().map(String::as_str) != Some("etcdctl") {
        return Err(k.cx.unsupported(format!("exec of `{}` in a pod", command.join(" "))));
    }
    let node = object.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default().to_owned();
    etcdctl(k, &node, before, &words[1..])
}

/// etcdctl in the pod of a node's member.
fn etcdctl(k: &mut Kubectl<'_, '_>, node: &str, env: &[String], args: &[String]) -> Status {
    let long = [
        "endpoints=",
        "cacert=",
        "cert=",
        "key=",
        "write-out=",
        "command-timeout=",
        "dial-timeout=",
        "cluster",
        "hex",
        "debug",
    ];
    let opts = getopt(args, "w:", &long).map_err(|e| {
        k.fail(format!(
            "Error: {}",
            e.replace("unrecognized option '", "unknown flag: ").trim_end_matches('\'')
        ))
    })?;
    let members = k.with(|c| c.etcd.clone());
    let machine = members.iter().find(|m| m.name == node).map(|m| m.machine.clone()).unwrap_or_default();
    // A member lets in who shows a certificate of its authority.
    let shown = |name: &str| {
        let variable = format!("ETCDCTL_{}=", name.to_uppercase());
        let path = opts.value(&[name]).map(str::to_owned);
        path.or_else(|| env.iter().find_map(|w| w.strip_prefix(&variable).map(str::to_owned)))
    };
    let present = |path: Option<String>| {
        path.is_some_and(|p| k.cx.sh.state(|s| s.host(&machine).is_some_and(|h| h.files.exists(&p))))
    };
    if !["cacert", "cert", "key"].into_iter().all(|name| present(shown(name))) {
        k.err("{\"level\":\"warn\",\"caller\":\"clientv3/retry_interceptor.go:62\",\"msg\":\"retrying of unary invoker failed\",\"attempt\":0,\"error\":\"rpc error: code = DeadlineExceeded desc = latest balancer error: connection closed\"}\n");
        return Err(k.fail("Error: context deadline exceeded"));
    }
    let json = opts.value(&["w", "write-out"]) == Some("json");
    let words: Vec<&str> = opts.rest.iter().map(String::as_str).collect();
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
            let file = (*file).to_owned();
            let revision = k.with(|c| c.revision);
            k.cx.sh.state(|s| {
                let now = s.now() / 1000;
                // What else is written in the container goes with it.
                if let Some(host) = s.host_mut(&machine).filter(|_| file.starts_with("/var/lib/etcd/")) {
                    let text = format!("simulated snapshot of etcd at revision {revision}\n");
                    host.files.put(&file, text, 0o600, now);
                }
            });
            k.err(format!("{{\"level\":\"info\",\"caller\":\"snapshot/v3_snapshot.go:119\",\"msg\":\"created temporary db file\",\"path\":\"{file}.part\"}}\n{{\"level\":\"info\",\"caller\":\"snapshot/v3_snapshot.go:127\",\"msg\":\"fetching snapshot\",\"endpoint\":\"https://127.0.0.1:2379\"}}\n{{\"level\":\"info\",\"caller\":\"snapshot/v3_snapshot.go:152\",\"msg\":\"saved\",\"path\":\"{file}\"}}\n"));
            k.out(format!("Snapshot saved at {file}\n"));
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
