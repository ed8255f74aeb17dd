//! The bed as its users meet it: apt and containerd, against a server of the real products.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grappe_bed_kubernetes::{Bed, NEXT_VERSION, VERSION};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::options().write(true).create_new(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn apt_finds_both_versions_and_installs_a_node() {
    let bed = Bed::open().unwrap();
    let server = bed.serve(None, 0).unwrap();
    let port = server.address().port();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    // An apt of its own, on a machine that has the bed's root.
    let url = format!("http://127.0.0.1:{port}");
    let key = dir.join("key.asc");
    run(Command::new("curl").args(["-sSf", &format!("{url}/k8s/Release.key"), "-o"]).arg(&key));
    let sources = format!(
        "deb [trusted=yes] {url}/debian ./
deb [signed-by={}] {url}/k8s /
",
        key.display()
    );
    write(&dir.join("sources.list"), &sources);
    write(
        &dir.join("status"),
        &run(Command::new("tar").arg("-xOf").arg(bed.root()).arg("./var/lib/dpkg/status")),
    );
    let dir_text = dir.display();
    let conf = format!(
        "Dir::Etc::sourcelist \"{dir_text}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
         Dir::State \"{dir_text}/state\";\nDir::State::status \"{dir_text}/status\";\nDir::Cache \"{dir_text}/cache\";\n\
         APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n"
    );
    write(&dir.join("apt.conf"), &conf);
    fs::create_dir_all(dir.join("state/lists/partial")).unwrap();
    fs::create_dir_all(dir.join("cache/archives/partial")).unwrap();
    let apt = |program: &str, args: &[&str]| {
        run(Command::new(program).args(args).env("APT_CONFIG", dir.join("apt.conf")))
    };

    apt("apt-get", &["update"]);
    for package in ["kubeadm", "kubelet", "kubectl"] {
        let versions = apt("apt-cache", &["madison", package]);
        for version in [VERSION, NEXT_VERSION] {
            let version = format!("{version}-00");
            assert!(versions.split_whitespace().any(|word| word == version), "{versions}");
        }
    }
    let exact = ["kubeadm", "kubelet", "kubectl"].map(|name| format!("{name}={VERSION}-00"));
    let mut words = vec![
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "--download-only",
        "containerd",
        "runc",
        "haproxy",
        "keepalived",
    ];
    words.extend(exact.iter().map(String::as_str));
    apt("apt-get", &words);
    let archives: Vec<String> = fs::read_dir(dir.join("cache/archives"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in [
        "kubeadm_",
        "kubelet_",
        "kubernetes-cni_",
        "cri-tools_",
        "containerd_",
        "runc_",
        "conntrack_",
        "haproxy_",
        "keepalived_",
    ] {
        assert!(archives.iter().any(|a| a.starts_with(name)), "{name}: {archives:?}");
    }

    for version in [VERSION, NEXT_VERSION] {
        // The program says the version of its package, and the registry has the images that it asks for.
        let url = format!("http://127.0.0.1:{port}");
        let architecture = run(Command::new("dpkg").arg("--print-architecture"));
        let package = format!("{url}/k8s/kubeadm_{version}-00_{}.deb", architecture.trim());
        let (deb, tree) = (dir.join(format!("{version}.deb")), dir.join(version));
        run(Command::new("curl").args(["-sSf", &package, "-o"]).arg(&deb));
        run(Command::new("dpkg-deb").arg("-x").args([&deb, &tree]));
        let kubeadm = |args: &[&str]| run(Command::new(tree.join("usr/bin/kubeadm")).args(args));
        assert_eq!(kubeadm(&["version", "-o", "short"]).trim(), format!("v{version}"));
        let images = kubeadm(&["config", "images", "list", "--kubernetes-version", version]);
        assert_eq!(images.lines().count(), 7, "{images}");
        for image in images.lines() {
            let (name, tag) = image.trim_start_matches("k8s.gcr.io/").split_once(':').unwrap();
            run(Command::new("curl").args(["-sSfI", &format!("{url}/v2/{name}/manifests/{tag}")]));
        }
    }
}

/// A containerd that ends with it.
struct Containerd {
    child: Child,
    socket: PathBuf,
    ctr: PathBuf,
}

impl Containerd {
    /// The bed's own, unpacked from its package.
    fn start(bed: &str, dir: &Path) -> Containerd {
        let index = run(Command::new("curl").args(["-sSf", &format!("{bed}/debian/Packages")]));
        let file = |prefix: &str| {
            let name = index
                .lines()
                .find_map(|line| line.strip_prefix("Filename: ./").filter(|name| name.starts_with(prefix)));
            name.unwrap_or_else(|| panic!("no {prefix}")).replace('%', "%25")
        };
        run(Command::new("curl")
            .args(["-sSf", &format!("{bed}/debian/{}", file("containerd_")), "-o"])
            .arg(dir.join("containerd.deb")));
        run(Command::new("dpkg-deb").arg("-x").args([dir.join("containerd.deb"), dir.join("tree")]));
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{0}/socket\"\n[ttrpc]\naddress = \"{0}/ttrpc\"\n",
            dir.display()
        );
        write(&dir.join("config.toml"), &config);
        let log = fs::File::options().write(true).create_new(true).open(dir.join("log")).unwrap();
        let mut command = Command::new(dir.join("tree/usr/bin/containerd"));
        let child = command
            .arg("--config")
            .arg(dir.join("config.toml"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Containerd { child, socket: dir.join("socket"), ctr: dir.join("tree/usr/bin/ctr") }
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.ctr);
        command.arg("--address").arg(&self.socket).args(["--connect-timeout", "20s"]).args(words);
        command
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn containerd_pulls_images() {
    let bed = Bed::open().unwrap();
    let server = bed.serve(None, 0).unwrap();
    let url = format!("http://127.0.0.1:{}", server.address().port());
    let temp = tempfile::tempdir().unwrap();
    let containerd = Containerd::start(&url, temp.path());
    let start = Instant::now();
    // Its socket appears a moment after its start.
    while !containerd.ctr(&["version"]).output().unwrap().status.success() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            fs::read_to_string(temp.path().join("log")).unwrap()
        );
    }
    // One of each kind: a program alone, with libraries, with links; of both versions.
    let [this, next] = [VERSION, NEXT_VERSION].map(|version| format!("kube-proxy:v{version}"));
    let images =
        ["pause:3.2", "etcd:3.4.13-0", "coredns:1.7.0", "minicni:1", "library/busybox:1.35", &this, &next];
    for image in images {
        let name = format!("{}/{image}", url.trim_start_matches("http://"));
        run(&mut containerd.ctr(&["content", "fetch", "--plain-http", &name]));
    }
    let listed = run(&mut containerd.ctr(&["images", "list", "-q"]));
    assert_eq!(listed.lines().count(), images.len(), "{listed}");
}

#[test]
fn the_root_is_a_pristine_machine() {
    let bed = Bed::open().unwrap();
    let list = run(Command::new("tar").arg("-tf").arg(bed.root()));
    let has = |path: &str| list.lines().any(|line| line == path);
    for path in [
        "./usr/sbin/sshd",
        "./usr/lib/systemd/systemd",
        "./usr/bin/sudo",
        "./etc/resolv.conf",
        "./dev/",
        "./root/",
    ] {
        assert!(has(path), "{path}");
    }
    // No device nodes, and nothing that would be one machine's own.
    let own: Vec<&str> = list
        .lines()
        .filter(|l| l.starts_with("./dev/") && *l != "./dev/" || l.contains("ssh_host_"))
        .collect();
    assert_eq!(own, [""; 0]);
    let file = |path: &str| run(Command::new("tar").arg("-xOf").arg(bed.root()).arg(path));
    assert_eq!(file("./etc/machine-id"), "");
    assert_eq!(file("./etc/apt/sources.list"), "deb [trusted=yes] http://10.77.0.1/debian ./\n");
}
