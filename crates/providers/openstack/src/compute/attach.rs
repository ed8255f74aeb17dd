//! `openstack_compute_volume_attach_v2`: a volume in a server. A server has a volume once, so the two ids say which it is.

use grappe_http::Method;
use grappe_provider::{Context, Fault, Importable, Imported, Resource};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::call;
use crate::attrs::{given_string, string};
use crate::client::{Client, Service, inner};
use crate::roll::{Look, patiently, wait};
use crate::thing::of;

pub(super) struct Attach;

#[derive(Deserialize)]
pub(super) struct Args {
    region: Option<String>,
    instance_id: String,
    volume_id: String,
    device: Option<String>,
    multiattach: Option<bool>,
    tag: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    region: Option<String>,
    instance_id: String,
    volume_id: String,
    device: Option<String>,
}

async fn show(
    client: &Client,
    region: Option<&str>,
    server: &str,
    volume: &str,
) -> Result<Option<Json>, Fault> {
    let get = call(Method::GET, region, format!("servers/{server}/os-volume_attachments/{volume}"));
    match client.find(get).await? {
        Some(found) => Ok(Some(inner(found, "volumeAttachment")?)),
        None => Ok(None),
    }
}

fn state(client: &Client, found: &Json, region: Option<&str>) -> State {
    let text = |name: &str| of(found, name).unwrap_or_default().to_owned();
    State {
        id: format!("{}/{}", text("serverId"), text("volumeId")),
        region: client.region(region),
        instance_id: text("serverId"),
        volume_id: text("volumeId"),
        device: of(found, "device").map(str::to_owned),
    }
}

/// Whether a volume is attached to the server by now.
fn attached(volume: Option<&Json>, server: &str) -> Result<Look, Fault> {
    let Some(volume) = volume else { return Err(Fault::permanent("the volume is gone")) };
    let status = of(volume, "status").unwrap_or_default();
    let here =
        volume["attachments"].as_array().into_iter().flatten().any(|a| of(a, "server_id") == Some(server));
    match status {
        "in-use" if here => Ok(Look::Done),
        "error" | "error_attaching" => Err(Fault::permanent(format!("the volume is {status}"))
            .hint("`openstack volume show` and Cinder's log say more")),
        _ => Ok(Look::Wait(format!("the volume is {status}"))),
    }
}

impl Resource for Attach {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "openstack_compute_volume_attach_v2"
    }

    fn schema(&self) -> Schema {
        let options = Schema::new("For clouds with ways of their own.").attr(
            "ignore_volume_confirmation",
            Attribute::optional(Type::Bool, "Accepted and of no effect.").default(false).record(),
        );
        Schema::new("A volume in a server.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("instance_id", Attribute::required(Type::String, "The server.").replace().home())
            .attr("volume_id", Attribute::required(Type::String, "The volume.").replace())
            .attr(
                "device",
                given_string("The device. Hypervisors often choose another than the one that is asked for.")
                    .replace(),
            )
            .attr(
                "multiattach",
                Attribute::optional(Type::Bool, "Whether the volume may be in other servers too.").replace(),
            )
            .attr("tag", string("A tag of the device, for the machine's metadata.").replace())
            .attr("id", Attribute::computed(Type::String, "Both ids: `SERVER/VOLUME`."))
            .block("vendor_options", Nesting::Set, options)
    }

    async fn read(&self, ctx: &Context<Client>, before: State) -> Result<Option<State>, Fault> {
        let found =
            show(ctx.client(), before.region.as_deref(), &before.instance_id, &before.volume_id).await?;
        Ok(found.map(|found| state(ctx.client(), &found, before.region.as_deref())))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let client = ctx.client();
        let region = args.region.as_deref();
        if show(client, region, &args.instance_id, &args.volume_id).await?.is_none() {
            let mut body = json!({ "volumeId": args.volume_id });
            if let Some(device) = &args.device {
                body["device"] = device.clone().into();
            }
            if let Some(tag) = &args.tag {
                body["tag"] = tag.clone().into();
            }
            let path = format!("servers/{}/os-volume_attachments", args.instance_id);
            let body = json!({ "volumeAttachment": body });
            patiently(ctx, "server", || async {
                let post = call(Method::POST, region, path.clone()).json(body.clone());
                // 2.49 for tags, 2.60 for volumes that may be in several.
                let post = match (args.multiattach, &args.tag) {
                    (Some(true), _) => post.version("2.60"),
                    (_, Some(_)) => post.version("2.49"),
                    _ => post,
                };
                client.call(post).await
            })
            .await?;
        }
        wait(ctx, (Service::Volume, region, &args.volume_id), |volume| attached(volume, &args.instance_id))
            .await?;
        let found = show(client, region, &args.instance_id, &args.volume_id).await?;
        let found = found.ok_or_else(|| Fault::permanent("the volume was taken out of the server again"))?;
        let mut made = state(client, &found, region);
        // What was asked for is what is remembered: the hypervisor chooses.
        made.device = args.device.or(made.device);
        Ok(made)
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let region = state.region.as_deref();
        let path = format!("servers/{}/os-volume_attachments/{}", state.instance_id, state.volume_id);
        patiently(ctx, "volume", || async {
            match ctx.client().raw(&call(Method::DELETE, region, path.clone())).await {
                Err(refused) if refused.status() == Some(404) => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await?;
        wait(ctx, (Service::Volume, region, &state.volume_id), |volume| {
            let attachments = volume.and_then(|v| v["attachments"].as_array());
            let here =
                attachments.into_iter().flatten().any(|a| of(a, "server_id") == Some(&state.instance_id));
            match volume.and_then(|v| of(v, "status")) {
                Some(status) if here && status.starts_with("error") => {
                    Err(Fault::permanent(format!("the volume is {status}")))
                }
                Some(status) if here => Ok(Look::Wait(format!("the volume is {status}"))),
                _ => Ok(Look::Done),
            }
        })
        .await
        .map(drop)
    }

    fn importable(&self) -> Importable {
        Importable::By("the server's and the volume's: `SERVER/VOLUME`")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let Some((server, volume)) = id.split_once('/') else {
            return Err(Fault::permanent(format!("{id:?} is not of the form SERVER/VOLUME")));
        };
        let found = show(ctx.client(), args.region.as_deref(), server, volume).await?;
        found.map(|found| Imported::new(&state(ctx.client(), &found, args.region.as_deref()))).transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let found = show(ctx.client(), args.region.as_deref(), &args.instance_id, &args.volume_id).await?;
        Ok(found.map(|found| state(ctx.client(), &found, args.region.as_deref())))
    }
}
