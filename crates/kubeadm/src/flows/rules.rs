//! Flows as a cloud's rules: what each group's security group lets in.

use super::{Cluster, Error, Protocol};

/// Of which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A rule of a security group: packets that come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What tells it from the others, and stays the same while the flow does: `worker tcp 10250 control_plane`.
    pub key: String,
    /// The group that lets in.
    pub group: String,
    /// Of which addresses.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// From port to port; for [`Protocol::Ping`] ICMP's type and code.
    pub ports: Option<(u16, u16)>,
    /// The group whose machines are let in.
    pub from_group: Option<String>,
    /// The addresses that are let in.
    pub from_range: Option<String>,
    /// What for.
    pub reason: String,
}

impl Cluster {
    /// The rules that let the flows in, for machines with addresses of these families. There is none for flows to others, nor for those of others
    /// whose addresses nobody knows.
    ///
    /// # Errors
    /// As [`Self::flows`].
    pub fn rules(&self, families: &[Family]) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for flow in self.flows()? {
            if !self.groups.iter().any(|group| group.name == flow.to) {
                continue;
            }
            let other = self.others.iter().find(|other| other.name == flow.from);
            let sources: Vec<(Family, Option<String>, Option<String>)> = match other {
                None => families.iter().map(|family| (*family, Some(flow.from.clone()), None)).collect(),
                Some(other) => {
                    let family = |range: &str| if range.contains(':') { Family::V6 } else { Family::V4 };
                    other.ranges.iter().map(|range| (family(range), None, Some(range.clone()))).collect()
                }
            };
            let ports = if flow.protocol == Protocol::Ping { Some((8, 0)) } else { flow.ports };
            for (family, from_group, from_range) in sources {
                let mut words = vec![flow.to.clone(), flow.protocol.name().to_owned()];
                words
                    .extend(flow.ports.map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }));
                words.push(flow.from.clone());
                words.extend(from_range.clone());
                words.extend((family == Family::V6 && from_range.is_none()).then(|| "ipv6".to_owned()));
                rules.push(Rule {
                    key: words.join(" "),
                    group: flow.to.clone(),
                    family,
                    protocol: flow.protocol,
                    ports,
                    from_group,
                    from_range,
                    reason: flow.reason.clone(),
                });
            }
        }
        Ok(rules)
    }
}

impl Family {
    /// Its name in rules of a cloud.
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}
