//! The package manager of a host, as scripts and the reading of what they print: apt, dnf and tdnf.
//!
//! `host_package` and the types whose service comes in a package share it. Nothing here runs anything: [`survey`] is one
//! script that tells the manager and what it has installed, [`Manager`] then gives the script for each change. All wait
//! for a lock that somebody else holds; apt's says who that is.
//!
//! apt is run against in tests; dnf and tdnf are not to be had where this is built: their scripts are proven against
//! recorded transcripts only, whose formats are named where they are read.

mod apt;
mod dnf;
mod tdnf;

use std::collections::{BTreeMap, BTreeSet};

use grappe_ssh::quote;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Manager {
    /// Debian, Ubuntu.
    Apt,
    /// RHEL and what is built from it: Rocky, Alma, CentOS Stream, Oracle; Fedora.
    Dnf,
    /// Photon.
    Tdnf,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// As the manager names it: `2.6.12-1+deb12u2`, `2.8.14-1.el9`. An epoch of 0 is left out.
    pub version: String,
    /// Whether upgrades of the system leave it alone.
    pub held: bool,
}

/// What [`survey`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The host's package manager.
    pub manager: Manager,
    /// Those of the packages asked for that are installed.
    pub packages: BTreeMap<String, Package>,
}

/// A package to install: any version, or this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version as the manager writes it; for apt and dnf it may end in `*`.
    pub version: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Whatever version there is.
    #[must_use]
    pub fn any(name: &'a str) -> Self {
        Wanted { name, version: None }
    }
}

/// Prints the manager (`manager apt`), then the packages in its own words. Exits with 44 where there is none that is
/// known, after the words of os-release.
#[must_use]
pub fn survey(names: &[&str]) -> String {
    let quoted = quoted(names);
    format!(
        "if command -v dpkg-query >/dev/null 2>&1; then echo manager apt\n{}\n\
         elif command -v tdnf >/dev/null 2>&1; then echo manager tdnf\n{}\n\
         elif command -v dnf >/dev/null 2>&1; then echo manager dnf\n{}\n\
         else cat /etc/os-release; exit 44; fi",
        apt::query(&quoted),
        tdnf::query(&quoted),
        dnf::query(&quoted),
    )
}

/// Reads what [`survey`] printed; `None` if it does not begin as that does.
#[must_use]
pub fn read_survey(text: &str) -> Option<Survey> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let manager = Manager::named(first.strip_prefix("manager ")?.trim())?;
    let packages = match manager {
        Manager::Apt => apt::read(rest),
        Manager::Dnf => dnf::read(rest),
        Manager::Tdnf => tdnf::read(rest),
    };
    Some(Survey { manager, packages })
}

impl Manager {
    fn named(name: &str) -> Option<Self> {
        [Self::Apt, Self::Dnf, Self::Tdnf].into_iter().find(|manager| manager.name() == name)
    }

    /// The name of its program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Tdnf => "tdnf",
        }
    }

    /// Fetches the lists anew.
    #[must_use]
    pub fn refresh(self) -> String {
        match self {
            Self::Apt => apt::refresh(),
            Self::Dnf => dnf::refresh(),
            Self::Tdnf => tdnf::refresh(),
        }
    }

    /// Installs packages, or moves them to the versions named, down too; held ones as well. The lists are fetched where
    /// they turn out to be missing or stale. Empty for no package.
    #[must_use]
    pub fn install(self, wanted: &[Wanted<'_>]) -> String {
        if wanted.is_empty() {
            return String::new();
        }
        match self {
            Self::Apt => apt::install(wanted),
            Self::Dnf => dnf::install(wanted),
            Self::Tdnf => tdnf::install(wanted),
        }
    }

    /// Removes packages that are installed.
    #[must_use]
    pub fn remove(self, names: &[&str]) -> String {
        match self {
            Self::Apt => apt::remove(&quoted(names)),
            Self::Dnf => dnf::remove(&quoted(names)),
            Self::Tdnf => tdnf::remove(&quoted(names)),
        }
    }

    /// Makes upgrades of the system leave installed packages alone.
    #[must_use]
    pub fn hold(self, names: &[&str]) -> String {
        match self {
            Self::Apt => format!("apt-mark hold {} >/dev/null", quoted(names)),
            Self::Dnf => dnf::hold(&quoted(names)),
            Self::Tdnf => tdnf::hold(names),
        }
    }

    /// Takes a hold back.
    #[must_use]
    pub fn unhold(self, names: &[&str]) -> String {
        match self {
            Self::Apt => format!("apt-mark unhold {} >/dev/null", quoted(names)),
            Self::Dnf => dnf::unhold(&quoted(names)),
            Self::Tdnf => tdnf::unhold(names),
        }
    }

    /// Prints what the repositories offer of packages, for [`Manager::read_offers`].
    #[must_use]
    pub fn offers(self, names: &[&str]) -> String {
        match self {
            Self::Apt => format!("apt-cache madison {}", quoted(names)),
            Self::Dnf => dnf::offers(&quoted(names)),
            Self::Tdnf => tdnf::offers(&quoted(names)),
        }
    }

    /// The versions of a package in what [`Manager::offers`] printed, the newest first.
    #[must_use]
    pub fn read_offers(self, text: &str, name: &str) -> Vec<String> {
        match self {
            Self::Apt => apt::read_offers(text, name),
            Self::Dnf | Self::Tdnf => dnf::read_offers(text, name),
        }
    }

    /// The command that shows what a repository has of a package, for hints.
    #[must_use]
    pub fn show(self) -> &'static str {
        match self {
            Self::Apt => "apt-cache policy NAME",
            Self::Dnf => "dnf list --showduplicates NAME",
            Self::Tdnf => "tdnf list NAME",
        }
    }

    /// What the manager's complaint means: whether it may pass by itself, or that there is no such package.
    #[must_use]
    pub fn complaint(self, lines: &[String]) -> Option<Complaint> {
        let told = |texts: &[&str]| lines.iter().any(|line| texts.iter().any(|text| line.contains(text)));
        let (passing, unknown): (&[&str], &[&str]) = match self {
            Self::Apt => (
                &[
                    "Temporary failure resolving",
                    "Failed to fetch",
                    "Could not get lock",
                    "Connection timed out",
                ],
                &["Unable to locate package", "has no installation candidate", "was not found"],
            ),
            Self::Dnf => (
                &["Failed to download metadata", "Curl error", "Error downloading packages"],
                &["No match for argument", "Unable to find a match"],
            ),
            Self::Tdnf => (
                &[
                    "Error(1602)",
                    "Couldn't resolve host",
                    "Failed to download",
                    "Failed to synchronize cache",
                ],
                &["No matching packages", "package not found"],
            ),
        };
        if told(&["is held by"]) || told(passing) {
            Some(Complaint::Passing)
        } else if told(unknown) {
            Some(Complaint::Unknown)
        } else {
            None
        }
    }
}

/// See [`Manager::complaint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// The network, or a lock that was held too long.
    Passing,
    /// No repository has it.
    Unknown,
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ")
}

/// Lines `NAME VERSION` of `rpm -q`, after which a line `-- held` and the names that are.
fn read_rpm(text: &str, held: impl Fn(&str) -> BTreeSet<String>) -> BTreeMap<String, Package> {
    let (installed, locks) = text.split_once("-- held\n").unwrap_or((text, ""));
    let held = held(locks);
    let line = |line: &str| {
        let (name, version) = line.split_once(' ')?;
        // `package NAME is not installed` has more words than two.
        let version = version.trim();
        (!version.contains(' ')).then(|| {
            let version = version.strip_prefix("0:").unwrap_or(version).to_owned();
            (name.to_owned(), Package { version, held: held.contains(name) })
        })
    };
    installed.lines().filter_map(line).collect()
}

/// Asks rpm of packages; one that is not installed is an answer.
fn rpm_query(quoted: &str) -> String {
    if quoted.is_empty() {
        return "true".into();
    }
    format!("rpm -q --qf '%{{NAME}} %{{EPOCHNUM}}:%{{VERSION}}-%{{RELEASE}}\\n' {quoted} 2>/dev/null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_names_its_manager() {
        let apt = read_survey(
            "manager apt\nhaproxy 2.6.12-1+deb12u2 hi \ncurl 7.88.1-10 rc \nsudo 1.9.13p3-1 ii \n",
        );
        let apt = apt.expect("a survey");
        assert_eq!(apt.manager, Manager::Apt);
        assert_eq!(apt.packages.keys().collect::<Vec<_>>(), ["haproxy", "sudo"]);
        assert!(apt.packages["haproxy"].held && !apt.packages["sudo"].held);
        assert_eq!(read_survey("NAME=\"Arch Linux\"\n"), None);
        assert_eq!(read_survey("manager pacman\n"), None);
    }

    #[test]
    fn complaints_are_told_apart() {
        let said = |manager: Manager, line: &str| manager.complaint(&[line.to_owned()]);
        assert_eq!(said(Manager::Apt, "E: Unable to locate package jqq"), Some(Complaint::Unknown));
        assert_eq!(said(Manager::Apt, "W: Failed to fetch http://x/Packages"), Some(Complaint::Passing));
        // dnf 4 (dnf/cli/commands/install.py, dnf/base.py) and tdnf (include/tdnferror.h).
        assert_eq!(said(Manager::Dnf, "Error: Unable to find a match: jqq"), Some(Complaint::Unknown));
        assert_eq!(said(Manager::Tdnf, "Error(1011) : No matching packages"), Some(Complaint::Unknown));
        assert_eq!(said(Manager::Dnf, "Error: Transaction test error:"), None);
    }
}
