//! `local_file` and `local_sensitive_file`.
//!
//! What differs on disk is shown and put right in place, where Terraform's provider forgets the object and creates it again. A file that
//! comes from `source` has no content in the plan to compare with: it is created again when it or its source has changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_provider::{Change, Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::content::Hashes;
use super::{delete, mode, read, write};
use crate::Client;

/// `local_file`.
pub(crate) struct LocalFile;
/// `local_sensitive_file`: its content is never shown, its mode 0700 where nothing is said, as Terraform's.
pub(crate) struct LocalSensitiveFile;

/// The arguments.
#[derive(Serialize, Deserialize)]
pub(crate) struct Args {
    filename: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    file_permission: String,
    directory_permission: String,
}

/// The arguments as they are on disk, and the hashes.
#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    #[serde(flatten)]
    args: Args,
    #[serde(flatten)]
    hashes: Hashes,
}

fn schema(sensitive: bool) -> Schema {
    let secret = |a: Attribute| if sensitive { a.sensitive() } else { a };
    let text = |description| Attribute::optional(Type::String, description);
    let perm = if sensitive { "0700" } else { "0777" };
    let description = if sensitive {
        "A file on this machine whose content is never shown."
    } else {
        "A file on this machine."
    };
    Hashes::describe(
        Schema::new(description)
            .attr(
                "filename",
                Attribute::required(Type::String, "Where; a relative path starts at the plan's folder.")
                    .replace(),
            )
            .attr("content", secret(text("The text in it.")).found_again())
            .attr("content_base64", secret(text("The bytes in it, in base64.")).found_again())
            .attr("source", text("A file to copy.").replace())
            .attr("file_permission", text("Its mode in octal, from which the umask is taken.").default(perm))
            .attr(
                "directory_permission",
                text("The mode of folders that are created for it.").default(perm).record(),
            ),
    )
}

fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
    let sources: Vec<&str> =
        ["content", "content_base64", "source"].into_iter().filter(|n| given(n)).collect();
    match sources[..] {
        [] => problems.push(
            Problem::new("content", "the file's content is missing")
                .hint("give one of content, content_base64 and source"),
        ),
        [_] => {}
        [_, second, ..] => problems.push(
            Problem::new(second, format!("{} exclude each other", sources.join(" and ")))
                .hint("keep one of them"),
        ),
    }
    for name in ["file_permission", "directory_permission"] {
        if let Some(text) = config.get(name).and_then(Value::as_str)
            && mode(text).is_none()
        {
            problems.push(
                Problem::new(name, format!("{text:?} is not a mode")).hint("write it in octal, as \"0644\""),
            );
        }
    }
    if let Some(text) = config.get("content_base64").and_then(Value::as_str)
        && STANDARD.decode(text).is_err()
    {
        problems.push(
            Problem::new("content_base64", "it is not base64").hint("use filebase64() or base64encode()"),
        );
    }
    problems
}

/// The hashes are known as soon as the content is.
fn plan(change: &mut Change<'_>) {
    let part = |name| change.planned().get(name).filter(|v| !v.is_null()).cloned();
    let bytes = match (part("content"), part("content_base64"), part("source")) {
        (Some(text), _, _) => text.as_str().map(|t| t.as_bytes().to_vec()),
        (_, Some(text), _) => text.as_str().and_then(|t| STANDARD.decode(t).ok()),
        // What is copied was read when the file was made, and is compared in each read.
        (_, _, Some(_)) if change.prior.is_some() && !change.changes("source") && !swapped(change) => return,
        _ => None,
    };
    match bytes {
        Some(bytes) => {
            for (name, hash) in Hashes::of(&bytes).each() {
                change.set(name, hash.into());
            }
        }
        None => {
            for (name, _) in Hashes::of(b"").each() {
                change.set_unknown(name);
            }
        }
    }
}

/// Whether the content comes from another argument than before.
fn swapped(change: &Change<'_>) -> bool {
    change.changes("content") || change.changes("content_base64")
}

impl Args {
    fn bytes(&self, client: &Client) -> Result<Vec<u8>, Fault> {
        match self {
            Args { content: Some(text), .. } => Ok(text.clone().into_bytes()),
            Args { content_base64: Some(text), .. } => STANDARD.decode(text).map_err(|_| {
                Fault::permanent("content_base64 is not base64")
                    .hint("use filebase64() or base64encode()")
                    .attribute("content_base64")
            }),
            Args { source: Some(source), .. } => read(&client.path(source))?.ok_or_else(|| {
                Fault::permanent(format!("there is no file {source} to copy"))
                    .hint("a relative path starts at the plan's folder")
                    .attribute("source")
            }),
            _ => Err(Fault::permanent("the file's content is missing")
                .hint("give one of content, content_base64 and source")
                .attribute("content")),
        }
    }

    fn modes(&self) -> Result<(u32, u32), Fault> {
        let parse = |name: &'static str, text: &str| {
            mode(text).ok_or_else(|| {
                Fault::permanent(format!("{name}: {text:?} is not a mode"))
                    .hint("write it in octal, as \"0644\"")
                    .attribute(name)
            })
        };
        Ok((
            parse("file_permission", &self.file_permission)?,
            parse("directory_permission", &self.directory_permission)?,
        ))
    }

    /// The mode as it is on disk, where it is another one: the umask may have taken bits away, nobody may have added any.
    fn look_at_mode(&mut self, path: &std::path::Path) -> Result<(), Fault> {
        let on_disk = permissions(path)?;
        if mode(&self.file_permission).is_some_and(|wanted| on_disk & !wanted != 0) {
            self.file_permission = format!("{on_disk:04o}");
        }
        Ok(())
    }

    fn put(self, ctx: &Context<Client>) -> Result<State, Fault> {
        let client = ctx.client();
        let bytes = self.bytes(client)?;
        let (file_mode, dir_mode) = self.modes()?;
        write(&client.path(&self.filename), ctx.key(), &bytes, file_mode, dir_mode)?;
        Ok(State { hashes: Hashes::of(&bytes), args: self })
    }
}

/// What an interrupted creation left: the file, where it holds what was to be written.
fn adopt(ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
    let path = ctx.client().path(&args.filename);
    if !ctx.only_looks() {
        super::forget(&path, ctx.key())?;
    }
    let bytes = args.bytes(ctx.client())?;
    let there = read(&path)?.is_some_and(|found| found == bytes);
    Ok(there.then(|| State { hashes: Hashes::of(&bytes), args }))
}

fn look(mut state: State, client: &Client) -> Result<Option<State>, Fault> {
    let path = client.path(&state.args.filename);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    let hashes = Hashes::of(&bytes);
    if let Some(source) = &state.args.source {
        // A source that is gone is no reason to take its copy away.
        let source = read(&client.path(source))?;
        let same = hashes == state.hashes && source.is_none_or(|s| Hashes::of(&s) == hashes);
        return Ok(same.then_some(state));
    }
    if hashes != state.hashes {
        if state.args.content_base64.is_some() {
            state.args.content_base64 = Some(STANDARD.encode(&bytes));
        } else {
            state.args.content = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        state.hashes = hashes;
    }
    state.args.look_at_mode(&path)?;
    Ok(Some(state))
}

/// A file that there is. Its path may be written in other words than in its block.
fn import(ctx: &Context<Client>, id: &str, mut args: Args) -> Result<Option<Imported>, Fault> {
    let path = ctx.client().path(id);
    let Some(bytes) = read(&path)? else { return Ok(None) };
    if ctx.client().path(&args.filename) != path {
        args.filename = id.to_owned();
    }
    if args.content_base64.is_some() {
        args.content_base64 = Some(STANDARD.encode(&bytes));
    } else if args.content.is_some() {
        args.content = Some(String::from_utf8_lossy(&bytes).into_owned());
    } else if args.source.is_none() {
        // Its block is still to be written.
        match String::from_utf8(bytes.clone()) {
            Ok(text) => args.content = Some(text),
            Err(_) => args.content_base64 = Some(STANDARD.encode(&bytes)),
        }
    }
    args.look_at_mode(&path)?;
    Imported::new(&State { args, hashes: Hashes::of(&bytes) }).map(Some)
}

fn permissions(path: &std::path::Path) -> Result<u32, Fault> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).map_err(|e| super::fault("read", path, e))?;
    Ok(meta.permissions().mode() & 0o7777)
}

/// Both types do the same; only their schemas and defaults differ.
macro_rules! file_resource {
    ($type:ident, $name:literal, $sensitive:literal) => {
        impl Resource for $type {
            type Client = Client;
            type Args = Args;
            type State = State;

            fn name(&self) -> &'static str {
                $name
            }
            fn schema(&self) -> Schema {
                schema($sensitive)
            }
            fn validate(&self, config: &Value) -> Vec<Problem> {
                validate(config)
            }
            fn plan(&self, change: &mut Change<'_>) {
                plan(change);
            }
            async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
                look(state, ctx.client())
            }
            async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
                args.put(ctx)
            }
            async fn update(&self, ctx: &Context<Client>, _: State, args: Args) -> Result<State, Fault> {
                args.put(ctx)
            }
            async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
                adopt(ctx, args)
            }
            fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
                let given = |name: &&str| stored.get(name).is_some_and(|v| !v.is_null());
                match ["content", "content_base64", "source"].iter().any(|name| given(&name)) {
                    true => Ok(stored),
                    false => Err("it has neither content, content_base64 nor source".into()),
                }
            }
            fn importable(&self) -> Importable {
                Importable::By("the file's path")
            }
            async fn import(
                &self,
                ctx: &Context<Client>,
                id: &str,
                args: Args,
            ) -> Result<Option<Imported>, Fault> {
                import(ctx, id, args)
            }
            async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
                delete(&ctx.client().path(&state.args.filename), ctx.key())
            }
        }
    };
}
file_resource!(LocalFile, "local_file", false);
file_resource!(LocalSensitiveFile, "local_sensitive_file", true);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Local;
    use crate::files::write_for_tests;
    use grappe_provider_core::testing::Bench;

    fn text(pairs: &[(&'static str, &str)]) -> Value {
        Value::object(pairs.iter().map(|(k, v)| (*k, Value::from(*v))))
    }

    fn str_of<'a>(value: &'a Value, name: &str) -> &'a str {
        value.get(name).unwrap().as_str().unwrap()
    }

    #[test]
    fn a_file_lives_through_create_drift_update_and_delete() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let given = text(&[("filename", "sub/a.txt"), ("content", "abc"), ("file_permission", "0640")]);
        let planned = bench.plan("local_file", None, &given);
        assert_eq!(str_of(&planned, "content_md5"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(str_of(&planned, "id"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let made = bench.create("local_file", &given);
        let path = dir.path().join("sub/a.txt");
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(bench.read("local_file", &made).unwrap().same(&made), "no drift after a creation");

        fs::remove_file(&path).unwrap();
        assert!(bench.read("local_file", &made).is_none(), "gone");
        write_for_tests(&path, b"changed\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let found = bench.read("local_file", &made).unwrap();
        assert_eq!(str_of(&found, "content"), "changed\n");
        assert_eq!(str_of(&found, "file_permission"), "0666");
        let mended = bench.update("local_file", &found, &given);
        assert!(mended.same(&made), "{mended:?}");
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

        bench.delete("local_file", &made);
        assert!(!path.exists());
        bench.delete("local_file", &made);
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 0, "nothing is left beside it");
    }

    #[test]
    fn a_copy_follows_its_source() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        write_for_tests(&source, b"one");
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let given = text(&[("filename", "copy"), ("source", "source")]);
        let made = bench.create("local_file", &given);
        assert_eq!(str_of(&made, "content_sha1"), "fe05bcdcdc4928012781a5f1a2a77cbb5398e106");
        assert!(bench.read("local_file", &made).unwrap().same(&made));
        let planned = bench.plan("local_file", Some(&made), &given);
        assert!(planned.same(&made), "no change: {planned:?}");
        write_for_tests(&source, b"two");
        assert!(bench.read("local_file", &made).is_none());
        fs::remove_file(&source).unwrap();
        assert!(bench.read("local_file", &made).is_some());
        let fault = bench.try_create("local_file", &given).unwrap_err();
        assert!(fault.summary.contains("no file source"), "{fault}");
    }

    #[test]
    fn bytes_come_in_base64_and_secrets_stay_private() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let given = text(&[("filename", "key"), ("content_base64", "AP8K"), ("file_permission", "0600")]);
        let made = bench.create("local_sensitive_file", &given);
        let path = dir.path().join("key");
        assert_eq!(fs::read(&path).unwrap(), [0, 255, 10]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains("AP8K"));
        write_for_tests(&path, &[1]);
        let found = bench.read("local_sensitive_file", &made).unwrap();
        assert_eq!(str_of(&found, "content_base64"), "AQ==");
        assert!(found.get("content_base64").unwrap().is_sensitive_deep());
    }

    #[test]
    fn wrong_arguments_are_said_while_planning() {
        let bench = Bench::new(Local::default());
        for (given, blamed) in [
            (text(&[("filename", "a")]), "content"),
            (text(&[("filename", "a"), ("content", "x"), ("source", "y")]), "source"),
            (text(&[("filename", "a"), ("content", ""), ("file_permission", "0844")]), "file_permission"),
            (text(&[("filename", "a"), ("content_base64", "?")]), "content_base64"),
        ] {
            let config = bench.config("local_file", &given);
            let problems = bench.resource("local_file").validate(&config);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].attribute.to_string(), blamed);
        }
    }

    #[test]
    fn what_a_killed_write_left_is_taken_up_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        write_for_tests(&dir.path().join(format!(".a.{}.tmp", Bench::KEY)), b"ha");
        let made = bench.create("local_file", &text(&[("filename", "a"), ("content", "half")]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_for_tests(&dir.path().join(format!(".a.{}.tmp", Bench::KEY)), b"ha");
        bench.delete("local_file", &made);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_there_is_is_imported_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let given = text(&[("filename", "a"), ("content", "new")]);
        assert_eq!(bench.import("local_file", "a", &given).unwrap(), None);
        write_for_tests(&dir.path().join("a"), b"old");
        let found =
            bench.import("local_file", dir.path().join("a").to_str().unwrap(), &given).unwrap().unwrap();
        assert_eq!((str_of(&found, "filename"), str_of(&found, "content")), ("a", "old"));
        assert!(bench.read("local_file", &found).unwrap().same(&found), "no drift after an import");
        let mended = bench.update("local_file", &found, &given);
        assert_eq!(str_of(&mended, "content"), "new");
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let bench = Bench::at(Local::default(), dir.path().to_owned());
        let fault =
            bench.try_create("local_file", &text(&[("filename", "a"), ("content", "x")])).unwrap_err();
        assert!(fault.summary.contains("can't write") && fault.hint.is_some(), "{fault}");
    }
}
