//! How old the answers are that a plan takes from the state instead of asking.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use grappe_plan::Plan;
use grappe_provider::Registry;
use grappe_state::State;
use grappe_value::addr::InstanceAddr;
use serde_json::{Value as Json, json};

use super::diff::plural;
use super::style::{Style, Tone, wrap};

/// How many objects of one age are named.
const NAMED: usize = 4;

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The objects that a plan takes as the state remembers them, with when that was so.
#[must_use]
pub fn reused(
    plan: &Plan,
    state: &State,
    registry: &Registry,
    read: &BTreeSet<InstanceAddr>,
) -> Vec<(InstanceAddr, Option<u64>)> {
    let reads = |addr: &InstanceAddr| registry.resource(&addr.resource.ty).is_some_and(|ty| ty.reads());
    let unread = plan.changes.iter().map(|c| &c.addr).filter(|addr| reads(addr) && !read.contains(addr));
    let mut reused: Vec<_> = unread
        .filter_map(|addr| {
            let stored = state.objects.get(plan.moved_from(addr).unwrap_or(addr))?;
            Some((addr.clone(), stored.seen))
        })
        .collect();
    reused.dedup_by(|a, b| a.0 == b.0);
    reused
}

/// By age, the youngest first.
#[must_use]
pub fn render(reused: &[(InstanceAddr, Option<u64>)], now: u64, style: Style) -> Vec<String> {
    let mut by_age: BTreeMap<Option<std::cmp::Reverse<u64>>, (String, Vec<String>)> = BTreeMap::new();
    let mut known: BTreeMap<String, Option<std::cmp::Reverse<u64>>> = BTreeMap::new();
    for (addr, seen) in reused {
        let text = seen.map_or_else(
            || "of unknown age".to_owned(),
            |seen| format!("of {} ago", age(now.saturating_sub(seen))),
        );
        // What reads alike stands together, however many seconds lie between.
        let key = *known.entry(text.clone()).or_insert(seen.map(std::cmp::Reverse));
        by_age.entry(key).or_insert_with(|| (text, Vec::new())).1.push(addr.to_string());
    }
    let mut out = Vec::new();
    // What is of unknown age sorts first, and is told last.
    let unknown = by_age.remove(&None);
    for (text, addrs) in by_age.into_values().chain(unknown) {
        let more = addrs.len().saturating_sub(NAMED);
        let mut names = addrs.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            names.push_str(&format!(" and {more} more"));
        }
        out.extend(wrap(&format!("Not refreshed, state {text}: {names}."), style.width));
    }
    out.iter().map(|line| style.paint(Tone::Dim, line)).collect()
}

/// For programs: each object with its age in seconds.
#[must_use]
pub fn json(reused: &[(InstanceAddr, Option<u64>)], now: u64) -> Json {
    let objects: Vec<Json> = reused
        .iter()
        .map(|(addr, seen)| json!({ "address": addr.to_string(), "age": seen.map(|seen| now.saturating_sub(seen)) }))
        .collect();
    json!({ "type": "not_refreshed", "objects": objects })
}

/// `45 seconds`, `3 hours`, `2 days`
fn age(seconds: u64) -> String {
    let (n, unit) = match seconds {
        0..=89 => (seconds, "second"),
        90..=5_399 => ((seconds + 30) / 60, "minute"),
        5_400..=129_599 => ((seconds + 1_800) / 3_600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    format!("{n} {unit}{}", plural(usize::try_from(n).unwrap_or(usize::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_age_stand_together_the_youngest_first() {
        let now = 10_000_000;
        let object = |n: usize, ago: Option<u64>| {
            (format!("host_file.f[{n}]").parse().unwrap(), ago.map(|ago| now - ago))
        };
        let reused: Vec<_> = (0..7)
            .map(|n| object(n, Some(3 * 3_600 + n as u64)))
            .chain([object(8, None), object(9, Some(1)), object(10, Some(200_000)), object(11, Some(120))])
            .collect();
        insta::assert_snapshot!(render(&reused, now, Style::default()).join("\n"), @r"
        Not refreshed, state of 1 second ago: host_file.f[9].
        Not refreshed, state of 2 minutes ago: host_file.f[11].
        Not refreshed, state of 3 hours ago: host_file.f[0], host_file.f[1],
        host_file.f[2], host_file.f[3] and 3 more.
        Not refreshed, state of 2 days ago: host_file.f[10].
        Not refreshed, state of unknown age: host_file.f[8].
        ");
        assert!(render(&[], now, Style::default()).is_empty());
        assert_eq!(
            json(&reused[7..9], now)["objects"],
            json!([
                { "address": "host_file.f[8]", "age": null }, { "address": "host_file.f[9]", "age": 1 },
            ])
        );
    }
}
