//! `host_file`: a file on a host, whole, with its mode and owner.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use grappe_provider::{Change, Context, Fault, Importable, Imported, Many, Problem, Resource};
use grappe_ssh::{RemoteFile, WriteFile};
use grappe_value::{Attribute, Schema, Type, Value, json};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Connection, Hosts};

/// The resource type `host_file`.
pub struct HostFile;

/// The arguments of a `host_file`.
#[derive(Deserialize)]
pub struct Args {
    host: Connection,
    path: String,
    content: Option<String>,
    sensitive_content: Option<String>,
    content_base64: Option<String>,
    content_wo: Option<String>,
    content_wo_version: Option<Version>,
    mode: String,
    owner: Option<String>,
    group: Option<String>,
}

/// A number or a text, as it comes.
type Version = serde_json::Value;

/// What is kept of a `host_file`. The content stays in the argument that gave it.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    host: Connection,
    #[serde(skip_serializing)]
    path: String,
    content: Option<String>,
    sensitive_content: Option<String>,
    content_base64: Option<String>,
    content_wo_version: Option<Version>,
    mode: String,
    owner: Option<String>,
    group: Option<String>,
    sha256: Option<String>,
}

/// How many files one command reads: a command has the time of one, however many there are.
const AT_ONCE: usize = 50;

/// The arguments of which exactly one gives the content.
const CONTENTS: [&str; 4] = ["content", "sensitive_content", "content_base64", "content_wo"];

impl Resource for HostFile {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "host_file"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "A file on a host. It is replaced in one step, and what is changed on the host is shown as a difference. Give one of \
             `content`, `sensitive_content`, `content_base64`, `content_wo`; missing folders are made.",
        )
        .attr("host", Connection::attribute().home())
        .attr("path", Attribute::required(Type::String, "Its absolute path.").replace())
        .attr("content", Attribute::optional(Type::String, "Its content as text.").found_again())
        .attr("sensitive_content", Attribute::optional(Type::String, "Its content as text that is never shown.").sensitive().found_again())
        .attr("content_base64", Attribute::optional(Type::String, "Its content in base64, for what is no text.").found_again())
        .attr("content_wo", Attribute::optional(Type::String, "Its content as text that is stored nowhere. It is written when the file is made, when `content_wo_version` changes, and when somebody changed the file on the host.").write_only().sensitive())
        .attr("content_wo_version", Attribute::optional(Type::Number, "Another number when `content_wo` is another one."))
        .attr("mode", Attribute::optional(Type::String, "Its permissions in octal.").default("0644"))
        .attr("owner", Attribute::optional_computed(Type::String, "Its owner's name. Not managed where it is left out."))
        .attr("group", Attribute::optional_computed(Type::String, "Its group's name. Not managed where it is left out."))
        .attr("sha256", Attribute::computed(Type::String, "SHA-256 of its content, in hexadecimal.").found_again())
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        let given =
            CONTENTS.iter().filter(|name| config.get(name).is_some_and(|value| !value.is_null())).count();
        if given != 1 {
            problems.push(Problem {
                attribute: Default::default(),
                message: format!(
                    "{given} of content, sensitive_content, content_base64 and content_wo are given"
                ),
                hint: Some("give exactly one of them; an empty file has content = \"\"".into()),
                warning: false,
            });
        }
        if let Some(path) = config.get("path").and_then(Value::as_str)
            && (!path.starts_with('/') || path.ends_with('/') || path.contains(['\0', '\n']))
        {
            problems.push(Problem::new("path", format!("{path:?} is not the absolute path of a file")));
        }
        if let Some(mode) = config.get("mode").and_then(Value::as_str)
            && let Err(why) = parse_mode(mode)
        {
            problems.push(Problem::new("mode", why));
        }
        if let Some(text) = config.get("content_base64").and_then(Value::as_str)
            && let Err(error) = BASE64.decode(text)
        {
            problems.push(Problem::new("content_base64", format!("this is not base64: {error}")));
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        let planned = |name: &str| change.planned().get(name).filter(|value| !value.is_null());
        let content = CONTENTS.iter().find_map(|name| planned(name).map(|value| (*name, value)));
        let stored_nowhere = change.config.get("content_wo").is_some_and(|value| !value.is_null());
        if stored_nowhere {
            // Of what is stored nowhere the sum may tell more than it should.
            let before =
                change.prior.filter(|_| !change.changes("content_wo_version")).and_then(|p| p.get("sha256"));
            let sum = before.cloned().unwrap_or_else(|| Value::unknown_not_null(Type::String));
            change.set("sha256", sum.sensitive());
            return;
        }
        let sha256 = match content {
            Some((name, value)) => match value.as_str() {
                Some(text) if name == "content_base64" => {
                    BASE64.decode(text).ok().map(|bytes| sha256(&bytes).into())
                }
                Some(text) => Some(Value::from(sha256(text.as_bytes())).with_marks(value.marks())),
                None => None,
            },
            None => None,
        };
        match sha256 {
            Some(sum) => change.set("sha256", sum),
            None => change.set_unknown("sha256"),
        }
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.host).await?;
        Ok(session.read_file(&state.path).await?.map(|file| found(state, &file)))
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        state.get("host").map(|host| json::to_args(host).to_string())
    }

    async fn read_many(&self, ctx: &Context<Hosts>, states: Vec<State>) -> Result<Many<State>, Fault> {
        let Some(first) = states.first() else { return Ok(Vec::new()) };
        let session = ctx.client().session(ctx, &first.host).await?;
        let mut files = Vec::with_capacity(states.len());
        let paths: Vec<String> = states.iter().map(|state| state.path.clone()).collect();
        for paths in paths.chunks(AT_ONCE) {
            files.extend(session.read_files(paths).await?);
        }
        let found =
            states.into_iter().zip(files).map(|(state, file)| Ok(file?.map(|file| found(state, &file))));
        Ok(found.collect())
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        put(ctx, args, false).await
    }

    async fn update(&self, ctx: &Context<Hosts>, prior: State, args: Args) -> Result<State, Fault> {
        let keep = prior.content_wo_version == args.content_wo_version && args.content_wo_version.is_some();
        put(ctx, args, keep).await
    }

    fn importable(&self) -> Importable {
        Importable::By("the file's absolute path on the host that its block names")
    }

    async fn import(&self, ctx: &Context<Hosts>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let Args {
            host,
            content,
            sensitive_content,
            content_base64,
            content_wo_version,
            mode,
            owner,
            group,
            ..
        } = args;
        let path = id.to_owned();
        let state = State {
            host,
            path,
            content,
            sensitive_content,
            content_base64,
            content_wo_version,
            mode,
            owner,
            group,
            sha256: None,
        };
        match self.read(ctx, state).await? {
            Some(state) => Imported::new(&state).map(|found| Some(found.with("path", id))),
            None => Ok(None),
        }
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        match ctx.client().session_to_leave(ctx, &state.host).await? {
            Some(session) => session.remove_file(&state.path).await,
            None => Ok(()),
        }
    }
}

/// Writes the file. `keep`: with the content that it has, where that is stored nowhere.
async fn put(ctx: &Context<Hosts>, args: Args, keep: bool) -> Result<State, Fault> {
    let session = ctx.client().session(ctx, &args.host).await?;
    let content = match (&args.content, &args.sensitive_content, &args.content_base64, &args.content_wo) {
        // Another mode is no reason for another content.
        (None, None, None, Some(text)) => match session.read_file(&args.path).await? {
            Some(file) if keep => file.content,
            _ => text.clone().into_bytes(),
        },
        (Some(text), None, None, None) | (None, Some(text), None, None) => text.clone().into_bytes(),
        (None, None, Some(text), None) => {
            BASE64.decode(text).map_err(|e| Fault::permanent(format!("content_base64 is not base64: {e}")))?
        }
        _ => return Err(Fault::permanent("exactly one content must be given").attribute("content")),
    };
    let mode = parse_mode(&args.mode).map_err(|why| Fault::permanent(why).attribute("mode"))?;
    let file = WriteFile {
        path: args.path.clone(),
        content,
        mode,
        owner: args.owner.clone(),
        group: args.group.clone(),
    };
    session.write_file(&file).await?;
    // What was left out is what the host made of it.
    let (owner, group) = match (args.owner, args.group) {
        (Some(owner), Some(group)) => (owner, group),
        (owner, group) => {
            let stat = session.host().stat_file(&args.path).await.map_err(crate::fault)?;
            let stat = stat.ok_or_else(|| Fault::transient(format!("{} vanished", args.path)))?;
            (owner.unwrap_or(stat.owner), group.unwrap_or(stat.group))
        }
    };
    Ok(State {
        host: args.host,
        path: args.path,
        sha256: Some(sha256(&file.content)),
        content: args.content,
        sensitive_content: args.sensitive_content,
        content_base64: args.content_base64,
        content_wo_version: args.content_wo_version,
        mode: args.mode,
        owner: Some(owner),
        group: Some(group),
    })
}

/// The state as the host shows it. What differs only in how it is written stays as it was.
fn found(state: State, file: &RemoteFile) -> State {
    let same = state.sha256.as_deref() == Some(&file.sha256);
    let text = || Some(String::from_utf8_lossy(&file.content).into_owned());
    let now = |was: Option<String>, now: &dyn Fn() -> Option<String>| match was {
        Some(was) if same => Some(was),
        Some(_) => now(),
        None => None,
    };
    State {
        content: now(state.content, &text),
        sensitive_content: now(state.sensitive_content, &text),
        content_base64: now(state.content_base64, &|| Some(BASE64.encode(&file.content))),
        // Not the version that is wanted, whichever that is: it is written again.
        content_wo_version: state.content_wo_version.filter(|_| same),
        mode: match parse_mode(&state.mode) {
            Ok(mode) if mode == file.mode => state.mode,
            _ => format!("{:04o}", file.mode),
        },
        owner: Some(file.owner.clone()),
        group: Some(file.group.clone()),
        sha256: Some(file.sha256.clone()),
        ..state
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err(format!("{text:?} is not a file mode: write it in octal, as in \"0644\"")),
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
