//! Version constraints: `>= 1.5, < 2.0`, `~> 1.3`.

use std::cmp::Ordering;

/// The version of Terraform whose language this crate speaks: what `required_version` is held against.
pub(super) const SPOKEN: &str = "1.11.4";

/// Whether a version fits a constraint.
///
/// # Errors
/// What is wrong with the constraint.
pub(super) fn fits(version: &str, constraint: &str) -> Result<bool, String> {
    let (have, _) = parse(version)?;
    let mut all = true;
    for part in constraint.split(',') {
        let part = part.trim();
        let end = part.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(part.len());
        let (op, wanted) = (part[..end].trim(), &part[end..]);
        let (want, segments) = parse(wanted)?;
        let order = have.cmp(&want);
        all &= match op {
            "" | "=" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            ">" => order == Ordering::Greater,
            ">=" => order != Ordering::Less,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            // All segments but the last that is given stay.
            "~>" => order != Ordering::Less && have[..segments.max(2) - 1] == want[..segments.max(2) - 1],
            other => return Err(format!("\"{other}\" is not an operator of version constraints")),
        };
    }
    Ok(all)
}

/// Three numbers, and how many were given. A pre-release suffix is left out.
fn parse(version: &str) -> Result<([u64; 3], usize), String> {
    let plain = version.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or("");
    let mut out = [0; 3];
    let mut count = 0;
    for part in plain.split('.') {
        let slot = out.get_mut(count).ok_or_else(|| format!("\"{version}\" has more than three parts"))?;
        *slot = part.parse().map_err(|_| format!("\"{version}\" is not a version"))?;
        count += 1;
    }
    Ok((out, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_terraform_has_them() {
        for (constraint, want) in [
            (">= 1.5", true),
            (">= 1.5, < 2.0", true),
            ("~> 1.3", true),
            ("~> 1.11.0", true),
            ("~> 1.10.0", false),
            ("~> 0.13", false),
            ("1.11.4", true),
            ("= 1.11.3", false),
            ("!= 1.11.4", false),
            ("< 1.11.4", false),
            (">= 1.12", false),
        ] {
            assert_eq!(fits(SPOKEN, constraint), Ok(want), "{constraint}");
        }
        for bad in ["", "x", ">= 1.x", "=> 1.0", "1.2.3.4"] {
            assert!(fits(SPOKEN, bad).is_err(), "{bad}");
        }
    }
}
