//! Key pairs, availability zones, and who one is.

use grappe_http::Method;
use grappe_provider::{Context, DataSource, Fault};
use grappe_value::{Attribute, Schema, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::attrs::{given_string, string};
use crate::client::{Client, inner};
use crate::compute::call;
use crate::thing::{Ctx, Object, of, text};

/// `openstack_compute_keypair_v2`
pub(super) struct Keypair;

#[derive(Deserialize)]
pub(super) struct KeypairArgs {
    region: Option<String>,
    name: String,
    user_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct KeypairState {
    id: String,
    region: Option<String>,
    fingerprint: String,
    public_key: String,
    user_id: Option<String>,
}

impl DataSource for Keypair {
    type Client = Client;
    type Args = KeypairArgs;
    type State = KeypairState;

    fn name(&self) -> &'static str {
        "openstack_compute_keypair_v2"
    }

    fn schema(&self) -> Schema {
        Schema::new("An SSH key that is there.")
            .attr("region", given_string("The region. The provider's by default."))
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr("user_id", given_string("Whose it is."))
            .attr("fingerprint", Attribute::computed(Type::String, "Its fingerprint."))
            .attr("public_key", Attribute::computed(Type::String, "The public key."))
            .attr("id", Attribute::computed(Type::String, "Its name."))
    }

    async fn read(&self, ctx: &Context<Client>, args: KeypairArgs) -> Result<KeypairState, Fault> {
        let path = format!("os-keypairs/{}", crate::client::segment(&args.name));
        let mut get = call(Method::GET, args.region.as_deref(), path);
        if let Some(user) = &args.user_id {
            get = get.query("user_id", user.clone()).version("2.10");
        }
        let found = ctx.client().find(get).await?.ok_or_else(|| {
            Fault::permanent(format!("there is no key pair {:?}", args.name))
                .hint("`openstack keypair list` shows those of the user who asks")
        })?;
        let key = inner(found, "keypair")?;
        let field = |name: &str| of(&key, name).unwrap_or_default().to_owned();
        Ok(KeypairState {
            id: field("name"),
            region: ctx.client().region(args.region.as_deref()),
            fingerprint: field("fingerprint"),
            public_key: field("public_key"),
            user_id: of(&key, "user_id").map(str::to_owned),
        })
    }
}

/// `openstack_compute_availability_zones_v2`
pub(super) struct Zones;

impl DataSource for Zones {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_compute_availability_zones_v2"
    }

    fn schema(&self) -> Schema {
        Schema::new("The availability zones.")
            .attr("region", given_string("The region. The provider's by default."))
            .attr("state", string("`available` or `unavailable`.").default("available"))
            .attr("names", Attribute::computed(Type::list(Type::String), "Their names, sorted."))
            .attr("id", Attribute::computed(Type::String, "The names, put together."))
    }

    async fn read(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let wanted = text(&args, "state") != Some("unavailable");
        let all = ctx
            .client()
            .list(call(Method::GET, text(&args, "region"), "os-availability-zone"), "availabilityZoneInfo")
            .await?;
        let fits = |zone: &&Json| zone["zoneState"]["available"].as_bool() == Some(wanted);
        let mut names: Vec<String> =
            all.iter().filter(fits).filter_map(|zone| of(zone, "zoneName").map(str::to_owned)).collect();
        names.sort();
        let mut state = Object::new();
        state.insert("id".into(), names.join(",").into());
        state.insert("names".into(), names.into());
        state.insert("region".into(), ctx.client().region(text(&args, "region")).into());
        Ok(state)
    }
}

/// `openstack_identity_auth_scope_v3`
pub(super) struct Scope;

impl DataSource for Scope {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_identity_auth_scope_v3"
    }

    fn schema(&self) -> Schema {
        let text = |description| Attribute::computed(Type::String, description);
        let role = Type::object([("role_id", Type::String), ("role_name", Type::String)]);
        Schema::new("Who the provider is in the cloud, and where. The token itself is told to nobody.")
            .attr("region", given_string("The region. The provider's by default."))
            .attr("name", Attribute::required(Type::String, "Any name."))
            .attr("auth_url", text("The address of Keystone at which the provider logs in."))
            .attr("user_id", text("The user."))
            .attr("user_name", text("The user's name."))
            .attr("user_domain_id", text("The user's domain."))
            .attr("user_domain_name", text("The name of the user's domain."))
            .attr("domain_id", text("The domain, where the provider works on one."))
            .attr("domain_name", text("The domain's name."))
            .attr("project_id", text("The project."))
            .attr("project_name", text("The project's name."))
            .attr("project_domain_id", text("The project's domain."))
            .attr("project_domain_name", text("The name of the project's domain."))
            .attr("roles", Attribute::computed(Type::set(role), "What the user may be there."))
            .attr("id", text("The name."))
    }

    async fn read(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let session = ctx.client().session().await?;
        let token = &session.body;
        let mut state = Object::new();
        for (name, object, field) in [
            ("user_id", &token.user, "id"),
            ("user_name", &token.user, "name"),
            ("user_domain_id", &token.user["domain"], "id"),
            ("user_domain_name", &token.user["domain"], "name"),
            ("domain_id", &token.domain, "id"),
            ("domain_name", &token.domain, "name"),
            ("project_id", &token.project, "id"),
            ("project_name", &token.project, "name"),
            ("project_domain_id", &token.project["domain"], "id"),
            ("project_domain_name", &token.project["domain"], "name"),
        ] {
            state.insert(name.into(), of(object, field).into());
        }
        let roles = token.roles.as_array().into_iter().flatten();
        let roles = roles.map(|role| serde_json::json!({ "role_id": role["id"], "role_name": role["name"] }));
        state.insert("roles".into(), roles.collect());
        state.insert("id".into(), args.get("name").cloned().unwrap_or_default());
        state.insert("auth_url".into(), ctx.client().auth_url().into());
        state.insert("region".into(), ctx.client().region(text(&args, "region")).into());
        Ok(state)
    }
}
