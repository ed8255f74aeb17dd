//! Powering a machine on.

use super::model::{State, fresh_id};

impl State {
    /// Boots a machine: its memory starts afresh, its disk says what comes up.
    pub(crate) fn boot(&mut self, id: &str) {
        let now = self.now();
        let latency = i64::try_from(self.knobs.boot_latency_ms).unwrap_or(i64::MAX / 2);
        let Some(machine) = self.machines.get_mut(id) else { return };
        machine.running = true;
        machine.ready_at = now + latency;
        let host = &mut machine.host;
        host.boot_kernel(now, fresh_id());
        for unit in host.enabled_units() {
            // A unit that fails at boot says so in its journal, as on any host.
            let _ = host.start_unit(&unit, now);
        }
    }

    /// A machine's host.
    pub(crate) fn host(&self, machine: &str) -> Option<&crate::host::Host> {
        self.machines.get(machine).map(|m| &m.host)
    }

    /// A machine's host, to be changed.
    pub(crate) fn host_mut(&mut self, machine: &str) -> Option<&mut crate::host::Host> {
        self.machines.get_mut(machine).map(|m| &mut m.host)
    }
}
