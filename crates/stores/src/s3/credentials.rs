//! Who asks: keys from the configuration, the environment, or a profile of AWS's files.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Keys. Shown by nobody.
#[derive(Clone)]
pub struct Credentials {
    /// Names the keys.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// For keys that last a while only.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Where to look for them, from the first to the last.
#[derive(Default)]
pub struct Source {
    /// The configuration's own.
    pub given: Option<Credentials>,
    /// The profile that it names.
    pub profile: Option<String>,
    /// The files with keys that it names.
    pub credentials_files: Vec<PathBuf>,
    /// The files with settings that it names.
    pub config_files: Vec<PathBuf>,
}

/// What was found.
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) region: Option<String>,
}

type Profile = BTreeMap<String, String>;

impl Source {
    /// The keys, and the profile's region. A profile that is named goes before the environment's keys, as with Terraform.
    ///
    /// # Errors
    /// Where there are none.
    pub(super) fn find(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Found, String> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let name = self.profile.clone().or_else(|| set("AWS_PROFILE"));
        let wanted = name.clone().unwrap_or_else(|| "default".into());
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".aws"));
        let files = |own: &[PathBuf], variable: &str, default: &str| -> Vec<PathBuf> {
            match own {
                [] => set(variable)
                    .map(PathBuf::from)
                    .or_else(|| Some(home()?.join(default)))
                    .into_iter()
                    .collect(),
                own => own.to_vec(),
            }
        };
        let mut profile = Profile::new();
        for path in files(&self.config_files, "AWS_CONFIG_FILE", "config") {
            let section = if wanted == "default" { wanted.clone() } else { format!("profile {wanted}") };
            profile.extend(read(&path, &section));
        }
        for path in files(&self.credentials_files, "AWS_SHARED_CREDENTIALS_FILE", "credentials") {
            profile.extend(read(&path, &wanted));
        }
        let region = profile.get("region").cloned();
        let of = |get: &dyn Fn(&str) -> Option<String>| {
            Some(Credentials {
                access_key: get("aws_access_key_id")?,
                secret_key: get("aws_secret_access_key")?,
                session_token: get("aws_session_token"),
            })
        };
        let from_env = || of(&|name| set(&name.to_uppercase()));
        let from_profile = || of(&|name| profile.get(name).cloned());
        let credentials = match (&self.given, &self.profile) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(_)) => from_profile(),
            (None, None) => from_env().or_else(from_profile),
        };
        match credentials {
            Some(credentials) => Ok(Found { credentials, region }),
            None => Err(match name {
                Some(name) => {
                    format!("the profile {name:?} has no aws_access_key_id and aws_secret_access_key")
                }
                None => "there are no keys".into(),
            }),
        }
    }
}

/// A section of an INI file; nothing where there is none.
fn read(path: &std::path::Path, section: &str) -> Profile {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut inside = false;
    let mut found = Profile::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == section;
        } else if let (true, Some((name, value))) = (inside, line.split_once('=')) {
            found.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    found
}
