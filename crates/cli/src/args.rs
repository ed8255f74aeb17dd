//! The command line: Terraform's flags, with one dash or two.

mod cluster;
mod common;
mod output;
mod planning;
mod state;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use cluster::*;
pub use common::*;
pub use output::*;
pub use planning::*;
pub use state::*;

/// Brings clusters up from plans in Terraform's language, and keeps them so.
#[derive(Debug, Parser)]
#[command(name = "grappe", version, max_term_width = 80, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// Start in another folder: plan folders and files are found from there.
    #[arg(long, value_name = "DIR", global = true)]
    pub chdir: Option<PathBuf>,
    /// Print without colour (as with NO_COLOR set).
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Flags may have one dash or two. Exit codes: 0 done, 1 error, 2 changes \
(plan -detailed-exitcode), 3 the state is locked, 130 interrupted.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would be done.
    Plan(PlanArgs),
    /// Do it: a plan folder, or a file that `plan -out` wrote.
    Apply(ApplyArgs),
    /// Destroy all that the state knows.
    Destroy(DestroyArgs),
    /// Check a plan folder without a state or a network.
    Validate(ValidateArgs),
    /// Evaluate expressions over what exists.
    Console(ConsoleArgs),
    /// Rewrite files in the canonical layout.
    Fmt(FmtArgs),
    /// Show the state, or a saved plan.
    Show(ShowArgs),
    /// Show outputs.
    Output(OutputArgs),
    /// Look into the state, and work on it by hand.
    #[command(subcommand)]
    State(StateCommand),
    /// Take an object that exists into the state.
    Import(ImportArgs),
    /// Have an object of the state created anew by the next apply.
    Taint(TaintArgs),
    /// Take back what taint did.
    Untaint(TaintArgs),
    /// Take a lock away that a killed run left.
    ForceUnlock(ForceUnlockArgs),
    /// Draw what depends on what.
    Graph(GraphArgs),
    /// Show who talks to whom: what a firewall must let pass.
    Flows(FlowsArgs),
    /// Run a command on a machine of the plan.
    Ssh(SshArgs),
    /// Run kubectl on a control plane of the plan's cluster.
    Kubectl(KubectlArgs),
    /// Look into the simulated world, and break it.
    Sim(SimArgs),
    /// Show the version and the providers.
    Version(VersionArgs),
}

/// Commands that end in a command line which is not ours, and the flags of ours that may stand before it.
const PASSING: [(&str, &[&str]); 2] =
    [("ssh", &["-dir", "-state-dir", "-help"]), ("kubectl", &["-dir", "-state-dir", "-cluster", "-help"])];

/// Gives Terraform's one-dash flags their second dash: `-out=x` becomes `--out=x`. What follows `--` is left alone, and so are the flags of
/// what `ssh` and `kubectl` run.
pub fn two_dashes(args: impl IntoIterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut verbatim = false;
    let mut only: Option<&[&str]> = None;
    let mut command = false;
    args.into_iter()
        .enumerate()
        .map(|(at, arg)| {
            let Some(text) = arg.to_str() else { return arg };
            verbatim |= text == "--";
            let mut chars = text.chars();
            let flag = chars.next() == Some('-') && chars.next().is_some_and(char::is_alphabetic);
            if at > 0 && !command && !text.starts_with('-') {
                command = true;
                only = PASSING.iter().find(|(name, _)| *name == text).map(|(_, flags)| *flags);
            }
            let name = text.split('=').next().unwrap_or(text);
            let ours = only.is_none_or(|flags| flags.contains(&name));
            // Two characters are a short flag of clap's: -h, -V.
            if flag && ours && !verbatim && text.len() > 2 { format!("-{text}").into() } else { arg }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(two_dashes(args.iter().map(Into::into)))
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_read_as_terraforms_do() {
        let cli = parse(&[
            "grappe",
            "-chdir=plans/lab",
            "plan",
            "-out=x",
            "-var",
            "a=b",
            "-var-file",
            "f",
            "-var=c=-1",
            "-detailed-exitcode",
            "-refresh=false",
            "-target=module.m.a.b[\"x\"]",
            "-parallelism=10",
            "-no-color",
            "-lock-timeout=1h30m",
            "-input=false",
        ])
        .unwrap();
        assert_eq!(cli.chdir, Some("plans/lab".into()));
        assert!(cli.no_color);
        let Command::Plan(plan) = cli.command else { panic!("not a plan") };
        assert_eq!(plan.out, Some("x".into()));
        let given = [Given::Var("a=b".into()), Given::File("f".into()), Given::Var("c=-1".into())];
        assert_eq!(plan.planning.variables.given, given, "in the order in which they stand");
        assert!(plan.detailed_exitcode && !plan.planning.refresh && !plan.planning.variables.input);
        assert_eq!(plan.planning.targets[0].to_string(), "module.m.a.b[\"x\"]");
        assert_eq!((plan.planning.parallelism, plan.planning.lock_timeout.as_secs()), (10, 5400));
        assert_eq!(plan.dir, PathBuf::from("."));

        let Command::Apply(apply) = parse(&["grappe", "apply", "--auto-approve", "lab"]).unwrap().command
        else {
            panic!("not an apply")
        };
        assert!(apply.auto_approve && apply.planning.refresh);
        assert_eq!(apply.what, PathBuf::from("lab"));
        assert!(parse(&["grappe", "plan", "-help"]).unwrap_err().to_string().contains("-detailed-exitcode"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            &["grappe", "plan", "-refresh-only", "-destroy"][..],
            &["grappe", "plan", "-lock-timeout=5"],
            &["grappe", "plan", "-lock-timeout=5d"],
            &["grappe", "plan", "-target=a"],
            &["grappe", "plan", "-target=a.b", "-exclude=a.c"],
            &["grappe", "apply", "-parallelism=0"],
            &["grappe", "output", "-raw"],
            &["grappe", "frobnicate"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
