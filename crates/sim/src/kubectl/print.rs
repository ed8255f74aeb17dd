//! kubectl's tables and formats.

use serde_json::Value;

use crate::cluster::kinds::Kind;
use crate::cluster::objects::text;

/// `-o json`, `-o yaml`, `-o jsonpath=…`; an error for what is none of these.
pub(super) fn formatted(output: &str, value: &Value) -> Result<String, String> {
    if let Some(template) = output.strip_prefix("jsonpath=") {
        return super::jsonpath::fill(template, value);
    }
    match output {
        "json" => Ok(format!("{value:#}\n")),
        "yaml" => Ok(crate::yaml::write(value)),
        other => Err(format!(
            "error: unable to match a printer suitable for the output format \"{other}\" (simulated host)"
        )),
    }
}

/// Age of an object, as `5m`.
fn age(object: &Value, now: i64) -> String {
    let stamp = text(object, "/metadata/creationTimestamp");
    crate::kubeadm::short_age(stamp, now)
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object();
    let mut roles: Vec<&str> = labels
        .into_iter()
        .flatten()
        .filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    roles.sort_unstable();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn node_status(node: &Value) -> String {
    let ready = if crate::cluster::nodes::is_ready(node) { "Ready" } else { "NotReady" };
    let closed = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{ready}{closed}")
}

/// Head and rows of a table.
fn rows(kind: &Kind, objects: &[Value], wide: bool, now: i64) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let name = |o: &Value| text(o, "/metadata/name").to_owned();
    match kind.kind.as_str() {
        "Node" => {
            let mut head = vec!["NAME", "STATUS", "ROLES", "AGE", "VERSION"];
            if wide {
                head.extend([
                    "INTERNAL-IP",
                    "EXTERNAL-IP",
                    "OS-IMAGE",
                    "KERNEL-VERSION",
                    "CONTAINER-RUNTIME",
                ]);
            }
            let row = |o: &Value| {
                let info = |key: &str| text(o, &format!("/status/nodeInfo/{key}")).to_owned();
                let mut row = vec![name(o), node_status(o), roles(o), age(o, now), info("kubeletVersion")];
                if wide {
                    let address = o["status"]["addresses"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .find(|a| a["type"] == "InternalIP");
                    row.push(
                        address
                            .map(|a| text(a, "/address").to_owned())
                            .unwrap_or_else(|| "<none>".to_owned()),
                    );
                    row.extend([
                        "<none>".to_owned(),
                        info("osImage"),
                        info("kernelVersion"),
                        info("containerRuntimeVersion"),
                    ]);
                }
                row
            };
            (head, objects.iter().map(row).collect())
        }
        "Pod" => {
            let mut head = vec!["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
            if wide {
                head.extend(["IP", "NODE"]);
            }
            let row = |o: &Value| {
                let statuses: Vec<&Value> =
                    o["status"]["containerStatuses"].as_array().into_iter().flatten().collect();
                let total = o["spec"]["containers"].as_array().map_or(0, Vec::len);
                let ready = statuses.iter().filter(|s| s["ready"] == true).count();
                let waiting =
                    statuses.iter().find_map(|s| s.pointer("/state/waiting/reason").and_then(Value::as_str));
                let phase = match text(o, "/status/phase") {
                    "Succeeded" => "Completed",
                    other => other,
                };
                let status = waiting.unwrap_or(phase);
                let restarts = statuses.first().and_then(|s| s["restartCount"].as_u64()).unwrap_or(0);
                let mut row = vec![
                    name(o),
                    format!("{ready}/{total}"),
                    status.to_owned(),
                    restarts.to_string(),
                    age(o, now),
                ];
                if wide {
                    let or_none = |t: &str| if t.is_empty() { "<none>".to_owned() } else { t.to_owned() };
                    row.extend([or_none(text(o, "/status/podIP")), or_none(text(o, "/spec/nodeName"))]);
                }
                row
            };
            (head, objects.iter().map(row).collect())
        }
        "Deployment" | "StatefulSet" => {
            let row = |o: &Value| {
                let n = |p: &str| o["status"][p].as_u64().unwrap_or(0);
                let wanted = o["spec"]["replicas"].as_u64().unwrap_or(1);
                vec![
                    name(o),
                    format!("{}/{wanted}", n("readyReplicas")),
                    n("updatedReplicas").to_string(),
                    n("availableReplicas").to_string(),
                    age(o, now),
                ]
            };
            (vec!["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], objects.iter().map(row).collect())
        }
        "DaemonSet" => {
            let row = |o: &Value| {
                let n = |p: &str| o["status"][p].as_u64().unwrap_or(0).to_string();
                vec![
                    name(o),
                    n("desiredNumberScheduled"),
                    n("currentNumberScheduled"),
                    n("numberReady"),
                    n("updatedNumberScheduled"),
                    n("numberAvailable"),
                    age(o, now),
                ]
            };
            (
                vec!["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"],
                objects.iter().map(row).collect(),
            )
        }
        "Namespace" => (
            vec!["NAME", "STATUS", "AGE"],
            objects.iter().map(|o| vec![name(o), text(o, "/status/phase").to_owned(), age(o, now)]).collect(),
        ),
        "Service" => {
            let row = |o: &Value| {
                let ports = o["spec"]["ports"].as_array().into_iter().flatten().map(|p| {
                    let node = p["nodePort"].as_u64().map(|n| format!(":{n}")).unwrap_or_default();
                    format!("{}{node}/{}", p["port"], p["protocol"].as_str().unwrap_or("TCP"))
                });
                vec![
                    name(o),
                    text(o, "/spec/type").to_owned(),
                    text(o, "/spec/clusterIP").to_owned(),
                    "<none>".to_owned(),
                    ports.collect::<Vec<_>>().join(","),
                    age(o, now),
                ]
            };
            (
                vec!["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
                objects.iter().map(row).collect(),
            )
        }
        _ => (vec!["NAME", "AGE"], objects.iter().map(|o| vec![name(o), age(o, now)]).collect()),
    }
}

/// A table of objects.
pub(super) fn table(
    kind: &Kind,
    objects: &[Value],
    wide: bool,
    head: bool,
    namespaces: bool,
    labels: bool,
    now: i64,
) -> String {
    let (mut columns, mut lines) = rows(kind, objects, wide, now);
    if namespaces && kind.namespaced {
        columns.insert(0, "NAMESPACE");
        for (line, object) in lines.iter_mut().zip(objects) {
            line.insert(0, text(object, "/metadata/namespace").to_owned());
        }
    }
    if labels {
        columns.push("LABELS");
        for (line, object) in lines.iter_mut().zip(objects) {
            let all = object["metadata"]["labels"].as_object().into_iter().flatten();
            let all: Vec<String> =
                all.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
            line.push(if all.is_empty() { "<none>".to_owned() } else { all.join(",") });
        }
    }
    let mut all: Vec<Vec<String>> = Vec::new();
    if head {
        all.push(columns.iter().map(|c| (*c).to_owned()).collect());
    }
    all.extend(lines);
    let widths: Vec<usize> = (0..columns.len())
        .map(|n| all.iter().filter_map(|l| l.get(n)).map(String::len).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for line in all {
        let cells: Vec<String> = line
            .iter()
            .enumerate()
            .map(
                |(n, c)| {
                    if n + 1 == line.len() { c.clone() } else { format!("{c:<width$}", width = widths[n]) }
                },
            )
            .collect();
        out.push_str(cells.join("   ").trim_end());
        out.push('\n');
    }
    out
}

/// `custom-columns=A:.path,B:.path`.
pub(super) fn custom(spec: &str, objects: &[Value], head: bool) -> Result<String, String> {
    let columns: Vec<(&str, &str)> = spec.split(',').map(|c| c.split_once(':').unwrap_or((c, ""))).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    if head {
        lines.push(columns.iter().map(|(n, _)| (*n).to_owned()).collect());
    }
    for object in objects {
        let mut line = Vec::new();
        for (_, path) in &columns {
            let value = super::jsonpath::fill(&format!("{{{path}}}"), object)?;
            line.push(if value.is_empty() { "<none>".to_owned() } else { value });
        }
        lines.push(line);
    }
    let widths: Vec<usize> =
        (0..columns.len()).map(|n| lines.iter().map(|l| l[n].len()).max().unwrap_or(0)).collect();
    let show = |line: &Vec<String>| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        format!("{}\n", cells.join("   ").trim_end())
    };
    Ok(lines.iter().map(show).collect())
}
