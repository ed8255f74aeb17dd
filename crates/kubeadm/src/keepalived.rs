//! A virtual address that moves between load balancers: a typed model and the `keepalived.conf` it becomes.
//!
//! Every machine starts as `BACKUP`: who has the highest priority takes the address by itself, and a machine that comes back
//! does not take it for a moment first. The check asks what the address leads to on the machine itself: while it fails, the
//! machine gives the address up. Clouds and many switches drop VRRP's multicast: name the peers there.
//!
//! The same input always renders the same bytes. Source: keepalived.conf(5) of keepalived 2.2.

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::Secret;

/// One VRRP instance with one address.
#[derive(Clone, PartialEq, Eq)]
pub struct Vip {
    /// Names the instance; letters, digits, `_ -`.
    pub name: String,
    /// The network card that gets the address.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network; all of them unless told otherwise.
    pub prefix: u8,
    /// 1–255: one group of machines, alone with this number on its network.
    pub virtual_router_id: u8,
    /// 1–254: who has the highest holds the address.
    pub priority: u8,
    /// The other machines; multicast where there is none.
    pub unicast_peers: Vec<IpAddr>,
    /// Shared by the group, eight characters at most: it keeps strangers' groups apart, no more, since it goes in clear.
    pub auth_pass: Option<Secret>,
    /// A command that succeeds as long as this machine may hold the address.
    pub check: Option<String>,
}

/// Not the password.
impl fmt::Debug for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vip({} {} on {})", self.name, self.address, self.interface)
    }
}

/// Why a [`Vip`] cannot become a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name has a character that would break its line.
    #[error("{what} {value:?} must be one word of letters, digits, `_`, `-`, `.` and `@`")]
    Name {
        /// `name` or `interface`.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// VRRP knows 1–255.
    #[error("virtual_router_id must be 1 to 255")]
    RouterId,
    /// 255 is the address's owner, which no machine of a group is.
    #[error("priority must be 1 to 254")]
    Priority,
    /// More bits than the address has.
    #[error("{0} has no {1} bits")]
    Prefix(IpAddr, u8),
    /// keepalived takes eight characters of it, and none that ends a word.
    #[error("auth_pass must be one word of 1 to 8 characters: keepalived cuts off what is more")]
    AuthPass,
    /// A quote would end the command early.
    #[error("the check {0:?} must be one line without double quotes")]
    Check(String),
    /// An IPv4 group cannot speak to an IPv6 peer.
    #[error("the peer {0} is of another address family than {1}")]
    Family(IpAddr, IpAddr),
}

impl Vip {
    /// Whether [`render`] gives a file that keepalived will load.
    ///
    /// # Errors
    /// The first field that would not.
    pub fn validate(&self) -> Result<(), Error> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        for (what, value) in [("name", &self.name), ("interface", &self.interface)] {
            if value.is_empty() || !value.chars().all(legal) {
                return Err(Error::Name { what, value: value.clone() });
            }
        }
        if self.virtual_router_id == 0 {
            return Err(Error::RouterId);
        }
        if self.priority == 0 || self.priority == 255 {
            return Err(Error::Priority);
        }
        if self.prefix > full(self.address) {
            return Err(Error::Prefix(self.address, self.prefix));
        }
        if let Some(pass) = &self.auth_pass {
            let word = |text: &str| {
                (1..=8).contains(&text.len())
                    && text.chars().all(|c| {
                        c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '#' | '!' | '{' | '}' | '$' | '@')
                    })
            };
            if !word(pass.expose()) {
                return Err(Error::AuthPass);
            }
        }
        if let Some(check) =
            self.check.as_ref().filter(|check| check.is_empty() || check.contains(['"', '\n']))
        {
            return Err(Error::Check(check.clone()));
        }
        match self.unicast_peers.iter().find(|peer| peer.is_ipv4() != self.address.is_ipv4()) {
            Some(peer) => Err(Error::Family(*peer, self.address)),
            None => Ok(()),
        }
    }
}

/// The bits of an address.
pub fn full(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A check that something accepts connections: at once, with nothing but bash and coreutils.
pub fn tcp_check(host: &str, port: u16) -> String {
    format!("/usr/bin/timeout 2 /bin/bash -c '</dev/tcp/{host}/{port}'")
}

/// The whole `keepalived.conf`, ending in a newline. Call [`Vip::validate`] first.
pub fn render(vip: &Vip) -> String {
    let mut out = String::new();
    write(&mut out, vip).expect("writing to a String cannot fail");
    out
}

fn write(out: &mut String, vip: &Vip) -> std::fmt::Result {
    let Vip { name, interface, .. } = vip;
    writeln!(out, "# Written by grappe: changes made here are undone by the next apply.")?;
    writeln!(out, "global_defs {{")?;
    writeln!(out, "    router_id {name}")?;
    writeln!(out, "    script_user root")?;
    writeln!(out, "    enable_script_security")?;
    writeln!(out, "}}")?;
    if let Some(check) = &vip.check {
        writeln!(out, "\nvrrp_script check_{name} {{")?;
        writeln!(out, "    script \"{check}\"")?;
        writeln!(out, "    interval 1")?;
        writeln!(out, "    timeout 3")?;
        writeln!(out, "    fall 2")?;
        writeln!(out, "    rise 2")?;
        writeln!(out, "}}")?;
    }
    writeln!(out, "\nvrrp_instance {name} {{")?;
    writeln!(out, "    state BACKUP")?;
    writeln!(out, "    interface {interface}")?;
    writeln!(out, "    virtual_router_id {}", vip.virtual_router_id)?;
    writeln!(out, "    priority {}", vip.priority)?;
    writeln!(out, "    advert_int 1")?;
    if !vip.unicast_peers.is_empty() {
        writeln!(out, "    unicast_peer {{")?;
        for peer in &vip.unicast_peers {
            writeln!(out, "        {peer}")?;
        }
        writeln!(out, "    }}")?;
    }
    if let Some(pass) = &vip.auth_pass {
        writeln!(out, "    authentication {{")?;
        writeln!(out, "        auth_type PASS")?;
        writeln!(out, "        auth_pass {}", pass.expose())?;
        writeln!(out, "    }}")?;
    }
    writeln!(out, "    virtual_ipaddress {{")?;
    writeln!(out, "        {}/{} dev {interface}", vip.address, vip.prefix)?;
    writeln!(out, "    }}")?;
    if vip.check.is_some() {
        writeln!(out, "    track_script {{")?;
        writeln!(out, "        check_{name}")?;
        writeln!(out, "    }}")?;
    }
    writeln!(out, "}}")
}

/// A file with its password taken out: as `(sensitive)` where it is the one expected, and told apart where it is another.
pub fn without_password(text: &str, expected: Option<&str>) -> String {
    let line = |line: &str| {
        let Some((before, pass)) = line.split_once("auth_pass ") else { return line.to_owned() };
        let word = if expected.is_some_and(|expected| expected == pass.trim()) {
            "(sensitive)"
        } else {
            "(another one)"
        };
        let end = if line.ends_with('\n') { "\n" } else { "" };
        format!("{before}auth_pass {word}{end}")
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip() -> Vip {
        Vip {
            name: "api".into(),
            interface: "eth0".into(),
            address: "10.0.0.100".parse().expect("an address"),
            prefix: 32,
            virtual_router_id: 51,
            priority: 101,
            unicast_peers: vec!["10.0.0.2".parse().expect("an address")],
            auth_pass: Some(Secret::new("s3cret")),
            check: Some(tcp_check("127.0.0.1", 6443)),
        }
    }

    #[test]
    fn the_file_is_written_whole() {
        insta::assert_snapshot!(render(&vip()), @r#"
        # Written by grappe: changes made here are undone by the next apply.
        global_defs {
            router_id api
            script_user root
            enable_script_security
        }

        vrrp_script check_api {
            script "/usr/bin/timeout 2 /bin/bash -c '</dev/tcp/127.0.0.1/6443'"
            interval 1
            timeout 3
            fall 2
            rise 2
        }

        vrrp_instance api {
            state BACKUP
            interface eth0
            virtual_router_id 51
            priority 101
            advert_int 1
            unicast_peer {
                10.0.0.2
            }
            authentication {
                auth_type PASS
                auth_pass s3cret
            }
            virtual_ipaddress {
                10.0.0.100/32 dev eth0
            }
            track_script {
                check_api
            }
        }
        "#);
        let bare = render(&Vip { unicast_peers: vec![], auth_pass: None, check: None, ..vip() });
        assert!(!bare.contains("script ") && !bare.contains("unicast") && !bare.contains("auth"), "{bare}");
    }

    #[test]
    fn passwords_are_told_apart_and_not_shown() {
        let file = render(&vip());
        let shown = without_password(&file, Some("s3cret"));
        assert!(shown.contains("auth_pass (sensitive)\n") && !shown.contains("s3cret"));
        assert!(without_password(&file, Some("other")).contains("auth_pass (another one)\n"));
        assert!(!format!("{:?}", vip()).contains("s3cret"));
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        assert_eq!(vip().validate(), Ok(()));
        let with = |change: fn(&mut Vip)| {
            let mut vip = vip();
            change(&mut vip);
            vip.validate().expect_err("must be refused")
        };
        assert!(matches!(with(|v| v.name = "my api".into()), Error::Name { what: "name", .. }));
        assert!(matches!(with(|v| v.interface = "eth0 }".into()), Error::Name { what: "interface", .. }));
        assert_eq!(with(|v| v.virtual_router_id = 0), Error::RouterId);
        assert_eq!(with(|v| v.priority = 255), Error::Priority);
        assert!(matches!(with(|v| v.prefix = 33), Error::Prefix(..)));
        assert_eq!(with(|v| v.auth_pass = Some(Secret::new("nine long"))), Error::AuthPass);
        assert!(matches!(with(|v| v.check = Some("sh -c \"x\"".into())), Error::Check(_)));
        assert!(matches!(
            with(|v| v.unicast_peers = vec!["fd00::1".parse().expect("an address")]),
            Error::Family(..)
        ));
    }
}
