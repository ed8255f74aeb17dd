//! kubectl, on the host it is run on, with the kubeconfig that lies there.

mod delete;
mod drain;
mod edit;
mod exec;
mod get;
mod jsonpath;
mod print;
mod select;
mod wait;
mod write;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::access::{Access, Kubeconfig};
use crate::cluster::kinds::Kind;
use crate::cluster::versions;
use crate::tools::{Cx, Opts, Status, getopt};

/// Flags of all subcommands.
const LONG: &[&str] = &[
    "kubeconfig=",
    "namespace=",
    "context=",
    "server=",
    "request-timeout=",
    "output=",
    "all-namespaces",
    "selector=",
    "field-selector=",
    "ignore-not-found?",
    "no-headers",
    "raw=",
    "filename=",
    "server-side?",
    "field-manager=",
    "force-conflicts?",
    "force?",
    "wait?",
    "timeout=",
    "overwrite?",
    "all?",
    "ignore-daemonsets?",
    "delete-emptydir-data?",
    "delete-local-data?",
    "grace-period=",
    "disable-eviction?",
    "for=",
    "status?",
    "short?",
    "client?",
    "dry-run?",
    "prune?",
    "cascade?",
    "now?",
    "show-labels",
    "sort-by=",
    "watch?",
    "recursive?",
    "kustomize=",
    "validate?",
    "image=",
    "replicas=",
    "type=",
    "patch=",
    "subresource=",
    "container=",
    "stdin?",
    "tty?",
    "insecure-skip-tls-verify?",
    "token=",
    "as=",
    "user=",
    "cluster=",
    "v=",
    "from-literal=",
    "from-file=",
    "pod-selector=",
    "skip-wait-for-delete-timeout=",
    "chunk-size=",
    "tail=",
    "previous",
    "follow",
    "since=",
    "show-managed-fields?",
    "warnings-as-errors",
    "save-config?",
    "docker-server=",
    "list?",
    "resource-version=",
    "duration=",
    "template=",
    "allow-missing-template-keys?",
    "minify",
    "flatten",
];

/// What all subcommands work with.
struct Kubectl<'a, 'b> {
    cx: &'a mut Cx<'b>,
    opts: Opts,
    access: Access,
    /// `-n`, or the context's.
    namespace: String,
}

/// Runs kubectl.
pub(crate) fn run(cx: &mut Cx<'_>) -> Status {
    // `kubectl exec POD -- command`: what follows is not kubectl's.
    let split = cx.args.iter().position(|a| a == "--").unwrap_or(cx.args.len());
    let (mine, command) = cx.args.split_at(split);
    let command: Vec<String> = command.iter().skip(1).cloned().collect();
    let opts = match getopt(mine, "n:o:Al:f:s:wRc:itp:k:h", LONG) {
        Ok(opts) => opts,
        Err(e) => {
            let text = e
                .replace("unrecognized option '", "unknown flag: ")
                .replace("' (simulated host)", " (simulated host)");
            cx.err(format!("error: {text}\nSee 'kubectl --help' for usage.\n"));
            return Err(1);
        }
    };
    let words: Vec<String> = opts.rest.clone();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.first() == Some(&"version") && (opts.has(&["client"]) || !has_config(cx, &opts)) {
        return version(cx, &opts, None);
    }
    if words.first() == Some(&"config") {
        return config(cx, &opts, &words[1..]);
    }
    let (access, namespace) = match open(cx, &opts) {
        Ok(found) => found,
        Err(text) => {
            if words.first() == Some(&"version") {
                version(cx, &opts, None)?;
            }
            cx.err(format!("{text}\n"));
            return Err(1);
        }
    };
    let wanted = opts.value(&["n", "namespace"]).map(str::to_owned);
    let mut kubectl = Kubectl { namespace: wanted.unwrap_or(namespace), cx, opts, access };
    kubectl.reconcile();
    match words.as_slice() {
        [] => Ok(0),
        ["version"] => {
            let server = kubectl.access.server.clone();
            let server = kubectl.cx.sh.state(|s| s.server_version(&server));
            version(kubectl.cx, &kubectl.opts, Some(server))
        }
        ["get", rest @ ..] => get::run(&mut kubectl, rest),
        ["apply", rest @ ..] => write::apply(&mut kubectl, rest),
        ["create", rest @ ..] => write::create(&mut kubectl, rest),
        ["replace", rest @ ..] => write::apply(&mut kubectl, rest),
        ["delete", rest @ ..] => delete::run(&mut kubectl, rest),
        ["label" | "annotate", rest @ ..] => edit::label(&mut kubectl, words[0] == "annotate", rest),
        ["taint", rest @ ..] => edit::taint(&mut kubectl, rest),
        ["cordon" | "uncordon", rest @ ..] => drain::cordon(&mut kubectl, words[0] == "cordon", rest),
        ["drain", rest @ ..] => drain::run(&mut kubectl, rest),
        ["wait", rest @ ..] => wait::run(&mut kubectl, rest),
        ["rollout", rest @ ..] => wait::rollout(&mut kubectl, rest),
        ["scale", rest @ ..] => edit::scale(&mut kubectl, rest),
        ["patch", rest @ ..] => edit::patch(&mut kubectl, rest),
        ["exec", rest @ ..] => exec::run(&mut kubectl, rest, &command),
        ["logs", rest @ ..] => exec::logs(&mut kubectl, rest),
        ["describe", rest @ ..] => get::describe(&mut kubectl, rest),
        ["cluster-info"] => {
            let text = kubectl.with(|c| c.public_endpoint());
            kubectl.out(format!("Kubernetes control plane is running at https://{text}\n"));
            Ok(0)
        }
        ["auth", "can-i", ..] => {
            let admin = kubectl.access.is_admin();
            kubectl.out(if admin { "yes\n" } else { "no\n" });
            Ok(i32::from(!admin))
        }
        [
            "api-resources" | "api-versions" | "top" | "events" | "explain" | "run" | "expose" | "edit"
            | "diff" | "certificate" | "port-forward" | "proxy" | "debug" | "cp" | "set" | "autoscale",
            ..,
        ] => Err(kubectl.cx.unsupported(words[0])),
        [other, ..] => {
            kubectl.err(format!("error: unknown command \"{other}\" for \"kubectl\" (simulated host)\n"));
            Err(1)
        }
    }
}

fn config_path(cx: &Cx<'_>, opts: &Opts) -> String {
    let given = opts
        .value(&["kubeconfig"])
        .map(str::to_owned)
        .or_else(|| cx.sh.env("KUBECONFIG").filter(|k| !k.is_empty()).map(str::to_owned));
    given.unwrap_or_else(|| format!("{}/.kube/config", cx.sh.var("HOME").unwrap_or("/root")))
}

fn has_config(cx: &Cx<'_>, opts: &Opts) -> bool {
    cx.read(&config_path(cx, opts)).is_ok()
}

/// Reads the kubeconfig and reaches the API. Gives the context's namespace too.
fn open(cx: &mut Cx<'_>, opts: &Opts) -> Result<(Access, String), String> {
    let path = config_path(cx, opts);
    let text = match cx.read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) if !opts.has(&["kubeconfig"]) && cx.sh.env("KUBECONFIG").is_none_or(str::is_empty) => {
            return Err("The connection to the server localhost:8080 was refused - did you specify the right host or port?".to_owned());
        }
        Err(e) if opts.has(&["kubeconfig"]) => return Err(format!("error: stat {path}: {}", e.to_string().to_lowercase())),
        Err(_) => return Err("The connection to the server localhost:8080 was refused - did you specify the right host or port?".to_owned()),
    };
    let mut config =
        Kubeconfig::parse(&text).map_err(|e| format!("error: error loading config file \"{path}\": {e}"))?;
    if let Some(server) = opts.value(&["s", "server"]) {
        config.server = server.to_owned();
    }
    let machine = cx.sh.machine.clone();
    let access = cx.sh.state(|s| s.open_api(&machine, &config))?;
    Ok((access, config.namespace))
}

fn version(cx: &mut Cx<'_>, opts: &Opts, server: Option<String>) -> Status {
    let client = cx.version.to_owned();
    let info = |v: &str| json!({"major": "1", "minor": versions::minor(v).to_string(), "gitVersion": format!("v{v}"), "platform": "linux/amd64"});
    if opts.value(&["o", "output"]) == Some("json") {
        let mut value = json!({"clientVersion": info(&client)});
        if let Some(server) = &server {
            value["serverVersion"] = info(server);
        }
        cx.out(format!("{value:#}\n"));
    } else {
        cx.out(format!("Client Version: v{client}\n"));
        if let Some(server) = server {
            cx.out(format!("Server Version: v{server}\n"));
        }
    }
    Ok(0)
}

fn config(cx: &mut Cx<'_>, opts: &Opts, words: &[&str]) -> Status {
    let path = config_path(cx, opts);
    let text = match cx.read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    };
    match words {
        ["view"] if opts.has(&["raw", "flatten", "minify"]) || opts.value(&["o", "output"]).is_none() => {
            cx.out(text);
            Ok(0)
        }
        ["view"] => {
            let value = crate::yaml::parse(&text).unwrap_or_default();
            let output = opts.value(&["o", "output"]).unwrap_or_default().to_owned();
            let shown = print::formatted(&output, &value).map_err(|e| cx.fail(1, e))?;
            cx.out(shown);
            Ok(0)
        }
        ["current-context"] => {
            let value = crate::yaml::parse(&text).unwrap_or_default();
            cx.out(format!("{}\n", value["current-context"].as_str().unwrap_or_default()));
            Ok(0)
        }
        _ => Err(cx.unsupported("this config command")),
    }
}

/// Deletes a Node object.
pub(crate) fn remove_node(cluster: &mut Cluster, name: &str, now: i64) {
    let kind = Kind { kind: "Node".into(), plural: "nodes".into(), group: String::new(), namespaced: false };
    delete::remove(cluster, &kind, "", name, now);
}

/// `key=value:Effect`, `key:Effect`.
pub(crate) fn parse_taint(text: &str) -> Option<Value> {
    let (rest, effect) = text.rsplit_once(':')?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return None;
    }
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    let mut taint = json!({"key": key, "effect": effect});
    if !value.is_empty() {
        taint["value"] = value.into();
    }
    Some(taint)
}

impl Kubectl<'_, '_> {
    fn out(&mut self, text: impl AsRef<[u8]>) {
        self.cx.out(text);
    }

    fn err(&mut self, text: impl AsRef<[u8]>) {
        self.cx.err(text);
    }

    /// Prints a line to stderr and gives status 1.
    fn fail(&mut self, text: impl std::fmt::Display) -> i32 {
        self.cx.err(format!("{text}\n"));
        1
    }

    /// Reads the cluster; a cluster that is gone reads as an empty one of its id.
    fn with<R: Default>(&self, f: impl FnOnce(&Cluster) -> R) -> R {
        self.cx.sh.state(|s| s.clusters.get(&self.access.cluster).map(f).unwrap_or_default())
    }

    /// Changes the cluster.
    fn change<R: Default>(&self, f: impl FnOnce(&mut Cluster, i64) -> R) -> R {
        self.cx.sh.state(|s| {
            let now = s.now();
            s.clusters.get_mut(&self.access.cluster).map(|c| f(c, now)).unwrap_or_default()
        })
    }

    fn reconcile(&self) {
        self.cx.sh.state(|s| s.reconcile(&self.access.cluster));
    }

    /// The kind that a word means, or the complaint that there is none.
    fn kind(&mut self, word: &str) -> Result<Kind, i32> {
        match self.with(|c| c.kind_named(word)) {
            Some(kind) => Ok(kind),
            None => Err(self.fail(format!("error: the server doesn't have a resource type \"{word}\""))),
        }
    }

    /// Only admins write.
    fn must_write(&mut self, kind: &Kind) -> Result<(), i32> {
        if self.access.is_admin() {
            return Ok(());
        }
        let (user, plural) = (self.access.user.clone(), kind.plural.clone());
        Err(self.fail(format!("Error from server (Forbidden): {plural} is forbidden: User \"{user}\" cannot patch resource \"{plural}\" in API group \"{}\" at the cluster scope", kind.group)))
    }

    /// Time from `--timeout`, in real time.
    fn timeout(&self, default: &str) -> std::time::Duration {
        let text = self.opts.value(&["timeout"]).unwrap_or(default);
        duration(text).unwrap_or(std::time::Duration::from_secs(30))
    }

    /// Standard input or the files of `-f`, as objects.
    fn manifests(&mut self) -> Result<Vec<(String, Value)>, i32> {
        let files: Vec<String> =
            self.opts.values(&["f", "filename"]).iter().map(|s| (*s).to_owned()).collect();
        if files.is_empty() {
            return Err(self.fail("error: must specify one of -f and -k"));
        }
        let mut objects = Vec::new();
        for file in files {
            let label = if file == "-" { "STDIN".to_owned() } else { file.clone() };
            let bytes = match self.cx.read(&file) {
                Ok(bytes) => bytes,
                Err(_) => return Err(self.fail(format!("error: the path \"{file}\" does not exist"))),
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let documents = match crate::yaml::documents(&text) {
                Ok(documents) => documents,
                Err(e) => {
                    return Err(self.fail(format!(
                        "error: error parsing {label}: error converting YAML to JSON: yaml: {e}"
                    )));
                }
            };
            for document in documents {
                if document["kind"] == "List" {
                    objects.extend(
                        document["items"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .map(|o| (label.clone(), o.clone())),
                    );
                } else {
                    objects.push((label.clone(), document));
                }
            }
        }
        if objects.is_empty() {
            return Err(self.fail("error: no objects passed to apply"));
        }
        Ok(objects)
    }

    /// The kind and namespace of an object in a manifest.
    fn placed(&mut self, label: &str, object: &Value) -> Result<(Kind, String, String), i32> {
        let (api, kind) =
            (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if api.is_empty() || kind.is_empty() {
            let field = if kind.is_empty() { "kind" } else { "apiVersion" };
            return Err(self.fail(format!("error: error validating \"{label}\": error validating data: {field} not set; if you choose to ignore these errors, turn validation off with --validate=false")));
        }
        let Some(found) = self.with(|c| c.kind_of(api, kind)) else {
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            return Err(self.fail(format!("error: resource mapping not found for name: \"{name}\" namespace: \"{namespace}\" from \"{label}\": no matches for kind \"{kind}\" in version \"{api}\"\nensure CRDs are installed first")));
        };
        if name.is_empty() && object.pointer("/metadata/generateName").is_none() {
            return Err(self.fail(format!("error: error when retrieving current configuration of:\nResource: \"{api}, Resource={}\": resource name may not be empty", found.plural)));
        }
        let namespace = crate::cluster::apply::namespace_of(&found, object, &self.namespace);
        let explicit = self.opts.has(&["n", "namespace"]);
        if found.namespaced && explicit && namespace != self.namespace {
            let wanted = self.namespace.clone();
            return Err(self.fail(format!("error: the namespace from the provided object \"{namespace}\" does not match the namespace \"{wanted}\". You must pass '--namespace={namespace}' to perform this operation.")));
        }
        Ok((found, namespace, name))
    }
}

/// `deployment.apps/web`, `node/cp1`.
fn label_of(kind: &Kind, name: &str) -> String {
    let lower = kind.kind.to_lowercase();
    if kind.group.is_empty() { format!("{lower}/{name}") } else { format!("{lower}.{}/{name}", kind.group) }
}

/// `30s`, `2m`, `0`.
fn duration(text: &str) -> Option<std::time::Duration> {
    if text == "0" {
        return Some(std::time::Duration::ZERO);
    }
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    (0.0..1e7).contains(&seconds).then(|| std::time::Duration::from_secs_f64(seconds))
}
