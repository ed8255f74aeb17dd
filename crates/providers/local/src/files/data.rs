//! `data "local_file"` and `data "local_sensitive_file"`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_provider::{Context, DataSource, Fault};
use grappe_value::{Attribute, Schema, Type};
use serde::{Deserialize, Serialize};

use super::content::Hashes;
use super::read;
use crate::Client;

/// `data "local_file"`.
pub(crate) struct ReadFile;
/// `data "local_sensitive_file"`.
pub(crate) struct ReadSensitiveFile;

#[derive(Deserialize)]
pub(crate) struct Args {
    filename: String,
}

#[derive(Serialize)]
pub(crate) struct State {
    content: String,
    content_base64: String,
    #[serde(flatten)]
    hashes: Hashes,
}

fn schema(sensitive: bool) -> Schema {
    let content = |description| {
        let attribute = Attribute::computed(Type::String, description);
        if sensitive { attribute.sensitive() } else { attribute }
    };
    let description = if sensitive {
        "A file of this machine whose content is never shown."
    } else {
        "A file of this machine."
    };
    Hashes::describe(
        Schema::new(description)
            .attr(
                "filename",
                Attribute::required(Type::String, "Where; a relative path starts at the plan's folder."),
            )
            .attr("content", content("The text in it; what is not UTF-8 is replaced by U+FFFD."))
            .attr("content_base64", content("The bytes in it, in base64.")),
    )
}

fn look(client: &Client, args: &Args) -> Result<State, Fault> {
    let bytes = read(&client.path(&args.filename))?.ok_or_else(|| {
        Fault::permanent(format!("there is no file {}", args.filename))
            .hint("a relative path starts at the plan's folder; a file that this plan makes needs depends_on")
            .attribute("filename")
    })?;
    Ok(State {
        hashes: Hashes::of(&bytes),
        content_base64: STANDARD.encode(&bytes),
        content: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

macro_rules! file_source {
    ($type:ident, $name:literal, $sensitive:literal) => {
        impl DataSource for $type {
            type Client = Client;
            type Args = Args;
            type State = State;

            fn name(&self) -> &'static str {
                $name
            }
            fn schema(&self) -> Schema {
                schema($sensitive)
            }
            async fn read(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
                look(ctx.client(), &args)
            }
        }
    };
}
file_source!(ReadFile, "local_file", false);
file_source!(ReadSensitiveFile, "local_sensitive_file", true);

#[cfg(test)]
mod tests {
    use grappe_value::Value;

    use crate::Local;
    use crate::files::write_for_tests;
    use grappe_provider_core::testing::Bench;

    #[test]
    fn a_file_is_read_or_missed_by_name() {
        let dir = tempfile::tempdir().unwrap();
        write_for_tests(&dir.path().join("a"), b"abc");
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let of = |name: &str| Value::object([("filename", Value::from(name))]);
        let found = bench.data("local_file", &of("a")).unwrap();
        assert_eq!(found.get("content").unwrap().as_str(), Some("abc"));
        assert_eq!(found.get("content_base64").unwrap().as_str(), Some("YWJj"));
        assert!(!found.is_sensitive_deep());
        let hidden = bench.data("local_sensitive_file", &of("a")).unwrap();
        assert!(hidden.get("content").unwrap().is_sensitive_deep());
        let fault = bench.data("local_file", &of("b")).unwrap_err();
        assert!(fault.summary.contains("no file b"), "{fault}");
    }
}
