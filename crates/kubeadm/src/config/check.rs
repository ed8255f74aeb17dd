//! Mistakes in a [`Cluster`] that kubeadm would find only on the machine, or not at all.

use ipnet::IpNet;

use super::{Cluster, Error};

/// Checks what can be known before any machine is reached.
pub(super) fn cluster(cluster: &Cluster) -> Result<(), Error> {
    let pods = subnets("networking.podSubnet", cluster.pod_subnet.as_deref())?;
    let services = subnets("networking.serviceSubnet", cluster.service_subnet.as_deref())?;
    for pod in &pods {
        for service in &services {
            if pod.contains(service) || service.contains(pod) {
                return Err(Error::Overlap { pods: pod.to_string(), services: service.to_string() });
            }
        }
    }
    cluster.control_plane_endpoint.as_deref().map_or(Ok(()), |text| endpoint("controlPlaneEndpoint", text))
}

/// `host` or `host:port`, IPv6 in brackets, no scheme and no path.
pub(super) fn endpoint(field: &'static str, text: &str) -> Result<(), Error> {
    let error = |problem: &str| {
        Err(Error::Field { field, value: text.into(), problem: format!("{problem}; write `host:port`") })
    };
    if text.contains("://") || text.contains('/') {
        return error("it is a URL");
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, tail)) => (host, tail.strip_prefix(':').or(Some(""))),
            None => return error("the bracket is not closed"),
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if host.is_empty() || !host.chars().all(legal) {
        return error("it names no host");
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => error("its port is not a number from 1 to 65535"),
    }
}

fn subnets(field: &'static str, text: Option<&str>) -> Result<Vec<IpNet>, Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let error = |problem: String| Error::Field { field, value: text.into(), problem };
    let nets: Vec<IpNet> = text
        .split(',')
        .map(|part| {
            let net: IpNet = part
                .parse()
                .map_err(|_| error(format!("{part:?} is not a subnet: write one such as `10.244.0.0/16`")))?;
            if net.addr() != net.network() {
                return Err(error(format!("{part} has host bits set: the subnet is {}", net.trunc())));
            }
            Ok(net)
        })
        .collect::<Result<_, _>>()?;
    let v4 = nets.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
    if v4 > 1 || nets.len() - v4 > 1 {
        return Err(error("at most one IPv4 and one IPv6 subnet can be given".into()));
    }
    Ok(nets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pods: &str, services: &str) -> Result<(), Error> {
        let mut model = Cluster::new("1.34.2".parse().expect("a version"));
        model.pod_subnet = Some(pods.into());
        model.service_subnet = Some(services.into());
        cluster(&model)
    }

    #[test]
    fn subnets_must_be_networks_apart() {
        assert_eq!(with("10.244.0.0/16", "10.96.0.0/12"), Ok(()));
        assert_eq!(with("10.244.0.0/16,fd00:1::/64", "10.96.0.0/12,fd00:2::/112"), Ok(()));
        assert!(matches!(with("10.96.0.0/16", "10.96.0.0/12"), Err(Error::Overlap { .. })));
        for bad in ["10.244.0.0", "10.244.0.1/16", "10.244.0.0/16,10.245.0.0/16", "x/8", ""] {
            let error = with(bad, "10.96.0.0/12").expect_err(bad);
            assert!(error.to_string().starts_with("`networking.podSubnet` is"), "{error}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["api.lan:6443", "10.0.0.9", "[fd00::1]:6443", "[fd00::1]", "127.0.0.1:5443"] {
            assert_eq!(endpoint("e", good), Ok(()), "{good}");
        }
        for bad in [
            "https://api.lan:6443",
            "api.lan:",
            "api.lan:0",
            "api:64430000",
            "",
            ":6443",
            "fd00::1:6443",
            "[fd00::1",
        ] {
            assert!(endpoint("e", bad).is_err(), "{bad}");
        }
    }
}
