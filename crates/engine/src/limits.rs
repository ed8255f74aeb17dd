//! How much may go on at once of what: what the user says, over what providers and types say.

use grappe_plan::ProviderKey;
use grappe_provider::{Limit, Registry};
use grappe_value::addr::{InstanceAddr, Target};

use crate::pools::{Name, Pools, Seats};

/// What a limit is of.
#[derive(Clone, Debug, PartialEq)]
pub enum LimitOf {
    /// Calls of each configuration of a provider: `openstack`.
    Provider(String),
    /// Calls of one configuration: `openstack.west`.
    Configuration(ProviderKey),
    /// Operations and readings of a type (`openstack_compute_instance_v2`), or steps of a kind of provisioner (`local-exec`).
    Type(String),
    /// Operations on what an address names: `module.workers`, `kubeadm_worker.this`.
    Under(Target),
    /// Operations that a type puts in a group of its own making: `packages of 10.0.0.7`.
    Group(String),
}

impl LimitOf {
    /// What a name stands for.
    ///
    /// # Errors
    /// Where it stands for nothing, with what was perhaps meant.
    pub fn parse(name: &str, registry: &Registry) -> Result<Self, (String, Option<String>)> {
        let is_type = |ty: &str| registry.resource(ty).is_some() || registry.data_source(ty).is_some();
        if registry.provider(name).is_some() {
            return Ok(LimitOf::Provider(name.to_owned()));
        }
        if is_type(name) || registry.provisioner(name).is_some() {
            return Ok(LimitOf::Type(name.to_owned()));
        }
        // Types that make groups name them in words.
        if name.contains(' ') {
            return Ok(LimitOf::Group(name.to_owned()));
        }
        if let Ok(target) = name.parse::<Target>() {
            let ty = match &target {
                Target::Module(_) => return Ok(LimitOf::Under(target)),
                Target::Resource(resource) => resource.ty.clone(),
                Target::Instance(instance) => instance.resource.ty.clone(),
            };
            if is_type(&ty) {
                return Ok(LimitOf::Under(target));
            }
        }
        if let Ok(key) = name.parse::<ProviderKey>()
            && registry.provider(&key.name).is_some()
        {
            return Ok(LimitOf::Configuration(key));
        }
        let known = registry.providers().map(|p| p.name()).chain(registry.resource_types());
        let known = known.chain(registry.data_source_types());
        Err((
            format!("there is no provider, type or address {name:?} to limit"),
            grappe_diag::suggest(name, known).map(str::to_owned),
        ))
    }
}

/// The limits of one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits(pub(crate) Vec<(LimitOf, usize)>);

/// What is to be limited.
pub(crate) struct Call<'a> {
    /// The pool of all of its kind.
    pub(crate) all: Name,
    pub(crate) addr: &'a InstanceAddr,
    /// The provider that is called; none for a provisioner's step.
    pub(crate) provider: Option<&'a ProviderKey>,
    /// The type, or the kind of provisioner.
    pub(crate) ty: &'a str,
    /// Whether the world is changed. What types say of themselves is about that.
    pub(crate) changes: bool,
    /// What the type says of this object.
    pub(crate) groups: Vec<Limit>,
}

impl Limits {
    /// The last one that the user gave for this.
    fn given(&self, like: impl Fn(&LimitOf) -> bool) -> Option<usize> {
        self.0.iter().rev().find(|(of, _)| like(of)).map(|(_, max)| *max)
    }

    /// The places that a call needs.
    pub(crate) fn seats(&self, pools: &Pools, registry: &Registry, call: Call<'_>) -> Seats {
        let provider = call.provider.map(|key| {
            let exact = self.given(|of| matches!(of, LimitOf::Configuration(k) if k == key));
            let max = exact
                .or_else(|| self.given(|of| matches!(of, LimitOf::Provider(name) if **name == *key.name)))
                .or_else(|| registry.provider(&key.name).and_then(|p| p.max_parallel()));
            pools.lane(Name::Provider(key.to_string()), max)
        });
        let of_type = self.given(|of| matches!(of, LimitOf::Type(ty) if ty == call.ty)).or_else(|| {
            let own = || registry.resource(call.ty).and_then(|r| r.max_parallel());
            call.changes.then(own).flatten()
        });
        let ty = of_type.map(|max| pools.lane(Name::Type(call.ty.to_owned()), Some(max)));
        let mut groups = Vec::new();
        for Limit { group, max } in call.groups {
            let max = self.given(|of| matches!(of, LimitOf::Group(name) if *name == group)).unwrap_or(max);
            groups.push((pools.lane(Name::Group(group), None), max));
        }
        if call.changes {
            for (of, max) in &self.0 {
                if let LimitOf::Under(target) = of
                    && target.matches(call.addr)
                {
                    groups.push((pools.lane(Name::Group(target.to_string()), None), *max));
                }
            }
        }
        Seats::new(pools.lane(call.all, None), provider, ty, groups)
    }
}
