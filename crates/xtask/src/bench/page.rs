//! docs/benchmarks.md: the figures, what they are beside one another, and how they grow.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Choice, Outcome, Row, STEPS, Tool};
use crate::growing::Growing;
use crate::measure::Cost;

/// Smaller plans cost what a process costs: how they grow says little.
const GROWS_FROM: usize = 1_000;

pub(super) fn page(rows: &[Row], choice: &Choice, words: &[&str], took: Duration) -> String {
    let command: Vec<&str> = ["cargo xtask bench"].iter().chain(words).copied().collect();
    let mut out = format!(
        "# What it costs\n\nWritten by `{}`, in {} minutes: grappe as it is released beside Terraform 1.11, one after the other on the same machine, each \
         step a process of its own.\nMachine: {}.\n\nEach cell: wall time / CPU time / peak memory. What is through in {} s is done {} times, \
         and the middle counts. A step is given up after {} s.\nTerraform has no plan of more than {} resources here: it would take hours.\n",
        command.join(" "),
        took.as_secs().div_ceil(60),
        machine(),
        super::SHORT.as_secs(),
        super::REPEATS,
        choice.limit.as_secs(),
        thousands(choice.terraform),
    );
    if !rows.iter().any(|row| row.tool == Tool::Terraform) {
        out.push_str("It was not asked, or not installed there.\n");
    }
    promises(rows, &mut out);
    beside(rows, &mut out);
    growth(rows, &mut out);
    for shape in &choice.shapes {
        let _ = write!(out, "\n## {}\n\n{}\n\n", shape.name(), shape.description());
        figures(rows.iter().filter(|row| row.shape == *shape), &mut out);
    }
    out
}

fn figures<'a>(rows: impl Iterator<Item = &'a Row>, out: &mut String) {
    let _ = write!(
        out,
        "| resources | | {} | state |\n|---:|---|{}---:|\n",
        STEPS.join(" | "),
        "---|".repeat(STEPS.len())
    );
    for row in rows {
        let cells: Vec<String> = row.steps.iter().map(cell).collect();
        let state = row.state_bytes.map_or_else(|| "–".into(), |b| format!("{} KiB", thousands(kib(b))));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {state} |",
            thousands(row.size),
            row.tool.name(),
            cells.join(" | ")
        );
    }
}

/// What the largest plan must keep to, and whether it does.
fn promises(rows: &[Row], out: &mut String) {
    let ours = |row: &&Row| row.tool == Tool::Grappe && row.size >= 10_000;
    let mut lines = Vec::new();
    for row in rows.iter().filter(ours) {
        let name = format!("{} {}", row.shape.name(), thousands(row.size));
        for (step, most) in STEPS.iter().zip([1.0, 2.0, 1.0, 2.0]) {
            let Some(cost) = cost_of(row, step) else { continue };
            let wall = cost.wall.as_secs_f64();
            lines.push((
                format!("{name}: {step}"),
                format!("under {most} s"),
                format!("{wall:.2} s"),
                wall < most,
            ));
        }
        let peak = row.steps.iter().filter_map(Outcome::cost).map(|c| c.peak_kib).max().unwrap_or_default();
        let mib = peak.div_ceil(1024);
        lines.push((format!("{name}: memory"), "under 200 MB".into(), format!("{mib} MiB"), peak < 200_000));
        let worst =
            exponents(rows, Tool::Grappe, row.shape).into_iter().flat_map(Exponents::all).fold(0.0, f64::max);
        lines.push((
            format!("{name}: growth of anything"),
            "at most 1.1".into(),
            format!("{worst:.2}"),
            worst <= 1.1,
        ));
    }
    for step in ["apply", "destroy"] {
        if let Some(ratio) = ratio(rows, Growing::Layered, 1_000, step, |c| c.cpu.as_secs_f64()) {
            let name = format!("layered 1,000: {step}, CPU beside terraform");
            lines.push((name, "20 times less".into(), format!("{ratio:.0} times less"), ratio >= 20.0));
        }
    }
    if lines.is_empty() {
        return;
    }
    out.push_str("\n## What is promised\n\n| | promised | measured | |\n|---|---|---|---|\n");
    for (what, most, is, kept) in lines {
        let _ = writeln!(out, "| {what} | {most} | {is} | {} |", if kept { "kept" } else { "**not kept**" });
    }
}

/// How many times more Terraform takes.
fn beside(rows: &[Row], out: &mut String) {
    let theirs: Vec<&Row> = rows.iter().filter(|row| row.tool == Tool::Terraform).collect();
    if theirs.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "\n## Terraform : grappe\n\nHow many times more Terraform takes: wall time / CPU time / peak memory. `>`: it was given up.\n\n| plan | resources | {} \
         | state |\n|---|---:|{}---:|\n",
        STEPS.join(" | "),
        "---:|".repeat(STEPS.len()),
    );
    for row in theirs {
        let ours = rows.iter().find(|r| r.tool == Tool::Grappe && r.shape == row.shape && r.size == row.size);
        let Some(ours) = ours else { continue };
        let cells: Vec<String> = row
            .steps
            .iter()
            .zip(&ours.steps)
            .map(|(theirs, ours)| match (theirs, ours) {
                (Outcome::Cost(theirs), Outcome::Cost(ours)) => format!(
                    "{} / {} / {}",
                    times(seconds(theirs.wall), seconds(ours.wall)),
                    times(seconds(theirs.cpu), seconds(ours.cpu)),
                    times(theirs.peak_kib as f64, ours.peak_kib as f64),
                ),
                (Outcome::Over(limit), Outcome::Cost(ours)) => {
                    format!("> {}", times(seconds(*limit), seconds(ours.wall)))
                }
                _ => "–".into(),
            })
            .collect();
        let state = match (row.state_bytes, ours.state_bytes) {
            (Some(theirs), Some(ours)) => times(theirs as f64, ours as f64),
            _ => "–".into(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {state} |",
            row.shape.name(),
            thousands(row.size),
            cells.join(" | ")
        );
    }
}

fn times(theirs: f64, ours: f64) -> String {
    let ratio = theirs / ours.max(f64::MIN_POSITIVE);
    if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

/// How many times more of it Terraform needs for a step.
fn ratio(rows: &[Row], shape: Growing, size: usize, step: &str, of: impl Fn(&Cost) -> f64) -> Option<f64> {
    let cost = |tool| {
        let row = rows.iter().find(|r| r.tool == tool && r.shape == shape && r.size == size)?;
        cost_of(row, step).map(&of)
    };
    Some(cost(Tool::Terraform)? / cost(Tool::Grappe)?)
}

/// The powers of the number of resources with which a step's costs grow.
#[derive(Clone, Copy, Debug)]
struct Exponents {
    wall: f64,
    cpu: f64,
    memory: f64,
    /// Of the state: the same for all steps.
    bytes: Option<f64>,
}

impl Exponents {
    fn all(self) -> impl Iterator<Item = f64> {
        [self.wall, self.cpu, self.memory].into_iter().chain(self.bytes)
    }
}

/// For each of the steps that was measured with two sizes at least.
fn exponents(rows: &[Row], tool: Tool, shape: Growing) -> Vec<Exponents> {
    STEPS.iter().filter_map(|step| exponents_of(rows, tool, shape, step)).collect()
}

fn exponents_of(rows: &[Row], tool: Tool, shape: Growing, step: &str) -> Option<Exponents> {
    let rows: Vec<&Row> = rows.iter().filter(|r| r.tool == tool && r.shape == shape).collect();
    let points: Vec<(usize, Cost)> = rows.iter().filter_map(|r| Some((r.size, *cost_of(r, step)?))).collect();
    let of =
        |value: &dyn Fn(&Cost) -> f64| fit(&points.iter().map(|(n, c)| (*n, value(c))).collect::<Vec<_>>());
    let bytes: Vec<(usize, f64)> =
        rows.iter().filter_map(|r| Some((r.size, r.state_bytes? as f64))).collect();
    Some(Exponents {
        wall: of(&|c| seconds(c.wall))?,
        cpu: of(&|c| seconds(c.cpu))?,
        memory: of(&|c| c.peak_kib as f64)?,
        bytes: fit(&bytes),
    })
}

/// The slope of the straight line through the logarithms that has the least squares, through the larger plans where there are two at least.
fn fit(points: &[(usize, f64)]) -> Option<f64> {
    let large: Vec<_> = points.iter().filter(|(n, _)| *n >= GROWS_FROM).copied().collect();
    let points = if large.len() >= 2 { &large } else { points };
    if points.len() < 2 {
        return None;
    }
    let logs: Vec<(f64, f64)> =
        points.iter().map(|(n, y)| ((*n as f64).ln(), y.max(f64::MIN_POSITIVE).ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in logs {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (below > 0.0).then(|| above / below)
}

fn growth(rows: &[Row], out: &mut String) {
    let _ = write!(
        out,
        "\n## How it grows\n\nThe exponent with which wall time / CPU time / peak memory, and the bytes of the state, grow with the number of resources: \
         the slope of the line of least squares through the logarithms, of the sizes from {} on where there are two of them. 1: twice the resources, \
         twice the cost. 2: four times.\n\n| plan | | {} | state |\n|---|---|{}---|\n",
        thousands(GROWS_FROM),
        STEPS.join(" | "),
        "---|".repeat(STEPS.len()),
    );
    for shape in Growing::ALL {
        for tool in [Tool::Grappe, Tool::Terraform] {
            let found: Vec<Option<Exponents>> =
                STEPS.iter().map(|step| exponents_of(rows, tool, shape, step)).collect();
            let Some(any) = found.iter().flatten().next() else { continue };
            let bytes = any.bytes.map_or_else(|| "–".into(), |b| format!("{b:.2}"));
            let cells: Vec<String> = found
                .iter()
                .map(|e| {
                    e.map_or_else(
                        || "–".into(),
                        |e| format!("{:.2} / {:.2} / {:.2}", e.wall, e.cpu, e.memory),
                    )
                })
                .collect();
            let _ = writeln!(out, "| {} | {} | {} | {bytes} |", shape.name(), tool.name(), cells.join(" | "));
        }
    }
}

fn cost_of<'r>(row: &'r Row, step: &str) -> Option<&'r Cost> {
    row.steps[STEPS.iter().position(|s| *s == step)?].cost()
}

pub(crate) fn cell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Cost(cost) => format!(
            "{:.2} s / {:.2} s / {} MiB",
            cost.wall.as_secs_f64(),
            cost.cpu.as_secs_f64(),
            cost.peak_kib.div_ceil(1024)
        ),
        Outcome::Over(limit) => format!("over {} s", limit.as_secs()),
        Outcome::NotTried => "not tried".into(),
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn kib(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX)
}

fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What it was measured on.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    format!("{cpus} cores, {}", model.as_deref().unwrap_or("of unknown make"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_is_that_of_the_power() {
        for power in [0.5, 1.0, 2.1] {
            let points: Vec<(usize, f64)> =
                [1_000usize, 5_000, 10_000].map(|n| (n, 0.003 * (n as f64).powf(power))).to_vec();
            let found = fit(&points).unwrap();
            assert!((found - power).abs() < 1e-9, "{found}");
        }
        assert_eq!(fit(&[(1_000, 1.0)]), None);
        assert_eq!(fit(&[(1_000, 1.0), (1_000, 2.0)]), None, "one size says nothing");
        // What a process costs anyway does not count where there is more.
        let with_small = [(100, 5.0), (1_000, 5.0), (10_000, 50.0)];
        assert!((fit(&with_small).unwrap() - 1.0).abs() < 1e-9);
        assert!((fit(&[(100, 5.0), (1_000, 50.0)]).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_page_tells_costs_ratios_growth_and_what_is_not_kept() {
        let cost = |ms| {
            Outcome::Cost(Cost {
                wall: Duration::from_millis(ms),
                cpu: Duration::from_millis(ms),
                peak_kib: 50_000,
            })
        };
        let row = |tool, size, steps: [Outcome; 4]| Row {
            tool,
            shape: Growing::Layered,
            size,
            steps: steps.to_vec(),
            state_bytes: Some(size as u64 * 500),
        };
        let over = Outcome::Over(Duration::from_secs(180));
        let rows = [
            row(Tool::Grappe, 1_000, [cost(50), cost(100), cost(50), cost(100)]),
            row(Tool::Terraform, 1_000, [cost(5_000), cost(60_000), over, Outcome::NotTried]),
            row(Tool::Grappe, 10_000, [cost(500), cost(1_000), cost(1_500), cost(1_000)]),
        ];
        let choice = Choice::of(&[]).unwrap();
        let text = page(&rows, &choice, &["layered"], Duration::from_secs(61));
        for line in [
            "Written by `cargo xtask bench layered`, in 2 minutes",
            "| layered 10,000: no-op plan | under 1 s | 1.50 s | **not kept** |",
            "| layered 10,000: apply | under 2 s | 1.00 s | kept |",
            "| layered 1,000: apply, CPU beside terraform | 20 times less | 600 times less | kept |",
            "| layered | 1,000 | 100 / 100 / 1.0 | 600 / 600 / 1.0 | > 3600 | – | 1.0 |",
            "| layered | grappe | 1.00 / 1.00 / 0.00 | 1.00 / 1.00 / 0.00 | 1.48 / 1.48 / 0.00 | 1.00 / 1.00 / 0.00 | 1.00 |",
            "| 1,000 | terraform | 5.00 s / 5.00 s / 49 MiB | 60.00 s / 60.00 s / 49 MiB | over 180 s | not tried | 489 KiB |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
