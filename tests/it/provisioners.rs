//! `provisioner` blocks as users run them: on simulated machines, on a real sshd, and where a step fails.

use grappe_ssh::testing::Sshd;

use crate::sandbox::Sandbox;

/// What a command starts, it starts twice: as its own child, and in the background.
const LEFT: &str = r#"
resource "terraform_data" "a" {
  provisioner "local-exec" {
    command = <<-SH
      sleep 301 &
      echo $! > "${path.module}/child"
      echo $$ > "${path.module}/shell"
      COMMAND
    SH
  }
}
"#;

fn lives(sandbox: &Sandbox, file: &str) -> bool {
    let pid = sandbox.read(file);
    // One that has ended and was not yet waited for is over, too.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

fn within(secs: u64, what: impl Fn() -> bool) -> bool {
    let begin = std::time::Instant::now();
    while begin.elapsed().as_secs() < secs {
        if what() {
            return true;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    false
}

#[test]
fn a_command_does_not_outlive_a_killed_run_and_what_a_whole_one_leaves_does() {
    let sandbox = Sandbox::new(&LEFT.replace("COMMAND", "sleep 302; true"));
    let mut child = sandbox
        .command(&["apply", "-auto-approve"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let said = |file: &str| std::fs::read_to_string(sandbox.path(file)).is_ok_and(|pid| pid.ends_with('\n'));
    assert!(within(60, || said("shell")), "the command did not begin");
    assert!(lives(&sandbox, "child") && lives(&sandbox, "shell"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(within(10, || !lives(&sandbox, "child") && !lives(&sandbox, "shell")), "it goes on");

    let sandbox =
        Sandbox::new(&LEFT.replace("COMMAND", "true").replace("sleep 301 &", "sleep 301 > /dev/null 2>&1 &"));
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(!within(1, || !lives(&sandbox, "child")), "what was left in the background on purpose is gone");
    let pid = nix::unistd::Pid::from_raw(sandbox.read("child").trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

const SIMULATED: &str = r#"
resource "tls_private_key" "k" {
  algorithm = "ED25519"
}
resource "sim_network" "n" {
  name = "n"
  cidr = "10.9.0.0/24"
}
resource "sim_port" "p" {
  name       = "p"
  network_id = sim_network.n.id
}
resource "sim_machine" "m" {
  name            = "m"
  port_ids        = [sim_port.p.id]
  authorized_keys = [tls_private_key.k.public_key_openssh]

  connection {
    host        = self.address
    host_key    = self.host_key
    private_key = tls_private_key.k.private_key_openssh
  }
  provisioner "file" {
    content     = "hello ${self.name}\n"
    destination = "/etc/motd.new"
  }
  provisioner "file" {
    source      = "conf"
    destination = "/opt"
  }
  provisioner "remote-exec" {
    inline = [
      "set -e",
      "cat /etc/motd.new /opt/conf/a",
      "hostname",
    ]
  }
  provisioner "remote-exec" {
    when   = destroy
    inline = ["echo goodbye from $(hostname)"]
  }
}
"#;

#[test]
fn steps_run_on_a_simulated_machine() {
    // A destroy-time step may look at the object alone: the key must be in it, which a sim_machine's is not.
    let refused = Sandbox::new(SIMULATED).expect(1, &["validate"]);
    assert!(refused.stderr.contains("Invalid reference from destroy provisioner"), "{}", refused.stderr);
    let (create, _) = SIMULATED.split_once("  provisioner \"remote-exec\" {\n    when   = destroy").unwrap();
    let sandbox = Sandbox::new(&format!("{create}}}\n"));
    sandbox.write("conf/a", "from a folder\n");
    let ran = sandbox.expect(0, &["apply", "-auto-approve"]);
    for line in ["hello m", "from a folder"] {
        assert!(
            ran.stdout.contains(line) || ran.stderr.contains(line),
            "{line}:\n{}\n{}",
            ran.stdout,
            ran.stderr
        );
    }
    assert!(sandbox.expect(0, &["plan"]).stdout.contains("No changes"));
}

#[test]
fn a_step_that_failed_is_the_one_that_the_next_run_begins_with() {
    let sshd = Sshd::start();
    let main = |third: &str| {
        format!(
            r#"
resource "terraform_data" "host" {{
  input = {{ key = file("{key}"), port = {port} }}
  connection {{
    host        = "127.0.0.1"
    port        = self.input.port
    user        = "{user}"
    host_key    = "{host_key}"
    private_key = self.input.key
    script_path = "{dir}/s_%RAND%.sh"
  }}
  provisioner "remote-exec" {{
    inline = ["echo first >> {dir}/steps"]
  }}
  provisioner "local-exec" {{
    command = "echo second >> {dir}/steps"
  }}
  provisioner "remote-exec" {{
    inline = ["{third}"]
  }}
  provisioner "remote-exec" {{
    when   = destroy
    inline = ["echo gone >> {dir}/steps"]
  }}
}}
resource "terraform_data" "after" {{
  depends_on = [terraform_data.host]
}}
"#,
            key = sshd.key().display(),
            port = sshd.port,
            user = sshd.user,
            host_key = sshd.host_key("ed25519"),
            dir = sshd.dir().display(),
        )
    };
    let steps = || std::fs::read_to_string(sshd.dir().join("steps")).unwrap();
    let sandbox = Sandbox::new(&main("echo what is wrong >&2; exit 7"));
    let failed = sandbox.expect(1, &["apply", "-auto-approve"]);
    assert!(failed.stderr.contains("what is wrong"), "{}", failed.stderr);
    assert_eq!(steps(), "first\nsecond\n");
    assert_eq!(
        sandbox.state(),
        ["terraform_data.host"],
        "it stays, and what waits for its steps is not made"
    );

    sandbox.write("main.tf", &main(&format!("echo third >> {}/steps", sshd.dir().display())));
    let plan = sandbox.expect(0, &["plan"]).stdout;
    assert!(plan.contains("2 of the 3 steps after its creation are done"), "{plan}");
    assert!(plan.contains("1 to add, 1 to change, 0 to destroy"), "nothing is replaced: {plan}");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(steps(), "first\nsecond\nthird\n");
    assert!(sandbox.expect(0, &["plan"]).stdout.contains("No changes"));
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert_eq!(steps(), "first\nsecond\nthird\ngone\n");
}

#[test]
fn a_run_that_is_killed_in_a_step_leaves_those_before_it_done() {
    let main = |second: &str| {
        format!(
            "resource \"terraform_data\" \"a\" {{\n  provisioner \"local-exec\" {{\n    command = \"echo first >> steps\"\n  }}\n  \
             provisioner \"local-exec\" {{\n    command = \"echo second >> steps; {second}\"\n  }}\n}}\n"
        )
    };
    let sandbox = Sandbox::new(&main("sleep 30"));
    let mut run = sandbox.command(&["apply", "-auto-approve"]).spawn().unwrap();
    let second = || std::fs::read_to_string(sandbox.path("steps")).is_ok_and(|s| s.contains("second"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !second() {
        assert!(std::time::Instant::now() < end, "the second step never began");
        #[expect(clippy::disallowed_methods, reason = "a test waits for another process")]
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    sandbox.write("main.tf", &main("true"));
    let plan = sandbox.expect(0, &["plan"]).stdout;
    assert!(plan.contains("1 of the 2 steps after its creation are done"), "{plan}");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.read("steps"), "first\nsecond\nsecond\n");
}

/// A password is in no file and in no line of what is said, whether it lets the step in or not.
#[test]
fn a_password_is_told_to_the_host_and_to_nobody_else() {
    let sshd = Sshd::start_with_password("open sesame 1001", false);
    let sandbox = Sandbox::new(&format!(
        r#"
variable "password" {{
  sensitive = true
}}
resource "terraform_data" "host" {{
  connection {{
    type     = "ssh"
    host     = "127.0.0.1"
    port     = {}
    user     = "{}"
    password = var.password
    host_key = "{}"
    timeout  = "20s"
  }}
  provisioner "remote-exec" {{
    inline = ["echo I am $(id -un)"]
  }}
}}
"#,
        sshd.port,
        sshd.user,
        sshd.host_key("ed25519"),
    ));
    let hidden = |said: &str| {
        let holds = |bytes: &[u8]| bytes.windows(6).any(|part| part == b"sesame");
        assert!(!holds(said.as_bytes()), "{said}");
        for (path, bytes) in sandbox.files() {
            assert!(!holds(&bytes), "{} holds it", path.display());
        }
    };
    let wrong = sandbox.expect(1, &["apply", "-auto-approve", "-var=password=open sesame 1002"]);
    assert!(wrong.stderr.contains("a password"), "{}", wrong.stderr);
    hidden(&wrong.all());
    let right = ["apply", "-auto-approve", "-json", "-var=password=open sesame 1001"];
    let ran = sandbox.expect(0, &right);
    assert!(ran.stdout.contains(&format!("I am {}", sshd.user)), "{}", ran.stdout);
    hidden(&ran.all());
    assert!(sshd.log().contains("Accepted password"), "{}", sshd.log());
}
