//! IP networks, in CIDR notation.

use std::net::IpAddr;

use grappe_value::{Number, Type, Value};

use super::numbers::num;
use super::{Function, Outcome, P, Refused, f, integer, number, refuse, refuse_arg, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f(
        "cidrhost",
        "the address of a host in a network; negative numbers count from its end",
        &[string("prefix"), number("hostnum")],
        P::String,
        cidrhost,
    ),
    f("cidrnetmask", "the mask of an IPv4 network", &[string("prefix")], P::String, cidrnetmask),
    f(
        "cidrsubnet",
        "a subnet with more prefix bits and a number",
        &[string("prefix"), number("newbits"), number("netnum")],
        P::String,
        cidrsubnet,
    ),
    f(
        "cidrsubnets",
        "consecutive subnets with these many more prefix bits",
        &[string("prefix")],
        P::Strings,
        cidrsubnets,
    )
    .rest(number("newbits")),
];

/// A network: its address (as a number), prefix length, and width (32 or 128 bits).
#[derive(Clone, Copy)]
struct Net {
    bits: u128,
    prefix: u32,
    width: u32,
}

impl Net {
    fn parse(args: &[Value]) -> Result<Net, Refused> {
        let whole = text(args, 0);
        let bad = || refuse(format!("invalid CIDR expression: invalid CIDR address: {whole}"));
        let Some((address, prefix)) = whole.split_once('/') else { return bad() };
        // Leading zeros in IPv4 are decimal, as Terraform keeps it.
        let address = if address.contains(':') {
            address.to_owned()
        } else {
            let short = |part: &str| {
                let digits = part.trim_start_matches('0');
                if digits.is_empty() && !part.is_empty() { "0".to_owned() } else { digits.to_owned() }
            };
            address.split('.').map(short).collect::<Vec<_>>().join(".")
        };
        let (bits, width) = match address.parse() {
            Ok(IpAddr::V4(a)) => (u128::from(a.to_bits()), 32),
            Ok(IpAddr::V6(a)) => (a.to_bits(), 128),
            Err(_) => return bad(),
        };
        match prefix.parse::<u32>() {
            Ok(n) if n <= width && n.to_string() == prefix => {
                let net = Net { bits, prefix: n, width };
                Ok(Net { bits: bits & !net.host_mask(), ..net })
            }
            _ => bad(),
        }
    }

    fn host_bits(self) -> u32 {
        self.width - self.prefix
    }

    fn host_mask(self) -> u128 {
        1u128.checked_shl(self.host_bits()).map_or(u128::MAX, |n| n - 1)
    }

    fn address(self) -> String {
        if self.width == 32 {
            std::net::Ipv4Addr::from_bits(u32::try_from(self.bits).unwrap_or(u32::MAX)).to_string()
        } else {
            std::net::Ipv6Addr::from_bits(self.bits).to_string()
        }
    }

    fn cidr(self) -> String {
        format!("{}/{}", self.address(), self.prefix)
    }
}

/// A whole number, as text where it is beyond 128 bits.
fn whole(args: &[Value], i: usize) -> Result<Number, Refused> {
    let n = num(args, i);
    if n.is_integer() { Ok(n) } else { refuse_arg(i, "value must be a whole number") }
}

fn cidrhost(args: &[Value]) -> Outcome {
    let net = Net::parse(args)?;
    let host = whole(args, 1)?;
    let too_many = || refuse(format!("prefix of {} does not accommodate a host numbered {host}", net.prefix));
    let Ok(distance) = host.to_string().trim_start_matches('-').parse::<u128>() else { return too_many() };
    let offset = if host.is_negative() {
        // -1 is the last address.
        if distance - 1 > net.host_mask() {
            return too_many();
        }
        net.host_mask() - (distance - 1)
    } else {
        if distance > net.host_mask() {
            return too_many();
        }
        distance
    };
    Ok(Net { bits: net.bits | offset, ..net }.address().into())
}

fn cidrnetmask(args: &[Value]) -> Outcome {
    let net = Net::parse(args)?;
    if net.width == 128 {
        return refuse(format!("IPv6 addresses cannot have a netmask: {}", text(args, 0)));
    }
    Ok(Net { bits: u128::from(u32::MAX) & !net.host_mask(), ..net }.address().into())
}

fn cidrsubnet(args: &[Value]) -> Outcome {
    let net = Net::parse(args)?;
    let (new_bits, number) = (integer(args, 1)?, whole(args, 2)?);
    let Ok(more) = u32::try_from(new_bits) else {
        // A shorter prefix: the network around this one, and those that follow it.
        let fewer = new_bits.unsigned_abs().try_into().ok().and_then(|fewer| net.prefix.checked_sub(fewer));
        let number = number.to_string().parse::<u128>().ok();
        let (Some(prefix), Some(number)) = (fewer, number) else {
            return refuse(format!(
                "insufficient address space to extend prefix of {} by {new_bits}",
                net.prefix
            ));
        };
        let wider = Net { prefix, ..net };
        let bits = net.bits | number.checked_shl(wider.host_bits()).unwrap_or(0);
        return Ok(Net { bits, ..wider }.cidr().into());
    };
    if net.prefix.saturating_add(more) > net.width {
        return refuse(format!("insufficient address space to extend prefix of {} by {more}", net.prefix));
    }
    let longer = Net { prefix: net.prefix + more, ..net };
    let limit = 1u128.checked_shl(more);
    let chosen = number.to_string().parse::<u128>().ok().filter(|n| limit.is_none_or(|l| *n < l));
    let Some(chosen) = chosen else {
        return refuse(format!("prefix extension of {more} does not accommodate a subnet numbered {number}"));
    };
    let bits = net.bits | chosen.checked_shl(longer.host_bits()).unwrap_or(0);
    Ok(Net { bits, ..longer }.cidr().into())
}

fn cidrsubnets(args: &[Value]) -> Outcome {
    let net = Net::parse(args)?;
    let mut out = Vec::new();
    // Where the next may start; `None` when the space is used up.
    let mut next = Some(0u128);
    for i in 1..args.len() {
        let more = integer(args, i)?;
        let Some(more) = u32::try_from(more).ok().filter(|m| *m >= 1) else {
            return refuse_arg(i, "must extend prefix by at least one bit");
        };
        if more > 32 {
            return refuse_arg(i, "may not extend prefix by more than 32 bits");
        }
        let prefix = net.prefix + more;
        if prefix > net.width {
            return refuse_arg(
                i,
                format!(
                    "would extend prefix to {prefix} bits, which is too long for an {} address",
                    if net.width == 32 { "IPv4" } else { "IPv6" }
                ),
            );
        }
        let subnet = Net { prefix, ..net };
        let size = subnet.host_mask();
        let start =
            next.and_then(|n| n.checked_add(size)).map(|n| n & !size).filter(|n| *n <= net.host_mask());
        let Some(start) = start else {
            return refuse_arg(
                i,
                format!(
                    "not enough remaining address space for a subnet with a prefix of {prefix} bits after {}",
                    out.last().and_then(Value::as_str).unwrap_or("the start")
                ),
            );
        };
        next = start.checked_add(size).and_then(|n| n.checked_add(1));
        out.push(Value::from(Net { bits: net.bits | start, ..subnet }.cidr()));
    }
    Ok(Value::list(Type::String, out))
}
