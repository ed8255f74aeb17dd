//! The way from the SSH pool to simulated machines.

use std::io;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use grappe_ssh::{Dialer, Stream};

use crate::World;

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
        let machine = self.0.machine_by_address(address)?;
        let world = self.0.clone();
        Some(
            async move {
                if port != 22 {
                    let text = format!("simulated machine: nothing listens on port {port}");
                    return Err(io::Error::new(io::ErrorKind::ConnectionRefused, text));
                }
                let stream = world.dial_ssh(&machine).await?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            }
            .boxed(),
        )
    }
}
