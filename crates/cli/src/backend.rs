//! `terraform { backend "TYPE" { … } }`: where a plan's state is kept. Settings, variables of the environment and their order are Terraform's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Backend, ConstantScope, parse_tfvars};
use grappe_state::{Sealer, Store};
use grappe_stores::Leased;
use grappe_stores::postgres::{self, Connection, Postgres};
use grappe_stores::s3::{Client, Credentials, S3, Settings, Source};
use grappe_stores::server::Server;
use grappe_value::{Attribute, Schema, Type, Value};

use crate::error::{Explained, Rejected};
use crate::project::{Project, STATE_DIR};

/// Where nobody names another: the schema of PostgreSQL's tables.
const SCHEMA: &str = "grappe_state";

/// The name of the state in a schema. There are no workspaces yet.
const STATE: &str = "default";

/// The state that a `backend` block names, with what `-backend-config` says over it.
///
/// # Errors
/// Where there is no such backend, or its settings make no sense. No secret is in what is said.
pub(crate) fn open(project: &Project, backend: &Backend, over: &[String]) -> anyhow::Result<Store> {
    let reject = |found: Diagnostics| Rejected { found, sources: project.sources.clone() };
    let Some(schema) = schema(&backend.ty) else {
        let wrong = Diagnostic::error("A backend that grappe does not have")
            .detail(format!("The state can't be kept in backend {:?}.", backend.ty))
            .hint("use backend \"local\" { path = \"FOLDER\" }, \"pg\" or \"s3\", or -state-dir")
            .span(backend.span);
        return Err(reject(wrong.into()).into());
    };
    let found = backend.body.check(&schema);
    if found.has_errors() {
        return Err(reject(found).into());
    }
    let block = backend.body.decode(&schema, &ConstantScope).map_err(reject)?;
    let mut settings = Given { block, over: BTreeMap::new() };
    for item in over {
        settings.take(item, &schema)?;
    }
    let wrong = |summary: String, hint: Option<String>| -> anyhow::Error {
        let told = Diagnostic::error(summary).span(backend.span);
        reject(hint.into_iter().fold(told, Diagnostic::hint).into()).into()
    };
    let server: Arc<dyn Server> = match &*backend.ty {
        "pg" => pg(&settings).map_err(|why| wrong(why, None))?,
        "s3" => s3(&settings).map_err(|(why, hint)| wrong(why, hint))?,
        _ => {
            let path = settings.text("path").unwrap_or_else(|| STATE_DIR.into());
            // Terraform names a file there: the folder of ours stands beside it.
            let folder =
                path.strip_suffix(".tfstate").map_or_else(|| path.clone(), |p| format!("{p}.{STATE_DIR}"));
            return Ok(Store::open(project.dir.join(folder)));
        }
    };
    Ok(Store::over(Arc::new(Leased::new(server)?), Arc::new(Sealer::from_env())))
}

fn schema(ty: &str) -> Option<Schema> {
    let texts = |schema: Schema, names: &[&str]| {
        names.iter().fold(schema, |s, name| s.attr(name, Attribute::optional(Type::String, "")))
    };
    let flags = |schema: Schema, names: &[&str]| {
        names.iter().fold(schema, |s, name| s.attr(name, Attribute::optional(Type::Bool, "")))
    };
    let lists = |schema: Schema, names: &[&str]| {
        let ty = || Type::List(Arc::new(Type::String));
        names.iter().fold(schema, |s, name| s.attr(name, Attribute::optional(ty(), "")))
    };
    Some(match ty {
        "local" => texts(Schema::new("The state in a folder."), &["path", "workspace_dir"]),
        "pg" => {
            let schema = texts(Schema::new("The state in PostgreSQL."), &["conn_str", "schema_name"]);
            flags(schema, &["skip_schema_creation", "skip_table_creation", "skip_index_creation"])
        }
        "s3" => {
            let schema = texts(
                Schema::new("The state in S3."),
                &[
                    "bucket",
                    "key",
                    "region",
                    "endpoint",
                    "profile",
                    "access_key",
                    "secret_key",
                    "token",
                    "kms_key_id",
                    "custom_ca_bundle",
                    "shared_credentials_file",
                    "acl",
                    "dynamodb_table",
                    "workspace_key_prefix",
                    "sts_region",
                ],
            );
            let schema = flags(
                schema,
                &[
                    "use_path_style",
                    "force_path_style",
                    "encrypt",
                    "insecure",
                    "use_lockfile",
                    "skip_credentials_validation",
                    "skip_metadata_api_check",
                    "skip_region_validation",
                    "skip_requesting_account_id",
                    "skip_s3_checksum",
                ],
            );
            lists(schema, &["shared_credentials_files", "shared_config_files"])
                .attr("endpoints", Attribute::optional(Type::Map(Arc::new(Type::String)), ""))
        }
        _ => return None,
    })
}

/// What a block and the command line say.
struct Given {
    block: Value,
    over: BTreeMap<String, Value>,
}

impl Given {
    /// `NAME=VALUE`, or a file of settings.
    fn take(&mut self, item: &str, schema: &Schema) -> anyhow::Result<()> {
        let mut taken = BTreeMap::new();
        match item.split_once('=') {
            Some((name, value)) if !Path::new(item).is_file() => {
                taken.insert(name.trim().to_owned(), Value::from(value));
            }
            _ => {
                let text = std::fs::read_to_string(item)
                    .map_err(|e| Explained::new(format!("can't read the backend's settings {item}: {e}")))?;
                let mut sources = grappe_diag::Sources::default();
                let (values, found) = parse_tfvars(&mut sources, item, &text);
                if found.has_errors() {
                    return Err(Rejected { found, sources }.into());
                }
                taken.extend(values.into_iter().map(|(name, (value, _))| (name.to_string(), value)));
            }
        }
        for (name, value) in taken {
            if !schema.attributes.contains_key(&*name) {
                let known: Vec<&str> = schema.attributes.keys().map(|name| &**name).collect();
                let error = Explained::new(format!("-backend-config: the backend has no setting {name:?}"));
                return Err(match grappe_diag::suggest(&name, known) {
                    Some(near) => error.hint(format!("did you mean {near}?")),
                    None => error,
                }
                .into());
            }
            self.over.insert(name, value);
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.over.get(name).or_else(|| self.block.get(name))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.as_str().map(str::to_owned)
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_bool().unwrap_or(value.as_str() == Some("true")))
    }

    fn paths(&self, name: &str) -> Vec<PathBuf> {
        let items = self.value(name).and_then(Value::as_items);
        items.into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from).collect()
    }
}

/// A variable that is set.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn pg(given: &Given) -> Result<Arc<dyn Server>, String> {
    let flag = |name: &str, variable: &str| {
        given.flag(name) || env(variable).is_some_and(|v| v == "true" || v == "1")
    };
    let text = given.text("conn_str").or_else(|| env("PG_CONN_STR")).unwrap_or_default();
    let connection = Connection::new(&text, &env).map_err(|e| e.to_string())?;
    let schema = given.text("schema_name").or_else(|| env("PG_SCHEMA_NAME")).unwrap_or_else(|| SCHEMA.into());
    let options = postgres::Options {
        schema,
        name: STATE.into(),
        skip_schema_creation: flag("skip_schema_creation", "PG_SKIP_SCHEMA_CREATION"),
        skip_table_creation: flag("skip_table_creation", "PG_SKIP_TABLE_CREATION"),
    };
    Ok(Arc::new(Postgres::new(connection, options)))
}

fn s3(given: &Given) -> Result<Arc<dyn Server>, (String, Option<String>)> {
    let keys = match (given.text("access_key"), given.text("secret_key")) {
        (Some(access_key), Some(secret_key)) => {
            Some(Credentials { access_key, secret_key, session_token: given.text("token") })
        }
        (None, None) => None,
        _ => return Err(("access_key and secret_key belong together".into(), None)),
    };
    let missing = |name: &str| {
        (
            format!("backend \"s3\" has no {name}"),
            Some(format!("set it in the block, or with -backend-config={name}=…")),
        )
    };
    let endpoints = given.value("endpoints").and_then(|endpoints| endpoints.get("s3"));
    let bundle = given.text("custom_ca_bundle").or_else(|| env("AWS_CA_BUNDLE"));
    let read = |path: String| {
        std::fs::read(&path).map_err(|e| (format!("can't read the certificates {path}: {e}"), None))
    };
    let mut credentials_files = given.paths("shared_credentials_files");
    credentials_files.extend(given.text("shared_credentials_file").map(PathBuf::from));
    let settings = Settings {
        bucket: given.text("bucket").ok_or_else(|| missing("bucket"))?,
        key: given.text("key").ok_or_else(|| missing("key"))?,
        region: given.text("region"),
        endpoint: endpoints.and_then(Value::as_str).map(str::to_owned).or_else(|| given.text("endpoint")),
        use_path_style: given.flag("use_path_style") || given.flag("force_path_style"),
        source: Source {
            given: keys,
            profile: given.text("profile"),
            credentials_files,
            config_files: given.paths("shared_config_files"),
        },
        encrypt: given.flag("encrypt"),
        kms_key_id: given.text("kms_key_id"),
        authorities: bundle.map(read).transpose()?,
        insecure: given.flag("insecure"),
    };
    Ok(Arc::new(S3::new(Client::new(settings, &env)?)))
}
