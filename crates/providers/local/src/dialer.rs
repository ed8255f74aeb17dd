//! The way from the SSH pool to this computer's machines.
//!
//! No route leads to them: their bridges are in network namespaces. A socket belongs to the namespace that its thread was in when it was
//! made, so a thread enters the network's namespace, connects, hands the socket over, and ends.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_ssh::{Dialer, Stream};
use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

use crate::machine::Machine;
use crate::network::{Network, namespace_path};
use crate::store::Store;

/// A machine on the same computer answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Dials the addresses of the machines in a store, those that will be there later included; all others are not its own.
pub(crate) fn dialer(store: Store) -> Arc<dyn Dialer> {
    Arc::new(LocalDialer(store))
}

struct LocalDialer(Store);

impl LocalDialer {
    /// The namespace of the network that the machine with this address is on.
    fn namespace(&self, ip: Ipv4Addr) -> Option<String> {
        // What can't be read now is not ours to dial; the machine's own type says what is wrong with it.
        let machine = self.0.all::<Machine>().ok()?.into_iter().find(|m| m.ip == ip)?;
        self.0.get::<Network>(&machine.network).ok().flatten().map(|network| network.namespace)
    }
}

impl Dialer for LocalDialer {
    fn dial(&self, address: &str, port: u16) -> Option<BoxFuture<'static, io::Result<Box<dyn Stream>>>> {
        let ip: Ipv4Addr = address.parse().ok()?;
        let namespace = self.namespace(ip)?;
        let (send, receive) = oneshot::channel();
        let dial = move || {
            // Nobody waits any more: the connection is closed.
            let _ = send.send(connect(&namespace, (ip, port).into()));
        };
        Some(
            async move {
                std::thread::Builder::new().name("local-dial".to_owned()).spawn(dial)?;
                let stream = receive.await.map_err(io::Error::other)??;
                Ok(Box::new(tokio::net::TcpStream::from_std(stream)?) as Box<dyn Stream>)
            }
            .boxed(),
        )
    }
}

/// Connects from within a namespace. The thread stays there: it must end after.
fn connect(namespace: &str, address: SocketAddr) -> io::Result<TcpStream> {
    let path = namespace_path(namespace);
    let named = |doing: &str, e: io::Error| {
        io::Error::new(e.kind(), format!("can't {doing} {}: {e}", path.display()))
    };
    let file = File::open(&path).map_err(|e| named("open", e))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|e| named("enter", e.into()))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
