//! containerd, ctr, crictl, and the versions of haproxy, keepalived and kubelet.

use super::{Cx, Status, getopt};
use crate::host::{haproxy, keepalived};

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "containerd" => containerd(cx),
        "runc" => {
            cx.out(format!("runc version {} (simulated)\nspec: 1.0.2-dev\n", cx.version));
            Ok(0)
        }
        "ctr" | "crictl" => crictl(cx),
        "haproxy" => haproxy_program(cx),
        "keepalived" => keepalived_program(cx),
        "kubelet" => {
            if cx.args.iter().any(|a| a == "--version") {
                cx.out(format!("Kubernetes v{}\n", cx.version));
                Ok(0)
            } else {
                Err(cx.unsupported("running it by hand"))
            }
        }
        _ => return None,
    })
}

fn containerd(cx: &mut Cx<'_>) -> Status {
    match cx.args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--version" | "-v"] => {
            cx.out(format!("containerd github.com/containerd/containerd {} simulated\n", cx.version));
            Ok(0)
        }
        ["config", "default"] => {
            cx.out(CONFIG_DEFAULT);
            Ok(0)
        }
        ["config", "dump"] => {
            let text = cx.host(|h, _| h.files.text("/etc/containerd/config.toml"));
            cx.out(text);
            Ok(0)
        }
        _ => Err(cx.unsupported("this command")),
    }
}

/// The parts of containerd 1.6's default configuration that scripts edit.
const CONFIG_DEFAULT: &str = "disabled_plugins = []
imports = []
oom_score = 0
root = \"/var/lib/containerd\"
state = \"/run/containerd\"
version = 2

[grpc]
  address = \"/run/containerd/containerd.sock\"

[plugins]

  [plugins.\"io.containerd.grpc.v1.cri\"]
    restrict_oom_score_adj = false
    sandbox_image = \"registry.k8s.io/pause:3.6\"

    [plugins.\"io.containerd.grpc.v1.cri\".cni]
      bin_dir = \"/opt/cni/bin\"
      conf_dir = \"/etc/cni/net.d\"

    [plugins.\"io.containerd.grpc.v1.cri\".containerd]
      default_runtime_name = \"runc\"

      [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes]

        [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]
          runtime_type = \"io.containerd.runc.v2\"

          [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]
            SystemdCgroup = false

    [plugins.\"io.containerd.grpc.v1.cri\".registry]
      config_path = \"\"
";

fn crictl(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "r:i:n:qao:",
        &[
            "runtime-endpoint=",
            "image-endpoint=",
            "namespace=",
            "timeout=",
            "name=",
            "quiet",
            "output=",
            "all",
            "state=",
            "address=",
            "version",
            "label=",
            "pod=",
            "latest",
            "tail=",
        ],
    )
    .map_err(|e| cx.fail(1, e))?;
    if opts.has(&["version"]) {
        cx.out(format!("{} version v{} (simulated)\n", cx.name, cx.version));
        return Ok(0);
    }
    if cx.name == "crictl" && !cx.host(|h, _| h.cri_enabled()) {
        cx.err("FATA[0000] validate service connection: validate CRI v1 runtime API for endpoint \"unix:///run/containerd/containerd.sock\": rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused\"\n");
        return Err(1);
    }
    if cx.name == "ctr" && !cx.host(|h, _| h.active("containerd")) {
        cx.err("ctr: failed to dial \"/run/containerd/containerd.sock\": connection refused\n");
        return Err(1);
    }
    let words: Vec<&str> = opts.rest.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version"] => {
            let version = cx.host(|h, _| h.program_version("containerd").unwrap_or_default());
            cx.out(format!("Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  {version}\nRuntimeApiVersion:  v1\n"));
            Ok(0)
        }
        ["info"] => {
            let json = serde_json::json!({"status": {"conditions": [{"type": "RuntimeReady", "status": true}, {"type": "NetworkReady", "status": cx.host(|h, _| h.cni_configured())}]}});
            cx.out(format!("{json:#}\n"));
            Ok(0)
        }
        ["pull", image] | ["images" | "image" | "i", "pull", image] => {
            cx.host_mut(|h, _| h.images.insert((*image).to_owned()));
            cx.out(format!("Image is up to date for {image} (simulated)\n"));
            Ok(0)
        }
        ["images" | "image" | "img"] | ["images" | "image" | "i", "ls" | "list"] => {
            let images = cx.host(|h, _| h.images.clone());
            if opts.has(&["q", "quiet"]) {
                cx.out(images.iter().map(|i| format!("{i}\n")).collect::<String>());
            } else {
                cx.out("IMAGE                                TAG                 IMAGE ID            SIZE\n");
                for image in images {
                    let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
                    cx.out(format!("{name}  {tag}  simulated  1MB\n"));
                }
            }
            Ok(0)
        }
        ["ps" | "pods", ..] => {
            let pods = cx.host(|h, _| match &h.node {
                Some(n) if n.pods_up && n.api_port.is_some() => {
                    vec!["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
                }
                _ => Vec::new(),
            });
            let wanted = opts.value(&["name"]).map(str::to_owned);
            let quiet = opts.has(&["q", "quiet"]);
            if !quiet {
                cx.out(
                    "CONTAINER           IMAGE               CREATED             STATE               NAME\n",
                );
            }
            for pod in pods.into_iter().filter(|p| wanted.as_deref().is_none_or(|w| p.contains(w))) {
                cx.out(if quiet {
                    format!("{pod}-simulated\n")
                } else {
                    format!(
                        "simulated           {pod}           1 minute ago        Running             {pod}\n"
                    )
                });
            }
            Ok(0)
        }
        ["rmi" | "rmp" | "stopp" | "rm" | "stop" | "config", ..] => Ok(0),
        ["logs", ..] => Ok(0),
        _ => Err(cx.unsupported(format!("`{}`", words.join(" ")))),
    }
}

fn haproxy_program(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "cvVf:dqWDx:S:", &[]).map_err(|e| cx.fail(1, e))?;
    if opts.has(&["v"]) {
        cx.out(format!("HAProxy version {}-1+deb12u2 (simulated) - https://haproxy.org/\n", cx.version));
        return Ok(0);
    }
    if !opts.has(&["c"]) {
        return Err(cx.unsupported("running it by hand (use systemctl)"));
    }
    let Some(file) = opts.value(&["f"]).map(str::to_owned) else {
        return Err(cx.fail(1, "no configuration file given"));
    };
    let tag = "(4242) : ";
    let text = match cx.read(&file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            cx.err(format!(
                "[ALERT]    {tag}config : Cannot open configuration file/directory {file} : {e}\n"
            ));
            return Err(1);
        }
    };
    let machine = cx.sh.machine.clone();
    let report =
        cx.sh.state(|s| haproxy::check(&file, &text, |name| s.resolve_name(&machine, name).is_some()));
    if !report.alerts.is_empty() || !report.warnings.is_empty() {
        cx.err(format!("[NOTICE]   {tag}haproxy version is {}-1+deb12u2\n", cx.version));
    }
    for warning in &report.warnings {
        cx.err(format!("[WARNING]  {tag}{warning}\n"));
    }
    for alert in &report.alerts {
        cx.err(format!("[ALERT]    {tag}{alert}\n"));
    }
    if !report.alerts.is_empty() {
        return Err(1);
    }
    if report.config.binds().next().is_none() {
        if !report.warnings.is_empty() {
            cx.out("Warnings were found.\n");
        }
        cx.out("Configuration file has no error but will not start (no listener) => exit(2).\n");
        return Err(2);
    }
    if !opts.has(&["q"]) {
        if !report.warnings.is_empty() {
            cx.out("Warnings were found.\n");
        }
        cx.out("Configuration file is valid\n");
    }
    Ok(0)
}

fn keepalived_program(cx: &mut Cx<'_>) -> Status {
    let opts =
        getopt(cx.args, "tvf:lDn", &["config-test?", "version", "use-file="]).map_err(|e| cx.fail(1, e))?;
    if opts.has(&["v", "version"]) {
        cx.err(format!("Keepalived v{} (simulated)\n", cx.version));
        return Ok(0);
    }
    if !opts.has(&["t", "config-test"]) {
        return Err(cx.unsupported("running it by hand (use systemctl)"));
    }
    let file = opts.value(&["f", "use-file"]).unwrap_or("/etc/keepalived/keepalived.conf").to_owned();
    let text = cx.read(&file).map_err(|e| cx.fail(1, format!("{file}: {e}")))?;
    match keepalived::parse(&String::from_utf8_lossy(&text)) {
        Ok(_) => Ok(0),
        Err(e) => Err(cx.fail(1, e)),
    }
}
