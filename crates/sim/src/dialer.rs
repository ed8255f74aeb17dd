//! The way from the SSH pool to simulated machines.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use grappe_ssh::{Dialer, Stream};

use crate::World;
use crate::world::mishap::Asked;

struct WorldDialer(Arc<World>);

impl World {
    /// Dials the private addresses of this world's machines (and of virtual addresses they hold) on port 22. Addresses of its networks that no
    /// machine has are refused; all others are not its own.
    pub fn dialer(self: &Arc<Self>) -> Arc<dyn Dialer> {
        Arc::new(WorldDialer(self.clone()))
    }
}

impl Dialer for WorldDialer {
    fn dial(&self, address: &str, port: u16) -> Option<BoxFuture<'static, io::Result<Box<dyn Stream>>>> {
        let ip: Ipv4Addr = address.parse().ok()?;
        let Some(machine) = self.0.machine_by_address(address) else {
            // Where the real network may have somebody else, who is not to be asked.
            self.0.with(|s| s.networks.values().any(|n| n.cidr.contains(&ip))).then_some(())?;
            let text = format!("simulated network: no route to host {ip}");
            return Some(async { Err(io::Error::new(io::ErrorKind::HostUnreachable, text)) }.boxed());
        };
        let world = self.0.clone();
        Some(
            async move {
                if port != 22 {
                    let text = format!("simulated machine: nothing listens on port {port}");
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
                }
                if world.mishap(Asked::Sshd).is_some() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let text = format!("simulated network: {ip} does not answer");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                let stream = world.dial_ssh(&machine).await?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            }
            .boxed(),
        )
    }
}
