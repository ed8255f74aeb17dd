//! What works on a state by hand: `state`, `import`, `taint`, `untaint`, `force-unlock`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use grappe_value::addr::{InstanceAddr, Target};

use super::common::{StateArgs, VariableArgs, parse_duration};

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
