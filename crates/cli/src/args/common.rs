//! What many commands take: where the state is, variables, durations.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, FromArgMatches};

/// Where the state is, and how long to wait for it.
#[derive(Clone, Debug, Default, Args)]
pub struct StateArgs {
    /// The folder of the state (otherwise the plan folder's grappe.state/, or
    /// state/NAME for plans/NAME in a project that has both).
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// A setting of the plan's backend, or a file with such settings: over what
    /// its block says. May be repeated.
    #[arg(long, value_name = "NAME=VALUE|FILE", conflicts_with = "state_dir")]
    pub backend_config: Vec<String>,
}

/// Values of variables.
#[derive(Clone, Debug, Default)]
pub struct VariableArgs {
    /// `-var` and `-var-file`, in the order in which they stand.
    pub given: Vec<Given>,
    /// Whether to ask for what is missing.
    pub input: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// `-var NAME=VALUE`
    Var(String),
    /// `-var-file FILE`
    File(PathBuf),
}

/// The flags behind [`VariableArgs`]: clap keeps their order apart from their values.
#[derive(Args)]
struct VariableFlags {
    /// Set a variable. May be repeated; the last one wins, over files and TF_VAR_NAME.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Read variables from a file. May be repeated; in turn with -var.
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
    /// Ask for variables that have no value, where somebody is there to answer.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    input: bool,
}

impl FromArgMatches for VariableArgs {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let flags = VariableFlags::from_arg_matches(matches)?;
        let at = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
        let vars = at("var").into_iter().zip(flags.var.into_iter().map(Given::Var));
        let files = at("var_file").into_iter().zip(flags.var_file.into_iter().map(Given::File));
        let mut all: Vec<(usize, Given)> = vars.chain(files).collect();
        all.sort_by_key(|(at, _)| *at);
        Ok(VariableArgs { given: all.into_iter().map(|(_, given)| given).collect(), input: flags.input })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for VariableArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        VariableFlags::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        VariableFlags::augment_args_for_update(command)
    }
}

/// `90s`, `10m`, `1h30m`, as Go writes durations: zero needs no unit.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { grappe_value::duration::parse(text) }
}
