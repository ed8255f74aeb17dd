//! What happens when systemd starts a unit: the daemons that matter read their configuration and may refuse.

use super::files::Actor;
use super::{Host, ServiceState, haproxy, keepalived, unit_name};

/// Why a unit did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// There is no such unit.
    NotFound,
    /// It is masked.
    Masked,
    /// The process ended with an error; its journal says why.
    Failed,
}

impl Host {
    /// Starts a unit (a running one is left alone).
    ///
    /// # Errors
    /// As systemd would fail.
    pub fn start_unit(&mut self, unit: &str, now_ms: i64) -> Result<(), StartError> {
        let unit = unit_name(unit);
        if self.masked(&unit) {
            return Err(StartError::Masked);
        }
        let file = self.unit_file(&unit).ok_or(StartError::NotFound)?;
        if self.active(&unit) {
            return Ok(());
        }
        let outcome = match unit.as_str() {
            "haproxy.service" => self.start_haproxy(),
            "keepalived.service" => self.start_keepalived(),
            "containerd.service" => self.start_containerd(),
            "kubelet.service" => Ok(self.start_kubelet()),
            _ => self.start_any(&file),
        };
        let (state, loaded, log) = match outcome {
            Ok((state, loaded)) => (state, loaded, vec![format!("Started {unit} (simulated).")]),
            Err(lines) => (ServiceState::Failed, None, lines),
        };
        let service = self.services.entry(unit.clone()).or_default();
        (service.state, service.since, service.loaded) = (state, now_ms, loaded);
        self.journal(&unit, log);
        self.mark_pods(&unit);
        if state == ServiceState::Failed { Err(StartError::Failed) } else { Ok(()) }
    }

    /// Stops a unit.
    pub fn stop_unit(&mut self, unit: &str, now_ms: i64) {
        let unit = unit_name(unit);
        if let Some(service) = self.services.get_mut(&unit)
            && service.state != ServiceState::Inactive
        {
            (service.state, service.since, service.loaded) = (ServiceState::Inactive, now_ms, None);
            self.journal(&unit, [format!("Stopped {unit} (simulated).")]);
        }
    }

    /// Links a unit into the target that its `[Install]` section names. True if something was linked.
    pub fn enable_unit(&mut self, unit: &str, now_ms: i64) -> Option<Vec<(String, String)>> {
        let unit = unit_name(unit);
        let file = self.unit_file(&unit)?;
        let text = self.files.text(&file);
        let mut made = Vec::new();
        for line in text.lines() {
            let (dir, targets) = match line.split_once('=') {
                Some(("WantedBy", t)) => ("wants", t),
                Some(("RequiredBy", t)) => ("requires", t),
                _ => continue,
            };
            for target in targets.split_whitespace() {
                let folder = format!("/etc/systemd/system/{target}.{dir}");
                self.files.make_dirs(&folder, now_ms / 1000);
                let link = format!("{folder}/{unit}");
                if self.files.symlink(&file, &link, Actor::root(now_ms / 1000)).is_ok() {
                    made.push((link, file.clone()));
                }
            }
        }
        Some(made)
    }

    /// Whether a local process already listens on a port, and which.
    pub fn listener(&self, port: u16) -> Option<&'static str> {
        if port == 22 {
            return Some("sshd");
        }
        if let Some(role) = &self.node {
            if role.api_port == Some(port) {
                return Some("kube-apiserver");
            }
            if role.api_port.is_some() {
                match port {
                    2379..=2381 => return Some("etcd"),
                    10257 => return Some("kube-controller"),
                    10259 => return Some("kube-scheduler"),
                    _ => {}
                }
            }
        }
        if port == 10250 && self.active("kubelet") {
            return Some("kubelet");
        }
        let binds = self.loaded("haproxy").map(|c| haproxy::check("", c, |_| true).config);
        binds.is_some_and(|c| c.binds().any(|(_, b)| b.port == port)).then_some("haproxy")
    }

    /// The configuration a running HAProxy goes by.
    pub fn haproxy_running(&self) -> Option<haproxy::Config> {
        self.loaded("haproxy").map(|c| haproxy::check("", c, |_| true).config)
    }

    /// Names that this host can resolve without a DNS server.
    pub fn knows_name(&self, name: &str) -> bool {
        name == "localhost"
            || name == self.hostname
            || self.etc_hosts().iter().any(|(_, n)| n.iter().any(|n| n == name))
    }

    fn start_haproxy(&mut self) -> Result<(ServiceState, Option<String>), Vec<String>> {
        const FILE: &str = "/etc/haproxy/haproxy.cfg";
        let text = self.files.text(FILE);
        let report = haproxy::check(FILE, &text, |name| self.knows_name(name));
        if !report.alerts.is_empty() {
            return Err(report
                .alerts
                .iter()
                .map(|a| format!("haproxy[100]: [ALERT]    (100) : {a}"))
                .collect());
        }
        if report.config.binds().next().is_none() {
            return Err(vec!["haproxy[100]: [ALERT]    (100) : config : no listener: exit(2)".to_owned()]);
        }
        let nonlocal = self.sysctl("net.ipv4.ip_nonlocal_bind").as_deref() == Some("1");
        for (proxy, bind) in report.config.binds() {
            let socket = |why: &str| {
                let (kind, name) = (&proxy.kind, &proxy.name);
                let address = if bind.address.is_empty() { "0.0.0.0" } else { &bind.address };
                vec![
                    format!("haproxy[100]: [ALERT]    (100) : Binding [{FILE}:{}] for {kind} {name}: cannot bind socket ({why}) for [{address}:{}]", proxy.line(), bind.port),
                    "haproxy[100]: [ALERT]    (100) : [haproxy.main()] Some protocols failed to start their listeners! Exiting.".to_owned(),
                ]
            };
            if self.listener(bind.port).is_some_and(|who| who != "haproxy") {
                return Err(socket("Address already in use"));
            }
            if !nonlocal && !self.is_local(&bind.address) {
                return Err(socket("Cannot assign requested address"));
            }
        }
        Ok((ServiceState::Active, Some(text)))
    }

    /// Whether an address to bind is this host's: none, loopback, a card's, or a VIP that keepalived may bring.
    fn is_local(&self, address: &str) -> bool {
        if address.is_empty()
            || address == "0.0.0.0"
            || address == "::"
            || address.starts_with("127.")
            || address == "::1"
        {
            return true;
        }
        let vip = self.loaded("keepalived").and_then(|c| keepalived::parse(c).ok()).unwrap_or_default();
        self.nics.iter().any(|n| n.ip.to_string() == address)
            || vip.iter().any(|i| i.addresses.iter().any(|a| a == address))
    }

    fn start_keepalived(&mut self) -> Result<(ServiceState, Option<String>), Vec<String>> {
        let text = self.files.text("/etc/keepalived/keepalived.conf");
        if text.is_empty() {
            return Err(vec![
                "Keepalived[100]: Unable to find configuration file /etc/keepalived/keepalived.conf (glob returned 3)".to_owned(),
            ]);
        }
        let instances = keepalived::parse(&text).map_err(|e| vec![format!("Keepalived_vrrp[101]: {e}")])?;
        for instance in &instances {
            if !self.nics.iter().any(|n| n.name == instance.interface) {
                return Err(vec![format!(
                    "Keepalived_vrrp[101]: ({}) interface {} doesn't exist",
                    instance.name, instance.interface
                )]);
            }
        }
        Ok((ServiceState::Active, Some(text)))
    }

    fn start_containerd(&mut self) -> Result<(ServiceState, Option<String>), Vec<String>> {
        let text = self.files.text("/etc/containerd/config.toml");
        let version = self.program_version("containerd").unwrap_or_default();
        let wanted = text.lines().find_map(|l| l.trim().strip_prefix("version")?.trim().strip_prefix('='));
        let newest = match version.split('.').collect::<Vec<_>>().as_slice() {
            ["1", ..] => 2,
            ["2", "0" | "1" | "2", ..] => 3,
            _ => 4,
        };
        if let Some(wanted) = wanted.map(|w| w.split('#').next().unwrap_or_default().trim()) {
            match wanted.parse::<u32>() {
                Ok(v) if (1..=newest).contains(&v) => {}
                _ => {
                    return Err(vec![format!(
                        "containerd[100]: containerd: failed to load TOML: expected containerd config version at most {newest}, got `{wanted}`"
                    )]);
                }
            }
        }
        if let Some((n, line)) = text.lines().enumerate().find(|(_, l)| !toml_line(l)) {
            return Err(vec![format!(
                "containerd[100]: containerd: failed to load TOML: /etc/containerd/config.toml: ({}, 1): cannot parse `{}`",
                n + 1,
                line.trim()
            )]);
        }
        Ok((ServiceState::Active, Some(text)))
    }

    /// Whether the running containerd offers its CRI to kubelet.
    pub fn cri_enabled(&self) -> bool {
        let disabled = self.loaded("containerd").unwrap_or_default().lines().any(|l| {
            let l = l.trim();
            l.starts_with("disabled_plugins") && l.contains("cri")
        });
        self.active("containerd") && !disabled
    }

    /// kubelet never fails for good: systemd restarts it until it finds what it needs.
    fn start_kubelet(&mut self) -> (ServiceState, Option<String>) {
        let version = self.program_version("kubelet").unwrap_or_default();
        let config = self.files.text("/var/lib/kubelet/config.yaml");
        let trouble = if config.is_empty() {
            Some(
                "\"command failed\" err=\"failed to load kubelet config file, path: /var/lib/kubelet/config.yaml, error: open /var/lib/kubelet/config.yaml: no such file or directory\"",
            )
        } else if self.swap && !config.contains("failSwapOn: false") {
            Some(
                "\"command failed\" err=\"failed to run Kubelet: running with swap on is not supported, please disable swap or set --fail-swap-on flag to false\"",
            )
        } else if !self.files.exists("/etc/kubernetes/kubelet.conf")
            && !self.files.exists("/etc/kubernetes/bootstrap-kubelet.conf")
        {
            Some(
                "\"command failed\" err=\"failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory\"",
            )
        } else if !self.cri_enabled() {
            Some(
                "\"command failed\" err=\"failed to run Kubelet: validate service connection: validate CRI v1 runtime API for endpoint \\\"unix:///var/run/containerd/containerd.sock\\\": rpc error: code = Unavailable\"",
            )
        } else {
            None
        };
        match trouble {
            None => (ServiceState::Active, Some(version)),
            Some(text) => {
                self.journal(
                    "kubelet",
                    [format!("kubelet[100]: E0101 00:00:00.000000     100 run.go:72] {text}")],
                );
                (ServiceState::Activating, None)
            }
        }
    }

    /// systemd's retry of a crashing kubelet: call it whenever what kubelet needs may have changed.
    pub fn retry_kubelet(&mut self, now_ms: i64) {
        if self.service_state("kubelet") == ServiceState::Activating {
            let (state, loaded) = self.start_kubelet();
            if state == ServiceState::Active
                && let Some(service) = self.services.get_mut("kubelet.service")
            {
                (service.state, service.since, service.loaded) = (state, now_ms, loaded);
            }
            self.mark_pods("kubelet.service");
        }
    }

    /// A running kubelet has started the static pods.
    fn mark_pods(&mut self, unit: &str) {
        if unit == "kubelet.service"
            && self.active(unit)
            && let Some(role) = &mut self.node
        {
            role.pods_up = true;
        }
    }

    /// Any other unit: its program must be there.
    fn start_any(&mut self, file: &str) -> Result<(ServiceState, Option<String>), Vec<String>> {
        let text = self.files.text(file);
        let program = text.lines().find_map(|l| l.trim().strip_prefix("ExecStart="));
        let program = program.map(|p| p.trim_start_matches(['-', '@', ':', '+', '!']));
        if let Some(program) = program.and_then(|p| p.split_whitespace().next())
            && self.stat(program, 0).is_err()
        {
            return Err(vec![format!(
                "systemd[1]: Failed to locate executable {program}: No such file or directory (code=exited, status=203/EXEC)"
            )]);
        }
        let oneshot = text.lines().any(|l| l.trim() == "Type=oneshot");
        let remains =
            text.lines().any(|l| matches!(l.trim(), "RemainAfterExit=yes" | "RemainAfterExit=true"));
        Ok((if oneshot && !remains { ServiceState::Inactive } else { ServiceState::Active }, None))
    }
}

/// A line that can stand in a TOML file; enough to tell a config from an error page.
fn toml_line(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || line.starts_with(['#', '[', ']', '"', '\'', '}', '{'])
        || line.contains('=')
        || line.ends_with(',')
}

impl Host {
    /// Whether a CNI configuration lies where containerd looks for it.
    pub fn cni_configured(&self) -> bool {
        let ends = [".conf", ".conflist", ".json"];
        self.files.children("/etc/cni/net.d").any(|(name, _)| ends.iter().any(|e| name.ends_with(e)))
    }
}
