//! The providers that this program knows.

use grappe_provider::Registry;
use grappe_ssh::Pool;

/// All of them, with connections of their own.
#[must_use]
pub fn registry() -> Registry {
    over(Pool::new())
}

/// All of them. Those that work on hosts share one pool of connections: whatever is on a host goes through one.
#[must_use]
pub fn over(pool: Pool) -> Registry {
    let mut core = grappe_provider_core::providers();
    core.push(grappe_provider_openstack::provider());
    let provisioners = grappe_provisioners::provisioners(&pool);
    let hosts = [
        grappe_provider_host::provider(pool.clone()),
        grappe_provider_haproxy::provider(pool.clone()),
        grappe_provider_keepalived::provider(pool.clone()),
        grappe_provider_kubeadm::provider(pool.clone()),
        grappe_provider_kube::provider(pool.clone()),
        grappe_provider_local::provider(pool.clone()),
        grappe_sim::provider::provider(pool),
    ];
    let registry = core.into_iter().chain(hosts).fold(Registry::default(), Registry::with);
    provisioners.into_iter().fold(registry, Registry::with_provisioner)
}
