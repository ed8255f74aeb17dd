//! `remote-exec`: scripts on a host.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{AnyProvisioner, Fault, Problem, StepContext};
use grappe_ssh::{Exec, Pool, quote};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::Deserialize;

use crate::remote::{LONG, Remote};
use crate::{arguments, connection};

/// Where scripts are put where nothing is said.
const SCRIPT_PATH: &str = "/tmp/grappe_%RAND%.sh";

pub(crate) struct RemoteExec {
    pool: Pool,
    schema: Schema,
    connection: Schema,
}

#[derive(Deserialize)]
struct Arguments {
    inline: Option<Vec<String>>,
    script: Option<String>,
    scripts: Option<Vec<String>>,
}

impl RemoteExec {
    pub(crate) fn new(pool: Pool) -> Self {
        RemoteExec {
            pool,
            schema: Schema::new("Scripts on a host.")
                .attr(
                    "inline",
                    Attribute::optional(
                        Type::list(Type::String),
                        "Commands: one script of them all, run by /bin/sh where the first does not say otherwise (`#!…`). The last \
                         command's exit status counts; `set -o errexit` makes each count.",
                    ),
                )
                .attr("script", Attribute::optional(Type::String, "A script's file, from the plan's folder."))
                .attr("scripts", Attribute::optional(Type::list(Type::String), "Several, in this order.")),
            connection: connection::schema(),
        }
    }
}

impl AnyProvisioner for RemoteExec {
    fn name(&self) -> &'static str {
        "remote-exec"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn connection(&self) -> Option<&Schema> {
        Some(&self.connection)
    }

    fn validate(&self, config: &Value, connection: Option<&Value>) -> Vec<Problem> {
        let given =
            ["inline", "script", "scripts"].map(|name| config.get(name).is_some_and(|v| !v.is_null()));
        let mut problems = connection.map(connection::problems).unwrap_or_default();
        if given.iter().filter(|g| **g).count() != 1 {
            problems.push(Problem {
                attribute: grappe_value::Path::default(),
                message: "Only one of \"inline\", \"script\", or \"scripts\" must be set, and one must be."
                    .into(),
                hint: None,
                warning: false,
            });
        }
        for name in ["inline", "scripts"] {
            let items = config.get(name).and_then(Value::as_items).unwrap_or_default();
            if items.iter().any(|item| item.is_null() || item.as_str() == Some("")) {
                problems.push(Problem::new(name, "One of them is null or empty."));
            }
        }
        problems
    }

    fn run<'a>(
        &'a self,
        ctx: StepContext,
        config: &'a Value,
        connection: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let Arguments { inline, script, scripts } = arguments("remote-exec", config)?;
            let mut texts = Vec::new();
            if let Some(lines) = inline {
                let text = lines.join("\n") + "\n";
                texts.push(
                    if text.starts_with("#!") { text } else { format!("#!/bin/sh\n{text}") }.into_bytes(),
                );
            }
            for path in script.into_iter().chain(scripts.into_iter().flatten()) {
                let read = tokio::fs::read(ctx.setup.plan_dir.join(&path)).await;
                texts.push(
                    read.map_err(|e| Fault::permanent(format!("the script {path} can't be read")).source(e))?,
                );
            }
            let run = ctx.run.clone();
            let remote = Remote::open(&self.pool, ctx, connection).await?;
            let many = texts.len();
            for (n, text) in texts.into_iter().enumerate() {
                let which = if many > 1 { format!(" {} of {many}", n + 1) } else { String::new() };
                run.progress(&format!("remote-exec: running script{which}"));
                execute(&remote, text).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Puts a script on the host, runs it and takes it away again, in one go. The script has no input.
async fn execute(remote: &Remote, text: Vec<u8>) -> Result<(), Fault> {
    let path = remote.connection.script_path.as_deref().unwrap_or(SCRIPT_PATH);
    let path = path.replace("%RAND%", &rand::random::<u32>().to_string());
    // A name alone would be looked for along PATH.
    let path = if path.contains('/') { path } else { format!("./{path}") };
    let script = format!(
        "p={}\n( umask 077; cat > \"$p\" ) && chmod 0700 \"$p\" || exit 1\n\"$p\" < /dev/null\ns=$?\nrm -f \"$p\"\nexit $s",
        quote(&path)
    );
    remote.run("the script", Exec::new(script).stdin(text).timeout(LONG)).await?;
    Ok(())
}
