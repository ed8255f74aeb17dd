//! `openstack_compute_keypair_v2`.
//!
//! Where the plan gives no public key, the pair is made here (Nova no longer makes any, and a private key that was made elsewhere has been seen elsewhere).
//! It is checkpointed, sealed, before the public half goes to Nova, so a run that dies in between loses nothing.

use grappe_http::Method;
use grappe_provider::{Context, Fault, Importable, Imported, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use ssh_key::{Algorithm, LineEnding, PrivateKey};

use super::call;
use crate::attrs::given_string;
use crate::client::{Client, Refused, inner};
use crate::thing::of;

pub(super) struct Keypair;

#[derive(Deserialize)]
pub(super) struct Args {
    region: Option<String>,
    name: String,
    public_key: Option<String>,
    user_id: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    id: String,
    name: String,
    region: Option<String>,
    public_key: String,
    #[serde(default)]
    private_key: Option<String>,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    user_id: Option<String>,
}

/// A new pair, with the comment.
fn generate(comment: &str) -> Result<(String, String), Fault> {
    let wrong = |e: ssh_key::Error| Fault::permanent("no key could be made").source(e);
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(wrong)?;
    key.set_comment(comment);
    let private = key.to_openssh(LineEnding::LF).map_err(wrong)?;
    Ok((key.public_key().to_openssh().map_err(wrong)?, private.to_string()))
}

/// Both halves of what makes a key, without its comment.
fn body_of(key: &str) -> Vec<&str> {
    key.split_whitespace().take(2).collect()
}

async fn show(
    client: &Client,
    region: Option<&str>,
    name: &str,
    user: Option<&str>,
) -> Result<Option<Json>, Fault> {
    let mut get = call(Method::GET, region, format!("os-keypairs/{}", crate::client::segment(name)));
    if let Some(user) = user {
        get = get.query("user_id", user).version("2.10");
    }
    match client.find(get).await? {
        Some(found) => Ok(Some(inner(found, "keypair")?)),
        None => Ok(None),
    }
}

fn state(client: &Client, found: &Json, before: &State) -> State {
    let text = |name: &str| of(found, name).unwrap_or_default().to_owned();
    let public = text("public_key");
    State {
        id: text("name"),
        name: text("name"),
        region: client.region(before.region.as_deref()),
        // Nova takes away spaces at the ends.
        public_key: if public.trim() == before.public_key.trim() {
            before.public_key.clone()
        } else {
            public
        },
        private_key: before.private_key.clone(),
        fingerprint: text("fingerprint"),
        user_id: before.user_id.clone().or_else(|| of(found, "user_id").map(str::to_owned)),
    }
}

impl Resource for Keypair {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "openstack_compute_keypair_v2"
    }

    fn schema(&self) -> Schema {
        Schema::new("An SSH key that servers let in.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("name", Attribute::required(Type::String, "Its name.").replace())
            .attr(
                "public_key",
                given_string("The public key, as in `id_ed25519.pub`. A pair is made otherwise (Ed25519).")
                    .replace(),
            )
            .attr(
                "private_key",
                Attribute::computed(Type::String, "The private key, where the pair was made here.")
                    .sensitive(),
            )
            .attr("fingerprint", Attribute::computed(Type::String, "The fingerprint of the public key."))
            .attr(
                "user_id",
                given_string("Whose it is. Others than oneself are for administrators.").replace(),
            )
            .attr(
                "value_specs",
                Attribute::optional(Type::map(Type::String), "More arguments of the API, sent as they are.")
                    .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "Its name."))
    }

    async fn read(&self, ctx: &Context<Client>, before: State) -> Result<Option<State>, Fault> {
        let found =
            show(ctx.client(), before.region.as_deref(), &before.name, before.user_id.as_deref()).await?;
        Ok(found.map(|found| state(ctx.client(), &found, &before)))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let client = ctx.client();
        let begun = match (&args.public_key, ctx.resumed::<State>()) {
            (Some(public), _) => State {
                id: String::new(),
                name: args.name.clone(),
                region: args.region.clone(),
                public_key: public.clone(),
                private_key: None,
                fingerprint: String::new(),
                user_id: args.user_id.clone(),
            },
            (None, Some(begun)) => begun,
            (None, None) => {
                let (public, private) = generate(&format!("{}-{}", args.name, ctx.key()))?;
                let begun = State {
                    id: String::new(),
                    name: args.name.clone(),
                    region: args.region.clone(),
                    public_key: public,
                    private_key: Some(private),
                    fingerprint: String::new(),
                    user_id: args.user_id.clone(),
                };
                ctx.checkpoint(&begun).await?;
                begun
            }
        };
        let mut body = json!({ "name": args.name, "public_key": begun.public_key.trim() });
        let mut post = call(Method::POST, args.region.as_deref(), "os-keypairs");
        if let Some(user) = &args.user_id {
            body["user_id"] = user.clone().into();
            post = post.version("2.10");
        }
        match client.call(post.json(json!({ "keypair": body }))).await {
            Ok(answer) => {
                let found = inner(answer, "keypair")?;
                Ok(state(client, &found, &begun))
            }
            // Taken: by this very creation, where it holds the same key.
            Err(refused) if refused.is_conflict() => {
                let found = show(client, args.region.as_deref(), &args.name, args.user_id.as_deref()).await?;
                let same =
                    |f: &Json| body_of(of(f, "public_key").unwrap_or_default()) == body_of(&begun.public_key);
                match found {
                    Some(found) if same(&found) => Ok(state(client, &found, &begun)),
                    _ => Err(refused
                        .fault()
                        .hint("a key of this name with another public key exists: import it, delete it, or choose another name")
                        .attribute("name")),
                }
            }
            Err(refused) => Err(Refused::fault(refused)),
        }
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let path = format!("os-keypairs/{}", crate::client::segment(&state.name));
        let found =
            show(ctx.client(), state.region.as_deref(), &state.name, state.user_id.as_deref()).await?;
        // Another key under the same name is not this one's to delete.
        let other = |f: &Json| body_of(of(f, "public_key").unwrap_or_default()) != body_of(&state.public_key);
        if found.as_ref().is_none_or(other) {
            return Ok(());
        }
        let mut delete = call(Method::DELETE, state.region.as_deref(), path);
        if let Some(user) = &state.user_id {
            delete = delete.query("user_id", user.clone()).version("2.10");
        }
        match ctx.client().raw(&delete).await {
            Err(refused) if refused.status() != Some(404) => Err(refused.fault()),
            _ => Ok(()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("its name")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let Some(found) = show(ctx.client(), args.region.as_deref(), id, args.user_id.as_deref()).await?
        else {
            return Ok(None);
        };
        let before = State {
            id: String::new(),
            name: id.to_owned(),
            region: args.region,
            public_key: args.public_key.unwrap_or_default(),
            private_key: None,
            fingerprint: String::new(),
            user_id: args.user_id,
        };
        Imported::new(&state(ctx.client(), &found, &before)).map(Some)
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        let own = stored.get("private_key").and_then(Value::as_str) == Some("");
        Ok(if own { stored.with_attr("private_key", Value::null(Type::String)) } else { stored })
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let before = match (ctx.resumed::<State>(), &args.public_key) {
            (Some(begun), _) => begun,
            (None, Some(public)) => State {
                id: String::new(),
                name: args.name.clone(),
                region: args.region.clone(),
                public_key: public.clone(),
                private_key: None,
                fingerprint: String::new(),
                user_id: args.user_id.clone(),
            },
            // Nothing was made yet: the key is on disk before it is sent.
            (None, None) => return Ok(None),
        };
        let found = show(ctx.client(), args.region.as_deref(), &args.name, args.user_id.as_deref()).await?;
        let same = |f: &Json| body_of(of(f, "public_key").unwrap_or_default()) == body_of(&before.public_key);
        Ok(found.filter(same).map(|found| state(ctx.client(), &found, &before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_made_fits() {
        let (public, private) = generate("a b").unwrap();
        assert!(public.starts_with("ssh-ed25519 ") && public.ends_with(" a b"), "{public}");
        let key = PrivateKey::from_openssh(&private).unwrap();
        assert_eq!(key.public_key().to_openssh().unwrap(), public);
        assert_eq!(body_of(&public).len(), 2);
    }
}
