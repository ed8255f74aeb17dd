//! A project of a real OpenStack of one test's own, and a plan in it.

use std::process::Command;

use grappe_bed_openstack::{Bed, Tenant};
use serde_json::Value as Json;

use crate::sandbox::{Ran, Sandbox};

/// A plan folder, and the project that it works on. What the test leaves there goes with the project.
pub(crate) struct Cloud {
    pub(crate) sandbox: Sandbox,
    pub(crate) tenant: Tenant,
    pub(crate) bed: Bed,
}

impl Cloud {
    /// One with a plan. `name` is that of the project: no other test may have it.
    pub(crate) fn new(name: &str, main: &str) -> Self {
        let bed = Bed::open().unwrap_or_else(|e| panic!("the OpenStack test bed is missing: {e:#}"));
        let name = format!("{name}-{}", std::process::id());
        let tenant = bed.tenant(&name).expect("a project");
        let sandbox = Sandbox::new(&format!("provider \"openstack\" {{}}\n{main}"));
        Cloud { sandbox, tenant, bed }
    }

    /// A grappe in the plan's folder, for the project.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        command.envs(self.tenant.environment());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
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

    /// What OpenStack's own client does.
    pub(crate) fn touch(&self, args: &[&str]) {
        self.tenant.openstack(&self.bed, args).unwrap();
    }

    /// The life that each type has: created, nothing to do, forgotten and imported with nothing to do, destroyed, and destroyed again when it is gone.
    pub(crate) fn imports(&self, addr: &str, id: &str) {
        self.expect(0, &["state", "rm", addr]);
        self.expect(0, &["import", addr, id]);
        self.settled(&[]);
    }
}
