//! Flows as the table that a firewall team wants: a line for what one source wants of some destinations.

use super::{Cluster, Flow, Protocol};

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// From which zone; empty where there is none.
    pub from_zone: String,
    /// Into which.
    pub to_zone: String,
    /// Who begins.
    pub from: String,
    /// To whom: several where they are asked for the same.
    pub to: Vec<String>,
    /// Protocols and ports: `TCP 2049`, `TCP/UDP 111`.
    pub what: Vec<String>,
    /// What for.
    pub reason: String,
}

/// The lines of the flows, or of those that cross from one zone into another. Zones stand in the order in which the cluster names them.
pub fn rows(cluster: &Cluster, flows: &[Flow], crossing: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut wanted: Vec<(String, String, String, Vec<String>, &Flow)> = Vec::new();
    for flow in flows {
        let zone = |name| cluster.zone(name).unwrap_or_default().to_owned();
        let (from_zone, to_zone) = (zone(&flow.from), zone(&flow.to));
        if crossing && from_zone == to_zone {
            continue;
        }
        // The same of TCP and of UDP is one thing.
        let twin = |(from, to, _, _, first): &&mut (String, String, String, Vec<String>, &Flow)| {
            (from, to) == (&from_zone, &to_zone)
                && (&first.from, &first.to, first.ports, &first.reason)
                    == (&flow.from, &flow.to, flow.ports, &flow.reason)
                && first.ports.is_some()
                && (first.protocol, flow.protocol) == (Protocol::Tcp, Protocol::Udp)
        };
        match wanted.iter_mut().find(twin) {
            Some((_, _, what, _, _)) => *what = what.replacen("TCP ", "TCP/UDP ", 1),
            None => {
                let what = flow.to_string();
                let what = what.rsplit_once(": ").map_or(what.clone(), |(_, what)| what.to_owned());
                wanted.push((from_zone, to_zone, what, vec![flow.to.clone()], flow));
            }
        }
    }
    for (from_zone, to_zone, what, to, flow) in wanted {
        let of_one = |row: &&mut Row| {
            (&row.from_zone, &row.to_zone, &row.from, &row.reason)
                == (&from_zone, &to_zone, &flow.from, &flow.reason)
        };
        // The same of several destinations, or several things of one.
        let same = rows.iter_mut().filter(of_one).find(|row| row.what == [what.clone()] || row.to == to);
        match same {
            Some(row) if row.to == to => row.what.push(what),
            Some(row) => row.to.extend(to),
            None => rows.push(Row {
                from_zone,
                to_zone,
                from: flow.from.clone(),
                to,
                what: vec![what],
                reason: flow.reason.clone(),
            }),
        }
    }
    let mut zones: Vec<&str> = cluster.groups.iter().map(|group| group.zone.as_str()).collect();
    zones.extend(cluster.others.iter().map(|other| other.zone.as_str()));
    let place = |zone: &str| zones.iter().position(|known| *known == zone);
    rows.sort_by_key(|row| (place(&row.from_zone), place(&row.to_zone)));
    rows
}

const HEAD: [&str; 5] = ["Direction", "From", "To", "Protocol and port", "Why"];

/// The cells of each line; the direction only where there are zones.
fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let zoned = rows.iter().any(|row| !row.from_zone.is_empty() || !row.to_zone.is_empty());
    let named = |zone: &str| if zone.is_empty() { "elsewhere".to_owned() } else { zone.to_owned() };
    let line = |row: &Row| {
        let direction = if row.from_zone == row.to_zone {
            format!("in {}", named(&row.from_zone))
        } else {
            format!("{} to {}", named(&row.from_zone), named(&row.to_zone))
        };
        vec![direction, row.from.clone(), row.to.join(", "), row.what.join(", "), row.reason.clone()]
    };
    let head = HEAD.map(str::to_owned).to_vec();
    let lines = std::iter::once(head).chain(rows.iter().map(line));
    lines.map(|mut cells| if zoned { cells } else { cells.split_off(1) }).collect()
}

/// The table for people: columns of spaces.
pub fn text(rows: &[Row]) -> String {
    let cells = cells(rows);
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    cells.iter().map(line).collect()
}

/// The table in CSV, as spreadsheets read it.
pub fn csv(rows: &[Row]) -> String {
    let quoted = |cell: &String| {
        let plain = !cell.contains([',', '"', '\n', '\r']);
        if plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    cells(rows).iter().map(|line| line.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// The table in Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut lines = cells(rows).into_iter().map(|line| {
        let escaped = line.iter().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", escaped.collect::<Vec<_>>().join(" | "))
    });
    let head = lines.next().unwrap_or_default();
    let rule = format!("|{}\n", "---|".repeat(head.matches('|').count() - 1));
    std::iter::once(head.clone()).chain([rule]).chain(lines).collect()
}
