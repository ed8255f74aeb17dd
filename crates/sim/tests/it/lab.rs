//! Small worlds for tests.

use std::sync::Arc;

use grappe_sim::{NewMachine, NewPort, World};

/// A world in a folder that goes with it.
pub(crate) struct Lab {
    pub(crate) world: Arc<World>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) network: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::open(folder.path().join("world.json")).unwrap();
        let network = world.create_network("lan", "10.0.0.0/24", true, Default::default()).unwrap().id;
        Lab { world, folder, network }
    }

    /// A machine with one card on the lab's network.
    pub(crate) fn machine(&self, name: &str) -> String {
        self.machine_with(name, NewMachine::default(), Vec::new())
    }

    pub(crate) fn machine_with(
        &self,
        name: &str,
        new: NewMachine,
        allowed_address_pairs: Vec<String>,
    ) -> String {
        let port = NewPort {
            name: name.to_owned(),
            network: self.network.clone(),
            allowed_address_pairs,
            ..NewPort::default()
        };
        let port = self.world.create_port(port).unwrap();
        let new = NewMachine { name: name.to_owned(), ports: vec![port.id], ..new };
        self.world.create_machine(new).unwrap().id
    }

    /// Runs as root; gives status, stdout and stderr.
    pub(crate) fn run(&self, machine: &str, command: &str) -> (i32, String, String) {
        let output = self.world.exec(machine, "root", command, b"").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status, text(output.stdout), text(output.stderr))
    }

    /// Runs as root and expects success; gives stdout.
    #[track_caller]
    pub(crate) fn ok(&self, machine: &str, command: &str) -> String {
        let (status, stdout, stderr) = self.run(machine, command);
        assert_eq!(status, 0, "{command}\nstdout: {stdout}\nstderr: {stderr}");
        stdout
    }

    /// Runs as root and expects a failure whose stderr holds `words`.
    #[track_caller]
    pub(crate) fn fails(&self, machine: &str, command: &str, words: &str) {
        let (status, stdout, stderr) = self.run(machine, command);
        assert_ne!(status, 0, "{command} should fail\nstdout: {stdout}\nstderr: {stderr}");
        assert!(stderr.contains(words), "{command} should say `{words}`\nstdout: {stdout}\nstderr: {stderr}");
    }
}
