//! Plans and the order of effects against Terraform's: the cases of `plans.txt`, which `tests/record_plans.py` has asked the real one.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Mutex;

use serde_json::Value as Json;

use crate::sandbox::Sandbox;

struct Case {
    name: &'static str,
    steps: Vec<Step>,
}

struct Step {
    options: Vec<&'static str>,
    files: Vec<(&'static str, String)>,
    expected: Vec<String>,
}

/// The cases with what is expected of each step: what Terraform says, or what stands in place of that.
fn cases() -> VecDeque<Case> {
    let mut cases: VecDeque<Case> = VecDeque::new();
    let mut otherwise = false;
    for line in include_str!("plans.txt").lines() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push_back(Case { name, steps: Vec::new() });
            continue;
        }
        let Some(case) = cases.back_mut() else { continue };
        if let Some(options) = line.strip_prefix('@') {
            otherwise = false;
            let options = options.split_whitespace().collect();
            case.steps.push(Step { options, files: Vec::new(), expected: Vec::new() });
            continue;
        }
        let Some(step) = case.steps.last_mut() else { continue };
        if let Some(own) = line.strip_prefix('~') {
            if !std::mem::replace(&mut otherwise, true) {
                step.expected.clear();
            }
            let own = own.split(" # ").next().unwrap_or_default().trim_end();
            step.expected.extend((!own.is_empty()).then(|| own.to_owned()));
        } else if ["=> ", "!! ", "!> "].iter().any(|mark| line.starts_with(mark)) {
            step.expected.push(line.to_owned());
        } else if let Some(name) = line.strip_prefix("--- ") {
            step.files.push((name, String::new()));
        } else {
            if step.files.is_empty() {
                step.files.push(("main.tf", String::new()));
            }
            if let Some((_, text)) = step.files.last_mut() {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    cases
}

/// What grappe says to a step, in the form of the file.
fn answers(sandbox: &Sandbox, step: &Step) -> Vec<String> {
    for (name, text) in &step.files {
        if *name != "main.tf" || !text.trim().is_empty() {
            sandbox.write(name, text);
        }
    }
    let mut args = vec!["plan", "-out=p"];
    args.extend(&step.options);
    let plan = sandbox.run(&args);
    if plan.code != 0 {
        let errors = plan.stderr.lines().filter_map(|line| line.strip_prefix("error: "));
        let mut said: Vec<String> = errors.map(|summary| format!("!! {summary}")).collect();
        said.sort();
        said.dedup();
        return said;
    }
    let shown: Json = serde_json::from_str(&sandbox.expect(0, &["show", "-json", "p"]).stdout).unwrap();
    let mut said = Vec::new();
    for change in shown["resource_changes"].as_array().unwrap() {
        let actions: Vec<&str> =
            change["change"]["actions"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        let before = change["previous_address"].as_str();
        if actions != ["no-op"] || before.is_some() {
            let mut line = format!("=> {} {}", actions.join(" "), change["address"].as_str().unwrap());
            line.extend(before.map(|before| format!(" <- {before}")));
            line.extend(change["action_reason"].as_str().map(|reason| format!(" {reason}")));
            said.push(line);
        }
    }
    for change in shown["resource_changes"].as_array().unwrap() {
        if let Some(id) = change["change"]["importing"]["id"].as_str() {
            said.push(format!("=> import {} {id}", change["address"].as_str().unwrap()));
        }
    }
    said.sort();
    if sandbox.run(&["apply", "p"]).code != 0 {
        said.push("!> 1".into());
    }
    if sandbox.path("log").exists() {
        let log: Vec<String> = sandbox.read("log").split_whitespace().map(str::to_owned).collect();
        said.push(format!("=> log {}", log.join(" ")));
    }
    if said.is_empty() {
        said.push("=> nothing".into());
    }
    said
}

#[test]
fn plans_are_those_of_terraform() {
    let all = cases();
    let (cases, steps) = (all.len(), all.iter().map(|c| c.steps.len()).sum::<usize>());
    assert!(cases >= 60 && all.iter().all(|c| !c.steps.is_empty()));
    let (left, wrong) = (Mutex::new(all), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let sandbox = Sandbox::empty();
                    for (n, step) in case.steps.iter().enumerate() {
                        let said = answers(&sandbox, step);
                        if said != step.expected {
                            let text = format!(
                                "## {} (step {})\nexpected:\n  {}\nsaid:\n  {}",
                                case.name,
                                n + 1,
                                step.expected.join("\n  "),
                                said.join("\n  ")
                            );
                            wrong.lock().unwrap().push(text);
                            break;
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let _ = writeln!(std::io::stderr(), "{cases} cases, {steps} steps");
    assert!(wrong.is_empty(), "{} of {cases} cases are otherwise:\n{}", wrong.len(), wrong.join("\n"));
}
