//! `file`: files and folders put on a host.

use std::path::{Path, PathBuf};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{AnyProvisioner, Fault, Problem, StepContext};
use grappe_ssh::{Exec, Pool, quote};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::Deserialize;

use crate::remote::{LONG, Remote};
use crate::{arguments, connection};

pub(crate) struct File {
    pool: Pool,
    schema: Schema,
    connection: Schema,
}

#[derive(Deserialize)]
struct Arguments {
    source: Option<String>,
    content: Option<String>,
    destination: String,
}

impl File {
    pub(crate) fn new(pool: Pool) -> Self {
        File {
            pool,
            schema: Schema::new("Files and folders put on a host.")
                .attr(
                    "source",
                    Attribute::optional(
                        Type::String,
                        "A file or a folder, from the plan's folder. A folder goes into the destination under its own name, and with a slash at \
                         its end what is in it.",
                    ),
                )
                .attr("content", Attribute::optional(Type::String, "What is in the file, in place of a source."))
                .attr("destination", Attribute::required(Type::String, "The path on the host.")),
            connection: connection::schema(),
        }
    }
}

impl AnyProvisioner for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn connection(&self) -> Option<&Schema> {
        Some(&self.connection)
    }

    fn validate(&self, config: &Value, connection: Option<&Value>) -> Vec<Problem> {
        let mut problems = connection.map(connection::problems).unwrap_or_default();
        let given = ["source", "content"].map(|name| config.get(name).is_some_and(|v| !v.is_null()));
        match given {
            [true, true] => {
                problems.push(Problem::new("content", "Cannot set both \"source\" and \"content\"."))
            }
            [false, false] => {
                problems.push(Problem::new("source", "Must provide one of \"source\" or \"content\"."))
            }
            _ => {}
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
            let args: Arguments = arguments("file", config)?;
            let files = match (&args.content, &args.source) {
                (Some(content), _) => {
                    vec![Upload { to: args.destination, from: From::Text(content.clone()) }]
                }
                (None, Some(source)) => gather(&ctx.setup.plan_dir, source, &args.destination).await?,
                (None, None) => {
                    return Err(Fault::permanent("the file provisioner has neither source nor content"));
                }
            };
            let run = ctx.run.clone();
            let remote = Remote::open(&self.pool, ctx, connection).await?;
            for file in files {
                run.progress(&format!("file: writing {}", file.to));
                file.put(&remote).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// What is put where.
struct Upload {
    to: String,
    from: From,
}

enum From {
    Text(String),
    File(PathBuf),
    Folder,
}

impl Upload {
    async fn put(self, remote: &Remote) -> Result<(), Fault> {
        let what = format!("writing {}", self.to);
        let (content, mode) = match self.from {
            From::Text(text) => (text.into_bytes(), 0o644),
            From::File(path) => {
                let unreadable = |e: std::io::Error| {
                    Fault::permanent(format!("{} can't be read", path.display())).source(e)
                };
                let content = tokio::fs::read(&path).await.map_err(unreadable)?;
                (content, mode(&path).await.map_err(unreadable)?)
            }
            From::Folder => {
                remote.quietly(&what, Exec::new(format!("mkdir -p {}", path_word(&self.to)))).await?;
                return Ok(());
            }
        };
        // Beside it and then in its place: whoever reads it sees the old one or the new one, whole.
        let script = format!(
            "p={}\nif [ -d \"$p\" ]; then echo \"$p is a folder\" >&2; exit 1; fi\nt=\"$p.grappe-$$\"\n\
             if cat > \"$t\" && chmod {mode:04o} \"$t\" && mv -f \"$t\" \"$p\"; then exit 0; fi\nrm -f \"$t\"\nexit 1",
            path_word(&self.to)
        );
        remote.quietly(&what, Exec::new(script).stdin(content).timeout(LONG)).await?;
        Ok(())
    }
}

/// A path as a word of the host's shell; `~/` is the home folder there.
fn path_word(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => format!("\"$HOME\"/{}", quote(rest)),
        None => quote(path),
    }
}

/// The files of a source. `source/` is what is in the folder, `source` the folder itself.
async fn gather(plan_dir: &Path, source: &str, destination: &str) -> Result<Vec<Upload>, Fault> {
    let root = plan_dir.join(source);
    let unreadable = |path: &Path, e: std::io::Error| {
        Fault::permanent(format!("{} can't be read", path.display())).source(e)
    };
    let metadata = tokio::fs::metadata(&root).await.map_err(|e| unreadable(&root, e))?;
    if !metadata.is_dir() {
        return Ok(vec![Upload { to: destination.to_owned(), from: From::File(root) }]);
    }
    let mut to = destination.trim_end_matches('/').to_owned();
    if !source.ends_with('/')
        && let Some(name) = root.file_name()
    {
        to = format!("{to}/{}", name.to_string_lossy());
    }
    let mut uploads = Vec::new();
    let mut folders = vec![(root, to)];
    while let Some((folder, to)) = folders.pop() {
        uploads.push(Upload { to: to.clone(), from: From::Folder });
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(|e| unreadable(&folder, e))?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await.map_err(|e| unreadable(&folder, e))? {
            names.push(entry.path());
        }
        names.sort();
        for path in names {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let to = format!("{to}/{name}");
            let metadata = tokio::fs::metadata(&path).await.map_err(|e| unreadable(&path, e))?;
            if metadata.is_dir() {
                folders.push((path, to));
            } else {
                uploads.push(Upload { to, from: From::File(path) });
            }
        }
    }
    Ok(uploads)
}

/// The permissions of a file here: they are those that it gets there.
async fn mode(path: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(tokio::fs::metadata(path).await?.permissions().mode() & 0o777)
}
