//! Kubernetes versions, and the kubeadm configuration API that each one speaks.
//!
//! A plan may name a minor (`1.34`) or a patch release (`v1.34.2`); the two compare as far as both are known.
//! | kubeadm | API we write |
//! |---|---|
//! | 1.15–1.21 | `kubeadm.k8s.io/v1beta2` |
//! | 1.22–1.30 | `kubeadm.k8s.io/v1beta3` |
//! | 1.31 and later | `kubeadm.k8s.io/v1beta4` |
//!
//! kubeadm reads older APIs for some releases more, but each is written at the earliest release that has the fields
//! of its successor. Source: the kubeadm configuration reference of each release.

use std::fmt;
use std::str::FromStr;

/// A Kubernetes version `1.MINOR[.PATCH][-SUFFIX]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubernetesVersion {
    minor: u32,
    patch: Option<u32>,
    /// A pre-release sorts before its release: the variants stand in that order.
    suffix: Suffix,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Suffix {
    Pre(String),
    None,
}

/// Why a version cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not of the form `1.MINOR[.PATCH]`.
    #[error("{0:?} is not a Kubernetes version: write `1.34` or `1.34.2` (a leading `v` is fine)")]
    Malformed(String),
    /// kubeadm of that release has no configuration API that we write.
    #[error("Kubernetes {0} is too old: kubeadm configuration is written for 1.15 and later")]
    TooOld(KubernetesVersion),
    /// A patch release is needed to install from.
    #[error("Kubernetes {0} names no patch release: write the whole version, such as `{0}.0`")]
    NoPatch(KubernetesVersion),
}

impl KubernetesVersion {
    /// `1.MINOR.PATCH`.
    pub fn new(minor: u32, patch: u32) -> Self {
        Self { minor, patch: Some(patch), suffix: Suffix::None }
    }

    /// `1.MINOR`: any release of that minor.
    pub fn any_of(minor: u32) -> Self {
        Self { minor, patch: None, suffix: Suffix::None }
    }

    /// `34` of `1.34.2`.
    pub fn minor(&self) -> u32 {
        self.minor
    }

    /// `2` of `1.34.2`; none of `1.34`.
    pub fn patch(&self) -> Option<u32> {
        self.patch
    }

    /// `v1.34`: how package sources and the skew policy name a release.
    pub fn series(&self) -> String {
        format!("v1.{}", self.minor)
    }

    /// `v1.34.2`: how kubeadm and images name a release.
    ///
    /// # Errors
    /// [`Error::NoPatch`] for a bare minor.
    pub fn tag(&self) -> Result<String, Error> {
        match self.patch {
            Some(_) => Ok(format!("v{self}")),
            None => Err(Error::NoPatch(self.clone())),
        }
    }

    /// Whether `other` is this version, or lies in the minor that this one names.
    pub fn admits(&self, other: &Self) -> bool {
        match self.patch {
            None => self.minor == other.minor,
            Some(_) => self == other,
        }
    }
}

impl FromStr for KubernetesVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed(text.to_owned());
        let bare = text.strip_prefix('v').unwrap_or(text);
        // Build metadata (`+k3s1`) does not take part in comparisons.
        let bare = bare.split_once('+').map_or(bare, |(before, _)| before);
        let (numbers, suffix) = match bare.split_once('-') {
            Some((_, "")) => return Err(malformed()),
            Some((numbers, suffix)) => (numbers, Suffix::Pre(suffix.to_owned())),
            None => (bare, Suffix::None),
        };
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let padded = text.len() > 1 && text.starts_with('0');
            if plain && !padded { text.parse::<u32>().ok() } else { None }
        };
        let parts: Vec<_> = numbers.split('.').collect();
        let (minor, patch) = match parts[..] {
            ["1", minor] => (number(minor), None),
            ["1", minor, patch] => (number(minor), Some(number(patch).ok_or_else(malformed)?)),
            _ => return Err(malformed()),
        };
        if patch.is_none() && suffix != Suffix::None {
            return Err(malformed());
        }
        Ok(Self { minor: minor.ok_or_else(malformed)?, patch, suffix })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)?;
        if let Some(patch) = self.patch {
            write!(f, ".{patch}")?;
        }
        if let Suffix::Pre(suffix) = &self.suffix {
            write!(f, "-{suffix}")?;
        }
        Ok(())
    }
}

/// A generation of `kubeadm.k8s.io`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigApi {
    /// `v1beta2`
    V1Beta2,
    /// `v1beta3`: adds `skipPhases`, `patches` and `imagePullPolicy`.
    V1Beta3,
    /// `v1beta4`: arguments become lists, time-outs a section of their own.
    V1Beta4,
}

impl ConfigApi {
    /// The API to write for kubeadm of this version.
    ///
    /// # Errors
    /// [`Error::TooOld`] before 1.15.
    pub fn for_version(version: &KubernetesVersion) -> Result<Self, Error> {
        match version.minor {
            15..=21 => Ok(Self::V1Beta2),
            22..=30 => Ok(Self::V1Beta3),
            31.. => Ok(Self::V1Beta4),
            _ => Err(Error::TooOld(version.clone())),
        }
    }

    /// The `apiVersion` of its documents.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> KubernetesVersion {
        text.parse().expect(text)
    }

    #[test]
    fn versions_are_read_and_written() {
        for (text, shown) in [
            ("1.34.2", "1.34.2"),
            ("v1.34", "1.34"),
            ("v1.20.0-rc.1", "1.20.0-rc.1"),
            ("1.30.4+k3s1", "1.30.4"),
        ] {
            assert_eq!(v(text).to_string(), shown);
        }
        for text in
            ["", "1", "2.1", "1.x", "1.34.", "1.34.2.1", "1.034.1", "1.-3", "v", "1.34-rc1", "1.34.1-"]
        {
            assert_eq!(text.parse::<KubernetesVersion>(), Err(Error::Malformed(text.into())), "{text}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(v("1.9.0") < v("1.10.0"));
        assert!(v("1.34.2") < v("1.34.10"));
        assert!(v("1.34.0-rc.1") < v("1.34.0"));
        assert!(v("1.34").admits(&v("1.34.7")));
        assert!(!v("1.34.2").admits(&v("1.34.7")));
    }

    #[test]
    fn a_tag_needs_a_patch_release() {
        assert_eq!(v("1.34.2").tag().as_deref(), Ok("v1.34.2"));
        assert_eq!(v("1.34").tag(), Err(Error::NoPatch(v("1.34"))));
    }

    #[test]
    fn each_release_has_its_api() {
        let api = |text| ConfigApi::for_version(&v(text));
        assert_eq!(api("1.15.0"), Ok(ConfigApi::V1Beta2));
        assert_eq!(api("1.21.14"), Ok(ConfigApi::V1Beta2));
        assert_eq!(api("1.22.0"), Ok(ConfigApi::V1Beta3));
        assert_eq!(api("1.30.9"), Ok(ConfigApi::V1Beta3));
        assert_eq!(api("1.31.0"), Ok(ConfigApi::V1Beta4));
        assert_eq!(api("1.37.0"), Ok(ConfigApi::V1Beta4));
        let old = api("1.14.3").expect_err("no API");
        assert_eq!(
            old.to_string(),
            "Kubernetes 1.14.3 is too old: kubeadm configuration is written for 1.15 and later"
        );
    }
}
