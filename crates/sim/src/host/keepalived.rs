//! keepalived.conf: the VRRP instances in it, which decide who holds a virtual address.

/// One `vrrp_instance`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Network card.
    pub interface: String,
    /// 1–255, one group of routers.
    pub router_id: u8,
    /// Who has the highest holds the addresses.
    pub priority: u8,
    /// Virtual addresses, without prefix length.
    pub addresses: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
/// The first thing that keepalived would log as a configuration error.
pub fn parse(text: &str) -> Result<Vec<Instance>, String> {
    let mut instances: Vec<Instance> = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        let spaced = line.replace('{', " { ").replace('}', " } ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let bad = |what: &str| format!("(Line {}) {what}", n + 1);
        let mut rest = words.as_slice();
        while !rest.is_empty() {
            if rest[0] == "}" {
                blocks.pop().ok_or_else(|| bad("Unexpected '}'"))?;
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|w| *w == "{" || *w == "}").unwrap_or(rest.len());
            let (statement, opens) = (&rest[..end], rest.get(end) == Some(&"{"));
            rest = &rest[(end + usize::from(opens)).min(rest.len())..];
            if opens {
                let head = statement.first().copied().unwrap_or_default();
                if head == "vrrp_instance" {
                    let name = statement.get(1).ok_or_else(|| bad("vrrp_instance needs a name"))?;
                    let instance =
                        Instance { name: (*name).to_owned(), priority: 100, ..Instance::default() };
                    instances.push(instance);
                }
                blocks.push(head.to_owned());
                continue;
            }
            let inside = blocks.iter().any(|b| b == "vrrp_instance");
            let (Some(instance), true) = (instances.last_mut(), inside) else { continue };
            let block = blocks.last().map(String::as_str).unwrap_or_default();
            if block == "virtual_ipaddress" {
                let address = statement[0].split('/').next().unwrap_or_default();
                if address.parse::<std::net::IpAddr>().is_err() {
                    return Err(bad(&format!("({}) Invalid address {address}", instance.name)));
                }
                instance.addresses.push(address.to_owned());
            } else if block == "vrrp_instance" {
                let value = statement.get(1).copied().unwrap_or_default();
                let number = |what: &str| {
                    value.parse::<u8>().ok().filter(|v| *v > 0).ok_or_else(|| {
                        bad(&format!("({}) {what} '{value}' must be between 1 and 255", instance.name))
                    })
                };
                match statement[0] {
                    "interface" => instance.interface = value.to_owned(),
                    "virtual_router_id" => instance.router_id = number("virtual_router_id")?,
                    "priority" => instance.priority = number("Priority")?,
                    _ => {}
                }
            }
        }
    }
    if let Some(open) = blocks.first() {
        return Err(format!("Missing '}}' after {open}"));
    }
    for instance in &instances {
        if instance.router_id == 0 {
            return Err(format!("({}) the virtual id must be set!", instance.name));
        }
    }
    Ok(instances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_read() {
        let text = "global_defs { router_id x }\nvrrp_script chk {\n script \"x\"\n}\nvrrp_instance API {\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority 101\n unicast_peer {\n 10.0.0.2\n }\n virtual_ipaddress {\n 10.0.0.100/32 dev eth0\n }\n}\n";
        let instances = parse(text).unwrap();
        let [one] = instances.as_slice() else { panic!("{instances:?}") };
        assert_eq!((one.interface.as_str(), one.router_id, one.priority), ("eth0", 51, 101));
        assert_eq!(one.addresses, ["10.0.0.100"]);
    }

    #[test]
    fn garbage_is_refused() {
        assert!(parse("vrrp_instance A {\n").unwrap_err().contains("Missing '}'"));
        assert!(parse("}\n").unwrap_err().contains("Line 1"));
        assert!(parse("vrrp_instance A {\n priority 300\n}\n").unwrap_err().contains("between 1 and 255"));
    }
}
