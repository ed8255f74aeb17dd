//! What plans: `plan`, `apply`, `destroy`, `validate`, `console`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use grappe_value::addr::{InstanceAddr, Target};

use super::common::{StateArgs, VariableArgs, parse_duration};

/// What every planning takes.
#[derive(Clone, Debug, Args)]
pub struct PlanningArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The variables.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Touch only this and what it depends on. May be repeated.
    #[arg(long = "target", value_name = "ADDRESS")]
    pub targets: Vec<Target>,
    /// Leave this alone, and all that depends on it; in a destruction, what it depends on.
    /// May be repeated.
    #[arg(long = "exclude", value_name = "ADDRESS", conflicts_with = "targets")]
    pub excludes: Vec<Target>,
    /// Create this instance anew. May be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<InstanceAddr>,
    /// Read what exists before planning.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub refresh: bool,
    /// Take as it is what was read or written no longer ago than this: 10m, 1h30m.
    #[arg(long, value_name = "TIME", conflicts_with = "refresh_only", value_parser = parse_duration)]
    pub refresh_age: Option<Duration>,
    /// Only record in the state what exists.
    #[arg(long, conflicts_with = "destroy_all")]
    pub refresh_only: bool,
    /// At most this many operations at once.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub parallelism: u16,
    /// At most N at once of a provider (openstack, openstack.west), a type, or what an address
    /// names (module.workers). May be repeated; over grappe.hcl in the plan folder.
    #[arg(long = "limit", value_name = "NAME=N")]
    pub limits: Vec<String>,
    /// How long to wait for a locked state: 30s, 10m.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
    /// One JSON object a line, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `grappe plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Plan to destroy all.
    #[arg(long = "destroy", id = "destroy_all")]
    pub destroy: bool,
    /// Save the plan, for `grappe apply FILE`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write blocks for the import blocks that have none, into a new file of the plan folder.
    #[arg(long, value_name = "FILE")]
    pub generate_config_out: Option<PathBuf>,
    /// Exit with 2 where there is anything to do.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Destroy all, as `grappe destroy` does.
    #[arg(long = "destroy", id = "destroy_all")]
    pub destroy: bool,
    /// Do not ask.
    #[arg(long)]
    pub auto_approve: bool,
    /// With a saved plan: plan and apply what it leaves open, too. A plan folder is always
    /// applied to the end.
    #[arg(long)]
    pub all_waves: bool,
    /// The plan folder, or a saved plan.
    #[arg(default_value = ".", value_name = "DIR|PLANFILE")]
    pub what: PathBuf,
}

/// `grappe destroy`
#[derive(Debug, Args)]
pub struct DestroyArgs {
    /// How to plan.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// Always set; `-refresh-only` can't be combined with it.
    #[arg(long = "destroy", id = "destroy_all", hide = true)]
    pub destroy: bool,
    /// Do not ask.
    #[arg(long)]
    pub auto_approve: bool,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe validate`
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The answer as JSON, in the shape of `terraform validate -json`.
    #[arg(long)]
    pub json: bool,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe console`
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The variables.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Plan first, and evaluate over what would be.
    #[arg(long)]
    pub plan: bool,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}
