//! A project of one test's own.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Deserializer, Value};

use crate::start::{Bed, said};

/// A project, and its only user, who is no administrator: a test in it sees nothing of the others.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// The project's name, and its user's.
    pub name: String,
    /// The project's id.
    pub id: String,
    /// The user's password.
    pub password: String,
    /// Keystone, or what stands before it.
    pub auth_url: String,
}

impl Bed {
    /// A new project. It ends with the bed.
    ///
    /// # Errors
    ///
    /// Where Keystone refuses, as it does a name that is taken.
    pub fn tenant(&self, name: &str) -> Result<Tenant> {
        let answer = self.ask(&format!("tenant {name}"))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("no project {name:?}: {error}");
        }
        let text = |key: &str| {
            answer[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {answer}"))
        };
        Ok(Tenant {
            name: text("project")?,
            id: text("project_id")?,
            password: text("password")?,
            auth_url: self.auth_url(),
        })
    }
}

impl Tenant {
    /// The environment by which clients find the project.
    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("OS_AUTH_URL", &self.auth_url),
            ("OS_USERNAME", &self.name),
            ("OS_PASSWORD", &self.password),
            ("OS_PROJECT_NAME", &self.name),
            ("OS_USER_DOMAIN_ID", "default"),
            ("OS_PROJECT_DOMAIN_ID", "default"),
            ("OS_REGION_NAME", "RegionOne"),
            ("OS_IDENTITY_API_VERSION", "3"),
            ("no_proxy", "127.0.0.0/8"),
        ]
    }

    /// OpenStack's own client as the project's user: what it prints.
    ///
    /// # Errors
    ///
    /// Where it fails, with what it complains of.
    pub fn openstack(&self, bed: &Bed, args: &[&str]) -> Result<String> {
        let mut command: Command = bed.client();
        command.envs(self.environment()).args(args);
        said(&mut command)
    }

    /// As [`Self::openstack`], of a command that prints JSON.
    ///
    /// # Errors
    ///
    /// Where it fails, or prints something else.
    pub fn query(&self, bed: &Bed, args: &[&str]) -> Result<Value> {
        let text = self.openstack(bed, &[args, &["-f", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("openstack {args:?} prints {text:?}"))
    }

    /// As [`Self::query`], of several commands by one client, which takes a second to start: what each prints.
    ///
    /// # Errors
    ///
    /// Where one of them fails, or prints something else.
    pub fn queries(&self, bed: &Bed, commands: &[&str]) -> Result<Vec<Value>> {
        let mut client = bed.client();
        client.envs(self.environment()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().context("can't run openstack")?;
        let lines: String = commands.iter().map(|command| format!("{command} -f json\n")).collect();
        client.stdin.take().context("openstack reads nothing")?.write_all(lines.as_bytes())?;
        let output = client.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let answers: Result<Vec<Value>, _> = Deserializer::from_slice(&output.stdout).into_iter().collect();
        let answers = answers.with_context(|| format!("openstack {commands:?}: {}", said.trim()))?;
        if answers.len() != commands.len() {
            bail!("openstack {commands:?} gives {} answers: {}", answers.len(), said.trim());
        }
        Ok(answers)
    }
}
