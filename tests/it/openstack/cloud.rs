//! A project of a real OpenStack of one test's own, and a plan in it.

use std::fs::OpenOptions;
use std::process::Command;
use std::time::{Duration, Instant};

use grappe_bed_openstack::{Bed, Call, Chance, Fault, Proxy, Tenant};
use serde_json::Value as Json;

use crate::sandbox::{Ran, Sandbox};

/// A plan folder, and the project that it works on. What the test leaves there goes with the bed.
pub(crate) struct Cloud {
    pub(crate) sandbox: Sandbox,
    pub(crate) tenant: Tenant,
    /// What grappe's calls go through; those of OpenStack's own client do not.
    pub(crate) proxy: Proxy,
    bed: Bed,
}

impl Cloud {
    /// One with a plan. `name` is that of the project: no other test may have it.
    pub(crate) fn new(name: &str, main: &str) -> Self {
        Self::with(name, Sandbox::new(&format!("provider \"openstack\" {{}}\n{main}")))
    }

    /// One with what is in the folder.
    pub(crate) fn with(name: &str, sandbox: Sandbox) -> Self {
        let bed = Bed::open().unwrap_or_else(|e| panic!("the OpenStack test bed is missing: {e:#}"));
        let tenant = bed.tenant(&format!("{name}-{}", std::process::id())).expect("a project");
        let proxy = Proxy::start(&bed, 6, Vec::new()).expect("a proxy");
        Cloud { sandbox, tenant, proxy, bed }
    }

    /// A grappe in the plan's folder, for the project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_in(&self.sandbox, args)
    }

    fn command_in(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(args);
        command.envs(self.proxy.through(&self.tenant).environment());
        command
    }

    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Ran {
        self.expect_in(&self.sandbox, code, args)
    }

    fn expect_in(&self, sandbox: &Sandbox, code: i32, args: &[&str]) -> Ran {
        let ran = Ran::of(self.command_in(sandbox, args).output().unwrap());
        assert_eq!(ran.code, code, "grappe {}\n{}\n{}", args.join(" "), ran.stdout, ran.stderr);
        ran
    }

    pub(crate) fn apply(&self, args: &[&str]) -> Ran {
        self.expect(0, &[&["apply", "-auto-approve", "-json"], args].concat())
    }

    /// Nothing is to be done.
    pub(crate) fn settled(&self, args: &[&str]) {
        self.expect(0, &[&["plan", "-detailed-exitcode"], args].concat());
    }

    /// Destroys; then once more from the same state, when all of it is gone already.
    pub(crate) fn destroy_twice(&self, args: &[&str]) {
        let again = self.sandbox.twin();
        let destroy = [&["destroy", "-auto-approve"], args].concat();
        self.expect(0, &destroy);
        assert!(self.sandbox.state().len() < again.state().len());
        self.expect_in(&again, 0, &[&destroy[..], &["-refresh=false"]].concat());
        assert_eq!(again.state(), self.sandbox.state());
    }

    /// Applies, and kills the run with SIGKILL each time that the cloud has made what such a call asks for and grappe has not learnt it yet; each of the calls
    /// once. Then a run gets to its end, nothing is to be done, and all was made once.
    pub(crate) fn killed_at(&self, creations: &[Creation]) {
        let first = |c: &Creation| Chance::first(Fault::Mute, 1, c.method, c.path);
        self.proxy.set(creations.iter().map(first).collect());
        let mute = |calls: &[Call]| calls.iter().filter(|c| c.fault == Some(Fault::Mute)).count();
        // One after the other, so that each is the last thing that happens.
        let apply = ["apply", "-auto-approve", "-parallelism=1"];
        for kills in 0..creations.len() {
            self.kill_when(&apply, |calls| mute(calls) > kills);
        }
        self.expect(0, &apply);
        self.settled(&[]);
        for Creation { method, path, many } in creations.iter().filter(|c| c.method == "POST") {
            assert_eq!(self.made(method, path), *many, "{method} {path}");
        }
    }

    /// How many such calls the cloud has obeyed, whether grappe learnt it or not.
    pub(crate) fn made(&self, method: &str, path: &str) -> usize {
        let obeyed = |call: &&Call| {
            matches!(call.fault, Some(Fault::Mute | Fault::Lost)) || matches!(call.status, Some(200..=299))
        };
        let calls = self.proxy.calls();
        calls.iter().filter(|call| call.method == method && call.path.ends_with(path)).filter(obeyed).count()
    }

    /// Starts a run and kills it with SIGKILL as soon as its calls are so. What it says stays in `killed.log` of its home.
    pub(crate) fn kill_when(&self, args: &[&str], so: impl Fn(&[Call]) -> bool) {
        let log = self.sandbox.home().join("killed.log");
        let file = || OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut run = self.command(args).stdout(file()).stderr(file()).spawn().unwrap();
        let begin = Instant::now();
        while !so(&self.proxy.calls()) {
            if run.try_wait().unwrap().is_some() || begin.elapsed() > Duration::from_secs(120) {
                let _ = run.kill();
                let said = std::fs::read_to_string(&log).unwrap();
                panic!("the run does not come to what it is killed at: {said}");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        run.kill().unwrap();
        assert_eq!(run.wait().unwrap().code(), None, "it was killed");
    }

    /// What was done, as `update openstack_networking_port_v2.p[0]`, sorted.
    pub(crate) fn done(ran: &Ran) -> Vec<String> {
        let mut done: Vec<String> = ran
            .events_of("operation_done")
            .iter()
            .filter(|e| !matches!(e["action"].as_str(), Some("record" | "join" | "read")))
            .map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["addr"].as_str().unwrap()))
            .collect();
        done.sort();
        done
    }

    /// Replaces these, and what depends on them: all that is named as `replaced` is made anew, nothing else happens.
    pub(crate) fn replaces(&self, args: &[&str], which: &[&str], replaced: &[&str]) {
        let flags: Vec<String> = which.iter().map(|addr| format!("-replace={addr}")).collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(args.iter().copied()).collect();
        let mut wanted: Vec<String> = ["create", "delete"]
            .iter()
            .flat_map(|a| replaced.iter().map(move |r| format!("{a} {r}")))
            .collect();
        wanted.sort();
        assert_eq!(Self::done(&self.apply(&flags)), wanted);
        self.settled(args);
    }

    /// Forgets these and imports them again, by their ids or by what is given: nothing is to be done.
    pub(crate) fn imports(&self, args: &[&str], which: &[(&str, Option<String>)]) {
        let ids: Vec<_> =
            which.iter().map(|(addr, by)| (*addr, by.clone().unwrap_or_else(|| self.id(addr)))).collect();
        let addresses: Vec<&str> = which.iter().map(|(addr, _)| *addr).collect();
        self.expect(0, &[&["state", "rm"], &addresses[..]].concat());
        for (addr, id) in &ids {
            self.expect(0, &[&["import"], args, &[*addr, id.as_str()]].concat());
        }
        self.settled(args);
    }

    /// The attributes of an object of the state.
    pub(crate) fn object(&self, addr: &str) -> Json {
        let shown: Json = serde_json::from_str(&self.expect(0, &["show", "-json"]).stdout).unwrap();
        let resources = shown["values"]["root_module"]["resources"].as_array().unwrap();
        let found = resources.iter().find(|r| r["address"] == addr);
        found.unwrap_or_else(|| panic!("no {addr} in {shown:#}"))["values"].clone()
    }

    pub(crate) fn id(&self, addr: &str) -> String {
        self.object(addr)["id"].as_str().unwrap().to_owned()
    }

    /// What OpenStack's own client says.
    pub(crate) fn openstack(&self, args: &[&str]) -> Json {
        self.tenant.query(&self.bed, args).unwrap()
    }

    /// What it says to each of these commands, which list something.
    pub(crate) fn lists<const N: usize>(&self, commands: [&str; N]) -> [Vec<Json>; N] {
        let answers = self.tenant.queries(&self.bed, &commands).unwrap();
        let lists: Vec<Vec<Json>> =
            answers.into_iter().map(|a| a.as_array().expect("a list").clone()).collect();
        lists.try_into().expect("an answer each")
    }

    /// These commands list nothing but servers that Nova itself calls DELETED: it lists them until their host's share is given back.
    pub(crate) fn nothing_left<const N: usize>(&self, commands: [&str; N]) {
        for (what, mut left) in commands.iter().zip(self.lists(commands)) {
            left.retain(|object| object["Status"] != "DELETED");
            assert_eq!(left, [Json::Null; 0], "{what}");
        }
    }

    /// What OpenStack's own client does.
    pub(crate) fn touch(&self, args: &[&str]) {
        self.tenant.openstack(&self.bed, args).unwrap();
    }

    /// The bed's Octavia leaves the ports of its load balancers' addresses when these are deleted: its network driver does nothing. A real one takes
    /// them away.
    pub(crate) fn sweep_addresses(&self) {
        let [ports] = self.lists(["port list"]);
        let left = ports.iter().filter(|p| p["Name"].as_str().is_some_and(|n| n.starts_with("octavia-lb-")));
        let ids: Vec<&str> = left.map(|port| port["ID"].as_str().unwrap()).collect();
        assert!(
            !ids.is_empty(),
            "no port of a load balancer is left: the bed has changed, and this is not needed any more"
        );
        self.touch(&[&["port", "delete"], &ids[..]].concat());
    }
}

/// A call that makes an object.
#[derive(Clone, Copy)]
pub(crate) struct Creation {
    pub(crate) method: &'static str,
    /// What its path has in it, and those of POST end in.
    pub(crate) path: &'static str,
    /// How many the plan has.
    pub(crate) many: usize,
}

/// A POST for each object.
pub(crate) const fn post(path: &'static str, many: usize) -> Creation {
    Creation { method: "POST", path, many }
}

/// What may be done twice to no effect.
pub(crate) const fn put(path: &'static str) -> Creation {
    Creation { method: "PUT", path, many: 1 }
}
