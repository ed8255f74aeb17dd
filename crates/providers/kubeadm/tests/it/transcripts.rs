//! The RHEL family and Photon, by transcripts: see [`crate::scripted`] for what these prove and what not.

use grappe_provider_host::testing::Action;
use grappe_value::Value;
use serde_json::json;

use crate::scripted::Scripted;

const TYPE: &str = "kubeadm_host";

/// dnf 4 as dnf(8) says: `list --showduplicates` has headings, the oldest first. Installing brings the programs and units of
/// the packages, none of which RPMs enable.
const DNF: &str = r#"verb=; args=
while [ $# -gt 0 ]; do case $1 in -*) ;; *) if [ -z "$verb" ]; then verb=$1; else args="$args $1"; fi ;; esac; shift; done
case $verb in
makecache|versionlock) ;;
list) echo 'Available Packages'; for n in $args; do for v in 1.34.1-150500.1.1 1.34.2-150500.1.1; do echo "$n.x86_64      $v      kubernetes"; done; done ;;
install) for a in $args; do
    case $a in
    kube*-[0-9]*) n=${a%%-*}; v=${a#*-}; [ $n = kubelet ] && : > /var/units/kubelet.unit
      [ $n = kubeadm ] && printf '#!/bin/sh\ncase $1 in version) echo v1.34.2 ;; *) printf "registry.k8s.io/etcd:3.6.4-0\\nregistry.k8s.io/pause:3.10.1\\n" ;; esac\n' > /fake/kubeadm && chmod 755 /fake/kubeadm ;;
    containerd.io) n=$a; v=1.7.28-1.el9; : > /var/units/containerd.unit
      printf '#!/bin/sh\necho containerd containerd.io 1.7.28 b98a3aace656320842a23f4a392a33f46af97866\n' > /fake/containerd; chmod 755 /fake/containerd ;;
    *) n=$a; v=1.0-1.el9; : > /var/units/${n}d.unit ;;
    esac; echo "$n 0:$v" >> /var/rpmdb; done ;;
*) echo "No such command: $verb. Please use /usr/bin/dnf --help" >&2; exit 1 ;;
esac"#;

/// Rocky 9's os-release, shortened.
const ROCKY: &str = "NAME=\"Rocky Linux\"\nVERSION=\"9.6 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.6\"\n\
    PRETTY_NAME=\"Rocky Linux 9.6 (Blue Onyx)\"\n";

fn parts(state: &Value) -> Vec<String> {
    let parts = state.get("parts").and_then(Value::as_entries).expect("parts");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    parts
        .iter()
        .map(|(name, state)| format!("{name}: {}", text(state)))
        .filter(|part| !part.ends_with("as wanted"))
        .collect()
}

fn notes(state: &Value) -> String {
    let notes = state.get("notes").and_then(Value::as_items).unwrap_or_default();
    notes.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rhel_family() {
    // getenforce(8), and firewall-cmd(1): sources on one line.
    let host = Scripted::new(
        &[
            ("dnf", DNF),
            ("getenforce", "cat /run/selinux"),
            ("setenforce", "echo Permissive > /run/selinux"),
            (
                "firewall-cmd",
                "f=/run/trusted; case $* in *--permanent*) f=/etc/trusted ;; esac\n\
                 case $* in *list-sources) echo $(cat $f 2>/dev/null) ;; *) for a; do case $a in --add-source=*) echo ${a#*=} >> $f ;; esac; done ;; esac",
            ),
        ],
        &[
            ("/etc/os-release", ROCKY),
            (
                "/etc/fstab",
                "/dev/mapper/rl-root / xfs defaults 0 0\n/dev/mapper/rl-swap none swap defaults 0 0\n",
            ),
            ("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n"),
            ("/etc/yum.repos.d/rocky.repo", "[baseos]\nname=Rocky Linux $releasever - BaseOS\n"),
            ("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n"),
            ("/run/selinux", "Enforcing\n"),
            ("/var/units/firewalld.active", ""),
            ("/var/units/chronyd.active", ""),
        ],
    );
    let bench = host.bench().await;
    let plain = json!({"host": host.connection(), "version": "1.34.2", "node_cidr": "10.0.0.0/24"});
    let made = bench.create(TYPE, &plain).await;
    insta::assert_snapshot!(host.transcript(), @r"
    systemctl daemon-reload
    swapoff -a
    modprobe overlay
    modprobe br_netfilter
    modprobe nf_conntrack
    sysctl -q -p /etc/sysctl.d/99-kubernetes.conf
    dnf -q -y makecache
    dnf -q -y list --showduplicates --disableexcludes=all kubeadm kubelet kubectl
    dnf -q -y install --disableexcludes=all --setopt=install_weak_deps=False kubeadm-1.34.2-150500.1.1 kubelet-1.34.2-150500.1.1 kubectl-1.34.2-150500.1.1 containerd.io
    systemctl enable -q kubelet
    systemctl enable -q containerd
    systemctl restart containerd
    ");
    assert_eq!(made.get("node_ip").and_then(Value::as_str), Some("10.0.0.5"));
    assert!(host.read("/etc/yum.repos.d/kubernetes.repo").contains("exclude=kubelet kubeadm kubectl"));
    assert!(host.read("/etc/yum.repos.d/grappe-containerd.repo").contains("includepkgs=containerd.io"));
    assert!(
        host.read("/etc/containerd/config.toml").contains("sandbox_image = \"registry.k8s.io/pause:3.10.1\"")
    );
    assert!(host.read("/etc/fstab").contains("\n#grappe: swap off for Kubernetes# /dev/mapper/rl-swap"));
    let said = notes(&made);
    assert!(
        said.contains("SELinux is enforcing, and stays so") && said.contains("firewalld is active"),
        "{said}"
    );
    let read = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!((parts(&read), bench.action(TYPE, &read, &plain)), (vec![], Action::Nothing));

    // Asked to, it makes SELinux permissive, lets the networks in, and goes through a proxy.
    let mut whole = plain.clone();
    whole["selinux"] = json!("permissive");
    whole["trusted_networks"] = json!(["10.0.0.0/24", "10.244.0.0/16"]);
    whole["proxy"] = json!({"https": "http://me:hunter2@proxy.lan:3128", "no_proxy": ["10.0.0.0/8"]});
    let made = bench.update(TYPE, &read, &whole).await;
    insta::assert_snapshot!(host.transcript(), @r"
    setenforce 0
    firewall-cmd -q --zone=trusted --add-source=10.0.0.0/24
    firewall-cmd -q --permanent --zone=trusted --add-source=10.0.0.0/24
    firewall-cmd -q --zone=trusted --add-source=10.244.0.0/16
    firewall-cmd -q --permanent --zone=trusted --add-source=10.244.0.0/16
    systemctl daemon-reload
    systemctl restart containerd
    systemctl restart kubelet
    ");
    assert_eq!(notes(&made), "");
    assert!(host.read("/etc/dnf/dnf.conf").contains("proxy=http://me:hunter2@proxy.lan:3128\n"));
    assert!(bench.run.output().iter().all(|line| !line.contains("hunter2")));
    let read = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!((parts(&read), bench.action(TYPE, &read, &whole)), (vec![], Action::Nothing));

    // The hold is lost with the repository's line; SELinux is back; the firewall was loaded anew; a package has gone.
    host.edit("/etc/yum.repos.d/kubernetes.repo", |text| text.replace("exclude=", "#exclude="));
    host.edit("/run/selinux", |_| "Enforcing\n".into());
    host.remove("/run/trusted");
    host.edit("/var/rpmdb", |text| text.replace("kubectl 0:1.34.2", "kubectl 0:1.34.1"));
    let drifted = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!(
        parts(&drifted),
        [
            "firewall: 10.0.0.0/24 is not a source of firewalld's trusted zone",
            "packages: kubeadm is not held",
            "selinux: enforcing",
            "source: /etc/yum.repos.d/kubernetes.repo differs",
        ]
    );
    host.transcript();
    host.edit("/var/rpmdb", |text| {
        text.lines().filter(|line| !line.starts_with("kubectl")).map(|line| format!("{line}\n")).collect()
    });
    let made = bench.update(TYPE, &drifted, &whole).await;
    assert!(host.transcript().contains(
        "dnf -q -y install --disableexcludes=all --setopt=install_weak_deps=False kubeadm-1.34.2-150500.1.1"
    ));

    bench.delete(TYPE, &made).await;
    assert_eq!(host.read("/etc/yum.repos.d/kubernetes.repo"), "");
    assert_eq!(host.read("/etc/dnf/dnf.conf"), "[main]\ngpgcheck=1\n");
    assert!(host.read("/etc/fstab").contains("\n/dev/mapper/rl-swap none swap"));
}

/// tdnf as tdnf(8) says: `list` has no headings, an installed package is `@System`'s.
const TDNF: &str = r#"verb=; args=
while [ $# -gt 0 ]; do case $1 in -*) ;; *) if [ -z "$verb" ]; then verb=$1; else args="$args $1"; fi ;; esac; shift; done
case $verb in
makecache) ;;
list) for n in $args; do for v in 1.29.9-1.ph5 1.30.5-2.ph5; do echo "$n.x86_64             $v             photon-updates"; done; done ;;
install) for a in $args; do
    case $a in
    kubernetes-kubeadm-[0-9]*) n=kubernetes-kubeadm; v=${a#kubernetes-kubeadm-}
      printf '#!/bin/sh\ncase $1 in version) echo v1.30.5 ;; *) echo registry.k8s.io/pause:3.9 ;; esac\n' > /fake/kubeadm; chmod 755 /fake/kubeadm ;;
    kubernetes-[0-9]*) n=kubernetes; v=${a#kubernetes-}; : > /var/units/kubelet.unit ;;
    containerd) n=$a; v=2.0.5-1.ph5; : > /var/units/containerd.unit
      printf '#!/bin/sh\necho containerd github.com/containerd/containerd/v2 2.0.5 fb4c30d\n' > /fake/containerd; chmod 755 /fake/containerd ;;
    *) echo "Error(1011) : No matching packages"; exit 1 ;;
    esac
    if [ -e /etc/tdnf/locks.d/$n.conf ]; then echo "package $n is locked" >&2; exit 1; fi
    grep -v "^$n " /var/rpmdb > /var/rpmdb.new; mv /var/rpmdb.new /var/rpmdb; echo "$n 0:$v" >> /var/rpmdb; done ;;
*) echo "Error(1) : no such command $verb" >&2; exit 1 ;;
esac"#;

#[tokio::test(flavor = "multi_thread")]
async fn photon() {
    // iptables(8) `-S`; Photon's own rules at boot, shortened.
    let saved = "# init\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n\
                 -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A OUTPUT -j ACCEPT\nCOMMIT\n";
    let host = Scripted::new(
        &[
            ("tdnf", TDNF),
            (
                "iptables",
                "case $1 in -S) printf -- '-P INPUT DROP\\n-P FORWARD DROP\\n-P OUTPUT DROP\\n'; cat /run/rules 2>/dev/null; true ;; -A) echo \"$*\" >> /run/rules ;; \
                 -D) shift; grep -vF -- \"$*\" /run/rules > /run/rules.new; mv /run/rules.new /run/rules ;; esac",
            ),
        ],
        &[
            ("/proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 2097148 0 100\n"),
            (
                "/etc/os-release",
                "NAME=\"VMware Photon OS\"\nVERSION=\"5.0\"\nID=photon\nVERSION_ID=5.0\nPRETTY_NAME=\"VMware Photon OS/Linux\"\n",
            ),
            ("/etc/tdnf/tdnf.conf", "[main]\ngpgcheck=1\n"),
            ("/etc/systemd/scripts/ip4save", saved),
            ("/var/units/systemd-timesyncd.active", ""),
        ],
    );
    let bench = host.bench().await;
    let plain = json!({"host": host.connection(), "version": "1.30", "node_cidr": "10.0.0.0/24"});
    let made = bench.create(TYPE, &plain).await;
    insta::assert_snapshot!(host.transcript(), @r"
    systemctl stop dev-zram0.swap
    systemctl mask -q dev-zram0.swap
    swapoff -a
    modprobe overlay
    modprobe br_netfilter
    modprobe nf_conntrack
    sysctl -q -p /etc/sysctl.d/99-kubernetes.conf
    tdnf -q -y --refresh makecache
    tdnf -q -y list kubernetes-kubeadm kubernetes
    tdnf -q -y install kubernetes-kubeadm-1.30.5-2.ph5 kubernetes-1.30.5-2.ph5 containerd
    systemctl enable -q kubelet
    systemctl enable -q containerd
    systemctl restart containerd
    ");
    assert!(notes(&made).contains("iptables drops what comes in"), "{}", notes(&made));
    assert_eq!(host.read("/etc/tdnf/locks.d/kubernetes.conf"), "kubernetes\n");
    assert_eq!(host.read("/etc/yum.repos.d/kubernetes.repo"), "", "Photon has its own");
    let config = host.read("/etc/containerd/config.toml");
    assert!(
        config.contains("version = 3\n") && config.contains("sandbox = \"registry.k8s.io/pause:3.9\""),
        "{config}"
    );
    let read = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!((parts(&read), bench.action(TYPE, &read, &plain)), (vec![], Action::Nothing));

    let mut open = plain.clone();
    open["trusted_networks"] = json!(["10.0.0.0/24"]);
    let made = bench.update(TYPE, &read, &open).await;
    insta::assert_snapshot!(host.transcript(), @r"
    iptables -A INPUT -s 10.0.0.0/24 -m comment --comment grappe -j ACCEPT
    iptables -A FORWARD -s 10.0.0.0/24 -m comment --comment grappe -j ACCEPT
    iptables -A FORWARD -d 10.0.0.0/24 -m comment --comment grappe -j ACCEPT
    ");
    assert!(
        host.read("/etc/systemd/scripts/ip4save")
            .contains("-A FORWARD -d 10.0.0.0/24 -m comment --comment grappe -j ACCEPT\nCOMMIT\n")
    );
    let read = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!((parts(&read), notes(&read).as_str()), (vec![], ""));

    host.remove("/etc/tdnf/locks.d/kubernetes.conf");
    host.remove("/run/rules");
    let drifted = bench.read(TYPE, &made).await.expect("it is there");
    assert_eq!(parts(&drifted), ["firewall: 10.0.0.0/24 is not let in", "packages: kubernetes is not held"]);
    let made = bench.update(TYPE, &drifted, &open).await;
    assert_eq!(bench.read(TYPE, &made).await.map(|read| parts(&read)), Some(vec![]));

    bench.delete(TYPE, &made).await;
    assert_eq!(host.read("/etc/systemd/scripts/ip4save"), saved);
    assert_eq!(host.read("/run/rules"), "");
    assert_eq!(host.read("/etc/tdnf/locks.d/kubernetes.conf"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_not_prepared_is_named() {
    let host = Scripted::new(&[], &[("/etc/os-release", "ID=arch\nPRETTY_NAME=\"Arch Linux\"\n")]);
    let bench = host.bench().await;
    let fault = bench
        .try_create(TYPE, &json!({"host": host.connection(), "version": "1.34.2"}))
        .await
        .expect_err("unknown");
    assert!(fault.summary.contains("runs Arch Linux, which kubeadm_host does not prepare"), "{fault:?}");
    assert_eq!(host.transcript(), "", "nothing was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_init_is_waited_for_and_its_failure_told() {
    // cloud-init(1), `status --wait`: 1 is an error, 2 one that it could go on with.
    let log = (
        "/var/log/cloud-init-output.log",
        "Cloud-init v. 24.4 running 'modules:final'\nno such module: grok\n",
    );
    let host = Scripted::new(
        &[("cloud-init", "cat /run/status; exit $(cat /run/code)")],
        &[log, ("/run/code", "1")],
    );
    let bench = host.bench().await;
    let given = json!({"host": host.connection(), "version": "1.34.2"});
    let fault = bench.try_create(TYPE, &given).await.expect_err("it failed");
    assert!(fault.summary.contains("cloud-init"), "{fault:?}");
    assert!(fault.details.join("\n").contains("no such module: grok"), "{fault:?}");
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("cloud-init-output.log")), "{fault:?}");
    host.edit("/run/code", |_| "2".to_owned());
    let fault = bench.try_create(TYPE, &given).await.expect_err("the system is not known");
    assert!(fault.summary.contains("which kubeadm_host does not prepare"), "it went on: {fault:?}");
}
