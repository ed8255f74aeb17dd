//! The same life on simulated machines: what real ones have been seen to do, the simulation must do.

use serde_json::Value as Json;

use crate::sandbox::Sandbox;
use crate::scenario::{self, World};

/// `plans/lab` as small as the scenario wants it.
struct Simulated {
    sandbox: Sandbox,
    releases: [&'static str; 2],
}

impl Simulated {
    fn new(releases: [&'static str; 2]) -> Self {
        let sandbox = Sandbox::of_plan("lab");
        // In a file and not in flags: what a step of the scenario sets must win.
        let variables = format!("workers = 2\ndmz_workers = []\nkubernetes_version = \"{}\"\n", releases[0]);
        sandbox.write("terraform.tfvars", &variables);
        Self { sandbox, releases }
    }
}

impl World for Simulated {
    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn variables(&self) -> Vec<String> {
        Vec::new()
    }

    fn releases(&self) -> [&str; 2] {
        self.releases
    }

    fn lose(&self, machine: &str) {
        self.sandbox.expect(0, &["sim", "lose", machine]);
    }

    fn logins(&self, machine: &str) -> usize {
        let count = "journalctl -q -u ssh | grep -c 'Accepted publickey'";
        self.sandbox.expect(0, &["ssh", machine, count]).stdout.trim().parse().unwrap()
    }

    /// That pods are where they belong and Ready is all that can be seen: a simulated pod is a record in the API, without a process that
    /// could be asked, and no packet goes to it, to a Service or to a name.
    fn workload(&self, nodes: &[&str]) {
        self.kubectl(&["-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=60s"]);
        let pods: Json = serde_json::from_str(&self.kubectl(&["get", "pods", "-A", "-o", "json"])).unwrap();
        let pods = pods["items"].as_array().unwrap();
        for pod in pods {
            let name = &pod["metadata"]["name"];
            assert_eq!(pod["status"]["phase"], "Running", "{name}");
            let ready = pod["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready");
            assert_eq!(ready.unwrap()["status"], "True", "{name}");
            assert!(
                nodes.iter().any(|node| pod["spec"]["nodeName"] == *node),
                "{name} is on no node of the cluster"
            );
        }
        for daemon in ["kube-proxy", "kube-router"] {
            let on = |node: &&&str| {
                let of_it =
                    |p: &&Json| p["metadata"]["name"].as_str().unwrap().starts_with(&format!("{daemon}-"));
                pods.iter().filter(of_it).any(|p| p["spec"]["nodeName"] == **node)
            };
            let missing: Vec<&&str> = nodes.iter().filter(|node| !on(node)).collect();
            assert!(missing.is_empty(), "no {daemon} on {missing:?}");
        }
    }

    fn leftovers(&self) -> Vec<String> {
        let world: Json =
            serde_json::from_str(&self.sandbox.expect(0, &["sim", "list", "-json"]).stdout).unwrap();
        ["networks", "ports", "machines", "nodes"]
            .iter()
            .flat_map(|what| {
                world[*what].as_array().unwrap().iter().map(move |item| format!("{what}: {item}"))
            })
            .collect()
    }
}

#[test]
fn a_cluster_lives_its_whole_life_and_goes_to_the_next_minor() {
    scenario::a_whole_life(&Simulated::new(["1.34.2", "1.35.1"]));
}

#[test]
fn an_old_cluster_lives_its_whole_life_and_goes_to_the_next_patch_release() {
    scenario::a_whole_life(&Simulated::new(["1.20.2", "1.20.3"]));
}
