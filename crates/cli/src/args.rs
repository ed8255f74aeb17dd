//! The command line: Terraform's flags, with one dash or two.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use grappe_value::addr::{InstanceAddr, Target};

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

/// `grappe fmt`
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// List the files that were not formatted.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub list: bool,
    /// Write the files.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = ArgAction::Set)]
    pub write: bool,
    /// Show what changes.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub diff: bool,
    /// Write nothing; exit with 3 where a file is not formatted.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub check: bool,
    /// Folders in folders too.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub recursive: bool,
    /// Files and folders; - is the standard input, whose formatted text is
    /// printed. Without any, the working folder.
    #[arg(value_name = "TARGET")]
    pub targets: Vec<PathBuf>,
}

/// `grappe show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// JSON, in a shape like Terraform's. Sensitive values are left out.
    #[arg(long)]
    pub json: bool,
    /// The plan folder, whose state is shown, or a saved plan.
    #[arg(default_value = ".", value_name = "DIR|PLANFILE")]
    pub what: PathBuf,
}

/// `grappe output`
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// JSON.
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,
    /// The value alone, without quotes and newline.
    #[arg(long, requires = "name")]
    pub raw: bool,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// One output. Sensitive ones are shown when they are named.
    pub name: Option<String>,
}

/// `grappe state …`
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the objects.
    List {
        /// The state.
        #[command(flatten)]
        state: StateArgs,
        /// The plan folder.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Only these: a module, a resource or an instance.
        addresses: Vec<Target>,
    },
    /// Show one object.
    Show {
        /// The state.
        #[command(flatten)]
        state: StateArgs,
        /// The plan folder.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// Which.
        address: InstanceAddr,
    },
    /// Give objects other addresses.
    Mv(MvArgs),
    /// Forget objects without destroying them.
    Rm(RmArgs),
    /// Print the state, its secrets sealed.
    Pull(PullArgs),
    /// Put a state that was pulled in the place of this one.
    Push(PushArgs),
    /// Seal the secrets with another key.
    Rekey(RekeyArgs),
    /// Give objects another provider.
    ReplaceProvider(ReplaceProviderArgs),
    /// List the snapshots of earlier runs, or bring one back.
    Restore(RestoreArgs),
    /// Take over what a state of Terraform holds.
    ImportTerraform(ImportTerraformArgs),
}

/// The state that a command works on.
#[derive(Clone, Debug, Args)]
pub struct SurgeryArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".", alias = "config")]
    pub dir: PathBuf,
    /// How long to wait for a locked state: 30s, 10m.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
}

/// `grappe import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// The variables.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The address that the object gets: its block must be there.
    #[arg(value_name = "ADDRESS")]
    pub address: InstanceAddr,
    /// By what it is found; what that is depends on its type.
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `grappe state rekey`
#[derive(Debug, Args)]
pub struct RekeyArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
}

/// `grappe state mv`
#[derive(Debug, Args)]
pub struct MvArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Say what would be moved, and move nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// A module, a resource with all its instances, or one instance.
    #[arg(value_name = "SOURCE")]
    pub from: Target,
    /// Its new address.
    #[arg(value_name = "DESTINATION")]
    pub to: Target,
}

/// `grappe state rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Also forget what an interrupted run began to create: what it left is no longer found.
    #[arg(long)]
    pub force: bool,
    /// Modules, resources with all their instances, or instances.
    #[arg(value_name = "ADDRESS", required = true)]
    pub addresses: Vec<Target>,
}

/// `grappe state pull`
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe state push`
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Put it there even if it is older, another one, or forgets what an interrupted run began.
    #[arg(long)]
    pub force: bool,
    /// What "state pull" printed; "-" for the standard input.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// `grappe state replace-provider`
#[derive(Debug, Args)]
pub struct ReplaceProviderArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Do not ask.
    #[arg(long)]
    pub auto_approve: bool,
    /// The provider that the objects have: NAME, NAME.ALIAS for one configuration, or
    /// Terraform's HOST/NAMESPACE/NAME.
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The provider that they get.
    #[arg(value_name = "TO")]
    pub to: String,
}

/// `grappe state restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Say what would come back and what would be forgotten, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub auto_approve: bool,
    /// Also where the snapshot has an object at an address where an interrupted run began
    /// another: that one is no longer found.
    #[arg(long)]
    pub force: bool,
    /// Which snapshot. Without it, they are listed.
    #[arg(value_name = "SERIAL")]
    pub serial: Option<u64>,
}

/// `grappe state import-terraform`
#[derive(Debug, Args)]
pub struct ImportTerraformArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Say what would be taken over, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Take over what can be, and leave the rest. Otherwise it is all or nothing.
    #[arg(long)]
    pub partial: bool,
    /// The state: terraform.tfstate, or what "terraform state pull" printed; "-" for the
    /// standard input.
    #[arg(value_name = "TFSTATE")]
    pub path: PathBuf,
}

/// `grappe taint`, `grappe untaint`
#[derive(Debug, Args)]
pub struct TaintArgs {
    /// Where.
    #[command(flatten)]
    pub at: SurgeryArgs,
    /// Only warn where there is no such object.
    #[arg(long)]
    pub allow_missing: bool,
    /// Which object.
    #[arg(value_name = "ADDRESS")]
    pub address: InstanceAddr,
}

/// `grappe force-unlock`
#[derive(Debug, Args)]
pub struct ForceUnlockArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Do not ask.
    #[arg(long)]
    pub force: bool,
    /// The number of the process that left the lock, as messages name it. Any where none is
    /// given.
    #[arg(value_name = "LOCK_ID")]
    pub id: Option<u32>,
}

/// What to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphType {
    /// The operations of a plan.
    Plan,
    /// The blocks of the configuration.
    Config,
}

/// In which language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Graphviz.
    Dot,
    /// Mermaid, which Markdown pages draw.
    Mermaid,
}

/// How to write a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Columns for people.
    Text,
    /// For spreadsheets.
    Csv,
    /// For pages and tickets.
    Markdown,
}

/// `grappe flows`
#[derive(Debug, Args)]
pub struct FlowsArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The variables.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// How to write the table.
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    pub format: TableFormat,
    /// Flows and rules of security groups as JSON.
    #[arg(long)]
    pub json: bool,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// What to draw.
    #[arg(long = "type", value_enum, default_value = "plan")]
    pub kind: GraphType,
    /// In which language.
    #[arg(long, value_enum, default_value = "dot")]
    pub format: GraphFormat,
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The variables.
    #[command(flatten)]
    pub variables: VariableArgs,
    /// The plan folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `grappe ssh`
#[derive(Debug, Args)]
pub struct SshArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// A host_machine: its address in the state, its key there, or where SSH
    /// finds it.
    pub machine: String,
    /// What to run there, as ssh takes it: one line for the shell.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `grappe kubectl`
#[derive(Debug, Args)]
pub struct KubectlArgs {
    /// The state.
    #[command(flatten)]
    pub state: StateArgs,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// The kubeadm_cluster, where the state has several.
    #[arg(long, value_name = "ADDRESS")]
    pub cluster: Option<InstanceAddr>,
    /// kubectl's own arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// `grappe sim`
#[derive(Debug, Args)]
pub struct SimArgs {
    /// The state, beside which the world is kept.
    #[command(flatten)]
    pub state: StateArgs,
    /// The world's file, where the plan names another than `world.json` beside the state.
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// The plan folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: SimCommand,
}

/// What to do in the simulated world.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// List networks, machines and the nodes of clusters.
    List {
        /// JSON.
        #[arg(long)]
        json: bool,
    },
    /// Stop a machine.
    Stop {
        /// Its name.
        machine: String,
    },
    /// Start a machine.
    Start {
        /// Its name.
        machine: String,
    },
    /// Lose a machine and its disk, as a cloud does: nobody is asked, its ports stay.
    Lose {
        /// Its name.
        machine: String,
    },
    /// Remove a file from a machine.
    RemoveFile {
        /// The machine's name.
        machine: String,
        /// The file's path on it.
        path: String,
    },
    /// Delete a node from its cluster, as `kubectl delete node`.
    DropNode {
        /// The node's name.
        node: String,
    },
    /// Set or (`KEY-`) remove a label of a node, as `kubectl label`.
    Label {
        /// The node's name.
        node: String,
        /// `KEY=VALUE` or `KEY-`.
        label: String,
    },
}

/// `grappe version`
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// JSON.
    #[arg(long)]
    pub json: bool,
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

/// `90s`, `10m`, `1h30m`, as Go writes durations: zero needs no unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { grappe_value::duration::parse(text) }
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
