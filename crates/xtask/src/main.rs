//! Set-up, checks, pages and benchmarks of this repository: `cargo xtask help`.

mod bed;
mod bench;
mod chain;
mod chaos;
mod check;
mod differential;
mod docs;
mod fleet;
mod growing;
mod kill_trial;
mod measure;
mod run;
mod setup;
mod shapes;

use std::process::ExitCode;

use run::say;

const HELP: &str = "cargo xtask COMMAND

  test                 all checks of this repository: tools, format, lints, tests, pages
  setup                install (Debian, as root) or ask for what the tests need
  bed kubernetes       build the Kubernetes test bed where it is missing (Debian 12, as root)
  bed kubernetes serve [NAMESPACE]
                       serve its packages and images, in a network namespace of `ip netns`
  bed openstack        start the OpenStack test bed, built where it is missing (Debian 12, as root)
  bed openstack stop   stop it
  docs [--check]       write docs/providers/ from the schemas, or say what is out of date
  bench [SIZE…] [SHAPE…] [terraform=SIZE] [limit=SECONDS] [total=SECONDS]
                       plans of the shapes count, for_each, layered, chain and mixed with 100, 1000,
                       5000 and 10000 resources, beside terraform (up to 1000 resources, 180 s a
                       step); takes 18 minutes at most and writes docs/benchmarks.md
  bench shapes         plans of 10,000 instances, of 500 modules and of 1.1 MB, beside terraform;
                       writes docs/benchmarks-plans.md
  bench chain-beside-tasks
                       a chain of six beside six single ones by two hands, beside terraform
  bench openstack [SERVERS] [pairs=N]
                       50 servers and ports on the OpenStack test bed, beside OpenStack's SDK, and a
                       plan over 500 that finds nothing to do; takes half an hour and writes
                       docs/benchmarks-openstack.md
  kill-trial [TRIALS [SEED]]
                       what a SIGKILL during an apply leaves, beside terraform (29 trials with each
                       otherwise); writes docs/kill-trial.md
  plan SHAPE SIZE DIR  write one of the plans of `bench`
  shapes DIR           write the plans of `bench shapes`
  chaos [--kills N] [--seed S] [--only TRIAL]
                       kills, full disks, mishaps of the cloud, clocks that jump: all of docs/chaos.md;
                       with --only, one trial of a seed again
  record expressions|format|plans [--all]
                       ask terraform for what the kept tables lack (or for all of it again)
  differential [SEED [COUNT]]
                       the language beside terraform, with new expressions and files
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["test"] => check::all(),
        ["setup"] => setup::ensure(),
        ["bed", "kubernetes"] => bed::kubernetes(),
        ["bed", "kubernetes", "serve"] => bed::serve(None),
        ["bed", "kubernetes", "serve", namespace] => bed::serve(Some(namespace)),
        ["bed", "openstack"] => bed::openstack(),
        ["bed", "openstack", "stop"] => bed::stop(),
        ["docs"] => docs::write(false),
        ["docs", "--check"] => docs::write(true),
        ["bench", "shapes"] => shapes::run(),
        ["bench", "chain-beside-tasks"] => chain::run(),
        ["bench", "openstack", ref words @ ..] => fleet::run(words),
        ["shapes", dir] => shapes::command(dir),
        ["bench", ref sizes @ ..] => bench::run(sizes),
        ["chaos", ref flags @ ..] => chaos::run(flags),
        ["differential", ref words @ ..] => differential::run(words),
        ["kill-trial", ref words @ ..] => kill_trial::run(words),
        ["plan", shape, size, dir] => growing::command(shape, size, dir),
        ["record", what, ref words @ ..] => differential::record_kept(what, words),
        ["measure", limit, ref command @ ..] => measure::inside(limit, command),
        ["help" | "--help" | "-h"] => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        _ => {
            say(HELP);
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
