//! The `limits` of a machine, as plans write them.

use std::sync::Arc;

use grappe_provider::{Fault, Problem};
use grappe_value::{ObjectType, Type, Value};
use serde::Deserialize;

use crate::backend::Limits;

/// The argument.
#[derive(Debug, Deserialize)]
pub(super) struct Args {
    #[serde(default)]
    cpus: Option<f64>,
    #[serde(default)]
    memory: Option<String>,
    #[serde(default)]
    pids: Option<u64>,
}

pub(super) fn ty() -> Type {
    let attributes = [("cpus", Type::Number), ("memory", Type::String), ("pids", Type::Number)];
    Type::Object(Arc::new(ObjectType {
        optional: attributes.iter().map(|(name, _)| Arc::from(*name)).collect(),
        attributes: attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect(),
    }))
}

/// An amount of memory as Kubernetes writes it: `512Mi`, `2G`, or bytes.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "T" => 1000_u64.pow(4),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// The least memory that systemd boots in.
const LEAST: u64 = 32 << 20;
const MEMORY: &str = "not an amount of memory: write 512Mi, 2Gi, or bytes; 32Mi at least";
const CPUS: &str = "the processors must be a number from 0.01 to 4096";

fn memory_fits(text: &str) -> bool {
    bytes(text).is_some_and(|n| (LEAST..=1 << 50).contains(&n))
}

pub(super) fn validate(limits: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    if limits.get("memory").and_then(Value::as_str).is_some_and(|text| !memory_fits(text)) {
        problems.push(Problem::new("limits", MEMORY));
    }
    problems
}

/// What the configuration says, as cgroups take it.
pub(super) fn parse(args: Option<&Args>) -> Result<Limits, Fault> {
    let Some(args) = args else { return Ok(Limits::default()) };
    let wrong = |what: &str| Fault::permanent(what.to_owned()).attribute("limits");
    if args.cpus.is_some_and(|n| !(0.01..=4096.0).contains(&n)) {
        return Err(wrong(CPUS));
    }
    if args.memory.as_deref().is_some_and(|text| !memory_fits(text)) {
        return Err(wrong(MEMORY));
    }
    Ok(Limits { cpus: args.cpus, memory: args.memory.as_deref().and_then(bytes), pids: args.pids })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_kubernetes_does() {
        for (text, wanted) in [
            ("1", Some(1)),
            ("2k", Some(2000)),
            ("512Mi", Some(512 << 20)),
            ("2Gi", Some(2 << 30)),
            ("1G", Some(1_000_000_000)),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
        for text in ["", "Mi", "1.5Gi", "1 Gi", "1gb", "-1", "99999999999999999999", "99999999Ti"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_machine_can_live_in_is_refused() {
        let memory = |text: &str| parse(Some(&Args { cpus: None, memory: Some(text.into()), pids: None }));
        assert!(memory("1Mi").is_err() && memory("64Mi").is_ok());
        let cpus = |n| parse(Some(&Args { cpus: Some(n), memory: None, pids: None }));
        assert!(cpus(0.0).is_err() && cpus(-1.0).is_err() && cpus(1e9).is_err() && cpus(0.5).is_ok());
    }
}
