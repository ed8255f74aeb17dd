//! Addresses: `module.net[0].openstack_networking_port_v2.node["a"]`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which instance of a resource or module: none, `[0]` or `["a"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceKey {
    /// The only one: neither `count` nor `for_each`.
    #[default]
    None,
    /// By `count`.
    Int(u64),
    /// By `for_each`.
    Str(Arc<str>),
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstanceKey::None => Ok(()),
            InstanceKey::Int(n) => write!(f, "[{n}]"),
            InstanceKey::Str(key) => write!(f, "[{}]", quote(key)),
        }
    }
}

/// A text as HCL quotes it: what would begin a template is escaped too, and a terminal obeys nothing that is in it.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' | '%' if chars.peek() == Some(&'{') => out.extend([c, c]),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An instance of a module: the calls that lead to it, outermost first. Empty for the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleAddr(pub Arc<[(Arc<str>, InstanceKey)]>);

impl ModuleAddr {
    /// The root module.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether it is the root module.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// An instance of a module that this one calls.
    #[must_use]
    pub fn child(&self, name: Arc<str>, key: InstanceKey) -> Self {
        ModuleAddr(self.0.iter().cloned().chain(std::iter::once((name, key))).collect())
    }

    /// The module that calls this one.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, rest)| ModuleAddr(rest.into()))
    }
}

impl fmt::Display for ModuleAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, key)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "module.{name}{key}")?;
        }
        Ok(())
    }
}

/// Managed by us, or only read, or opened for the time of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// `resource`
    Managed,
    /// `data`
    Data,
    /// `ephemeral`
    Ephemeral,
}

impl Mode {
    /// What an address begins with: `data.`, `ephemeral.`, or nothing.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Mode::Managed => "",
            Mode::Data => "data.",
            Mode::Ephemeral => "ephemeral.",
        }
    }

    /// The word that its block begins with.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Mode::Managed => "resource",
            Mode::Data => "data",
            Mode::Ephemeral => "ephemeral",
        }
    }
}

/// A resource or data block in an instance of a module, before `count` and `for_each`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceAddr {
    /// The module instance it stands in.
    pub module: ModuleAddr,
    /// `resource` or `data`.
    pub mode: Mode,
    /// The type's name: `host_file`.
    pub ty: Arc<str>,
    /// The block's own name.
    pub name: Arc<str>,
}

impl ResourceAddr {
    /// One instance of it.
    #[must_use]
    pub fn instance(self: &Arc<Self>, key: InstanceKey) -> InstanceAddr {
        InstanceAddr { resource: self.clone(), key }
    }
}

impl fmt::Display for ResourceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_root() {
            write!(f, "{}.", self.module)?;
        }
        write!(f, "{}{}.{}", self.mode.prefix(), self.ty, self.name)
    }
}

/// One object: an instance of a resource. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceAddr {
    /// The block.
    pub resource: Arc<ResourceAddr>,
    /// Which of its instances.
    pub key: InstanceKey,
}

impl fmt::Display for InstanceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.resource, self.key)
    }
}

/// A text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a resource address: {why}")]
pub struct ParseAddrError {
    text: String,
    why: &'static str,
}

/// What `-target` names: a module, a resource with all its instances, or one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All in a module instance (or, without a key on the last call, in all instances of it).
    Module(ModuleAddr),
    /// All instances of a resource.
    Resource(ResourceAddr),
    /// One instance.
    Instance(InstanceAddr),
}

impl Target {
    /// Whether it names this instance.
    #[must_use]
    pub fn matches(&self, addr: &InstanceAddr) -> bool {
        let within =
            |module: &ModuleAddr| {
                let have = &addr.resource.module.0;
                have.len() >= module.0.len()
                    && module.0.iter().zip(have.iter()).all(|(want, have)| {
                        want.0 == have.0 && (want.1 == InstanceKey::None || want.1 == have.1)
                    })
            };
        match self {
            Target::Module(module) => within(module),
            Target::Resource(resource) => {
                within(&resource.module)
                    && resource.module.0.len() == addr.resource.module.0.len()
                    && (resource.mode, &resource.ty, &resource.name)
                        == (addr.resource.mode, &addr.resource.ty, &addr.resource.name)
            }
            Target::Instance(instance) => instance == addr,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Module(a) => a.fmt(f),
            Target::Resource(a) => a.fmt(f),
            Target::Instance(a) => a.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = ParseAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |why| ParseAddrError { text: text.to_owned(), why };
        let mut parts = split(text).map_err(refuse)?.into_iter().peekable();
        let mut module = ModuleAddr::root();
        while parts.peek().is_some_and(|(name, key)| &**name == "module" && *key == InstanceKey::None) {
            parts.next();
            let (name, key) =
                parts.next().ok_or_else(|| refuse("a module's name is missing after \"module.\""))?;
            module = module.child(name, key);
        }
        let Some((first, key)) = parts.next() else {
            return if module.is_root() { Err(refuse("it is empty")) } else { Ok(Target::Module(module)) };
        };
        if key != InstanceKey::None {
            return Err(refuse("an index goes after the resource's name"));
        }
        let (mode, ty) = match &*first {
            "data" => (Mode::Data, parts.next().ok_or_else(|| refuse("a data source's type is missing"))?.0),
            "ephemeral" => (
                Mode::Ephemeral,
                parts.next().ok_or_else(|| refuse("an ephemeral resource's type is missing"))?.0,
            ),
            _ => (Mode::Managed, first),
        };
        let (name, key) = parts.next().ok_or_else(|| refuse("it wants TYPE.NAME"))?;
        if parts.next().is_some() {
            return Err(refuse("it goes on after the resource's name"));
        }
        let resource = ResourceAddr { module, mode, ty, name };
        Ok(match key {
            InstanceKey::None => Target::Resource(resource),
            key => Target::Instance(InstanceAddr { resource: Arc::new(resource), key }),
        })
    }
}

impl FromStr for InstanceAddr {
    type Err = ParseAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Target>()? {
            Target::Instance(addr) => Ok(addr),
            Target::Resource(resource) => {
                Ok(InstanceAddr { resource: Arc::new(resource), key: InstanceKey::None })
            }
            Target::Module(_) => {
                Err(ParseAddrError { text: text.to_owned(), why: "it names a module, not a resource" })
            }
        }
    }
}

/// Splits `a.b[0].c["x.y"]` into names with their keys.
fn split(text: &str) -> Result<Vec<(Arc<str>, InstanceKey)>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return Err("a name is missing or has characters that names can't have");
        }
        rest = &rest[end..];
        let mut key = InstanceKey::None;
        if let Some(inside) = rest.strip_prefix('[') {
            if let Some(quoted) = inside.strip_prefix('"') {
                let (text, after) = unquote(quoted)?;
                key = InstanceKey::Str(text.into());
                rest = after.strip_prefix(']').ok_or("a \"]\" is missing")?;
            } else {
                let (digits, after) = inside.split_once(']').ok_or("a \"]\" is missing")?;
                key = InstanceKey::Int(
                    digits.parse().map_err(|_| "an index is a whole number or a quoted key")?,
                );
                rest = after;
            }
        }
        parts.push((name.into(), key));
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(parts),
            None => return Err("a \".\" is missing after an index"),
        }
    }
}

fn unquote(text: &str) -> Result<(String, &str), &'static str> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[i + 1..])),
            '$' | '%' if text[i + 1..].starts_with(&format!("{c}{{")) => {
                out.push(c);
                chars.next();
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, 'r')) => out.push('\r'),
                Some((i, 'u')) => {
                    let code = text.get(i + 1..i + 5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    out.push(code.and_then(char::from_u32).ok_or("\\u needs four hexadecimal digits")?);
                    chars.nth(3);
                }
                Some((_, c)) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a closing quote is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_print() {
        for text in [
            "terraform_data.a",
            "terraform_data.a[3]",
            "module.m[\"x.y\"].module.n.data.local_file.f[\"a\\\"]b\"]",
            "terraform_data.a[\"$${x}\"]",
            "terraform_data.a[\"a$$$b%%{$${c}$\"]",
            "terraform_data.a[\"\\u001b[31mé\\n\"]",
        ] {
            let addr: InstanceAddr = text.parse().unwrap();
            assert_eq!(addr.to_string(), text);
        }
        for text in ["", "a", "a.", "a.b[", "a.b[x]", "a.b.c", "module.", "a[0].b", "a.b[0]c"] {
            assert!(text.parse::<InstanceAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_covers_what_is_below_it() {
        let addr: InstanceAddr = "module.m[0].host_file.f[\"a\"]".parse().unwrap();
        for (target, hit) in [
            ("module.m", true),
            ("module.m[0]", true),
            ("module.m[1]", false),
            ("module.m[0].host_file.f", true),
            ("module.m[0].host_file.f[\"a\"]", true),
            ("module.m[0].host_file.f[\"b\"]", false),
            ("host_file.f", false),
        ] {
            assert_eq!(target.parse::<Target>().unwrap().matches(&addr), hit, "{target}");
        }
    }
}
