//! `clouds.yaml` and `secure.yaml`, as the OpenStack tools read them.

use std::path::{Path, PathBuf};

use grappe_provider::Fault;
use serde_json::{Map, Value as Json};

/// An entry of `clouds.yaml`, with what `secure.yaml` says of it laid over.
///
/// # Errors
/// Where there is no such entry, or a file can't be read.
pub(crate) fn entry(
    name: &str,
    plan_dir: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Map<String, Json>, Fault> {
    let mut places = vec![plan_dir.to_owned()];
    places.extend(env("XDG_CONFIG_HOME").map(|dir| PathBuf::from(dir).join("openstack")));
    places.extend(env("HOME").map(|dir| PathBuf::from(dir).join(".config/openstack")));
    places.push("/etc/openstack".into());
    let clouds = read("clouds", env("OS_CLIENT_CONFIG_FILE"), &places)?;
    let secure = read("secure", env("OS_CLIENT_SECURE_FILE"), &places)?;
    let Some((path, clouds)) = clouds else {
        let looked: Vec<String> =
            places.iter().map(|p| p.join("clouds.yaml").display().to_string()).collect();
        return Err(Fault::permanent(format!("there is no clouds.yaml with the cloud {name:?}"))
            .hint(format!(
                "it is looked for at {}; OS_CLIENT_CONFIG_FILE names another place",
                looked.join(", ")
            ))
            .attribute("cloud"));
    };
    let Some(Json::Object(mut entry)) = clouds.get(name).cloned() else {
        let names: Vec<&str> = clouds.keys().map(String::as_str).collect();
        return Err(Fault::permanent(format!("{} has no cloud {name:?}", path.display()))
            .hint(format!("it has: {}", names.join(", ")))
            .attribute("cloud"));
    };
    if let Some((_, secure)) = secure
        && let Some(Json::Object(over)) = secure.get(name)
    {
        lay_over(&mut entry, over);
    }
    if entry.contains_key("profile") || entry.contains_key("cloud") {
        tracing::warn!(
            cloud = name,
            "profile of clouds.yaml is not read: auth_url must stand in the entry itself"
        );
    }
    Ok(entry)
}

/// The `clouds` of the first file that there is.
type Found = Option<(PathBuf, Map<String, Json>)>;

fn read(what: &str, named: Option<String>, places: &[PathBuf]) -> Result<Found, Fault> {
    let candidates: Vec<PathBuf> = match named.filter(|n| !n.is_empty()) {
        Some(path) => vec![home(&path)],
        None => places
            .iter()
            .flat_map(|dir| [dir.join(format!("{what}.yaml")), dir.join(format!("{what}.yml"))])
            .collect(),
    };
    for path in candidates {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Fault::permanent(format!("{} can't be read: {e}", path.display()))),
        };
        let file: Json = serde_saphyr::from_str(&text).map_err(|_| {
            // The parser's words may quote the text, and the text holds passwords.
            Fault::permanent(format!("{} is no YAML", path.display()))
        })?;
        let Some(Json::Object(clouds)) = file.get("clouds").cloned() else {
            return Err(Fault::permanent(format!("{} has no \"clouds\"", path.display())));
        };
        return Ok(Some((path, clouds)));
    }
    Ok(None)
}

fn lay_over(base: &mut Map<String, Json>, over: &Map<String, Json>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Json::Object(inner)), Json::Object(over)) => lay_over(inner, over),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

/// A path with `~` for the home folder.
pub(crate) fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.into(),
    }
}
