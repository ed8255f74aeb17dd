//! What is named by people and asked for by id: flavors, images, networks.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_http::Method;
use grappe_provider::Fault;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use crate::client::{Call, Client, Service};
use crate::thing::of;

/// Flavors and images, asked for once a run.
#[derive(Default)]
pub(crate) struct Flavors {
    flavors: Mutex<BTreeMap<Option<String>, Arc<Vec<Json>>>>,
    images: Mutex<BTreeMap<String, Option<String>>>,
}

impl Client {
    /// All flavors.
    pub(crate) async fn flavors(&self, region: Option<&str>) -> Result<Arc<Vec<Json>>, Fault> {
        let mut known = self.known.flavors.lock().await;
        let place = region.map(str::to_owned);
        if let Some(flavors) = known.get(&place) {
            return Ok(flavors.clone());
        }
        let all = self.list(super::call(Method::GET, region, "flavors/detail"), "flavors").await?;
        let all = Arc::new(all);
        known.insert(place, all.clone());
        Ok(all)
    }

    /// The id of a flavor by its name.
    pub(crate) async fn flavor_id(&self, region: Option<&str>, name: &str) -> Result<String, Fault> {
        let flavors = self.flavors(region).await?;
        let found = flavors.iter().find(|f| of(f, "name") == Some(name)).and_then(|f| of(f, "id"));
        found.map(str::to_owned).ok_or_else(|| {
            let mut names: Vec<&str> = flavors.iter().filter_map(|f| of(f, "name")).collect();
            names.sort_unstable();
            names.truncate(20);
            Fault::permanent(format!("there is no flavor {name:?}"))
                .hint(format!("there are: {}", names.join(", ")))
                .attribute("flavor_name")
        })
    }

    /// The name of a flavor by its id; `None` for one that is no longer offered.
    pub(crate) async fn flavor_name(&self, region: Option<&str>, id: &str) -> Result<Option<String>, Fault> {
        let flavors = self.flavors(region).await?;
        Ok(flavors.iter().find(|f| of(f, "id") == Some(id)).and_then(|f| of(f, "name")).map(str::to_owned))
    }

    /// The name of an image by its id; `None` where it is gone.
    pub(crate) async fn image_name(&self, region: Option<&str>, id: &str) -> Result<Option<String>, Fault> {
        let mut known = self.known.images.lock().await;
        if let Some(name) = known.get(id) {
            return Ok(name.clone());
        }
        let found = self.find(Call::new(Method::GET, Service::Image, region, format!("images/{id}"))).await?;
        let name = found.as_ref().and_then(|i| of(i, "name")).map(str::to_owned);
        known.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}

/// The id of an image by its name. Of several the newest that can be used.
pub(crate) async fn image_id(client: &Client, region: Option<&str>, name: &str) -> Result<String, Fault> {
    let list = Call::new(Method::GET, Service::Image, region, "images");
    let images = client
        .list(list.query("name", name).query("status", "active").query("sort", "created_at:desc"), "images")
        .await?;
    let found = images.first().and_then(|image| of(image, "id"));
    found.map(str::to_owned).ok_or_else(|| {
        Fault::permanent(format!("there is no image {name:?} that can be used"))
            .hint("`openstack image list` shows them")
            .attribute("image_name")
    })
}

/// The id of a network by its name.
pub(crate) async fn network_id(client: &Client, region: Option<&str>, name: &str) -> Result<String, Fault> {
    let list = Call::new(Method::GET, Service::Network, region, "networks")
        .query("name", name)
        .query("fields", "id");
    match client.list(list, "networks").await?.as_slice() {
        [one] => Ok(of(one, "id").unwrap_or_default().to_owned()),
        [] => Err(Fault::permanent(format!("there is no network {name:?}"))
            .hint("`openstack network list` shows them")
            .attribute("network")),
        many => Err(Fault::permanent(format!("{} networks are called {name:?}", many.len()))
            .hint("give the id (uuid) instead")
            .attribute("network")),
    }
}
