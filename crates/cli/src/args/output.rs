//! What writes something out: `fmt`, `show`, `output`, `graph`, `flows`, `version`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::common::{StateArgs, VariableArgs};

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

/// `grappe version`
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// JSON.
    #[arg(long)]
    pub json: bool,
}
