//! What reaches into machines and clusters: `ssh`, `kubectl`, `sim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use grappe_value::addr::InstanceAddr;

use super::common::StateArgs;

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
