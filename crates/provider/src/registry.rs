//! The providers that a program knows, and which type belongs to which.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_value::Schema;
use grappe_value::addr::Mode;

use crate::{AnyDataSource, AnyEphemeral, AnyProvider, AnyProvisioner, AnyResource};

/// The registered providers. The CLI fills it; everybody else reads.
#[derive(Clone, Default)]
pub struct Registry {
    providers: BTreeMap<&'static str, Arc<dyn AnyProvider>>,
    resources: BTreeMap<&'static str, (&'static str, usize)>,
    data_sources: BTreeMap<&'static str, (&'static str, usize)>,
    ephemerals: BTreeMap<&'static str, (&'static str, usize)>,
    provisioners: BTreeMap<&'static str, Arc<dyn AnyProvisioner>>,
}

impl Registry {
    /// With one provider more.
    ///
    /// # Panics
    /// Where two providers claim the same type: a mistake in the program that registers them.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn AnyProvider>) -> Self {
        let name = provider.name();
        for (i, resource) in provider.resources().iter().enumerate() {
            let before = self.resources.insert(resource.name(), (name, i));
            assert!(before.is_none(), "two providers claim {}", resource.name());
        }
        for (i, source) in provider.data_sources().iter().enumerate() {
            let before = self.data_sources.insert(source.name(), (name, i));
            assert!(before.is_none(), "two providers claim data {}", source.name());
        }
        for (i, ephemeral) in provider.ephemerals().iter().enumerate() {
            let before = self.ephemerals.insert(ephemeral.name(), (name, i));
            assert!(before.is_none(), "two providers claim ephemeral {}", ephemeral.name());
        }
        self.providers.insert(name, provider);
        self
    }

    /// With one kind of provisioner more.
    #[must_use]
    pub fn with_provisioner(mut self, provisioner: Arc<dyn AnyProvisioner>) -> Self {
        self.provisioners.insert(provisioner.name(), provisioner);
        self
    }

    /// A kind of provisioner by its name.
    #[must_use]
    pub fn provisioner(&self, name: &str) -> Option<&Arc<dyn AnyProvisioner>> {
        self.provisioners.get(name)
    }

    /// All kinds of provisioners.
    pub fn provisioners(&self) -> impl Iterator<Item = &Arc<dyn AnyProvisioner>> {
        self.provisioners.values()
    }

    /// A provider by its name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Arc<dyn AnyProvider>> {
        self.providers.get(name)
    }

    /// All providers.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn AnyProvider>> {
        self.providers.values()
    }

    /// A resource type by its name.
    #[must_use]
    pub fn resource(&self, ty: &str) -> Option<&dyn AnyResource> {
        let (provider, index) = self.resources.get(ty)?;
        self.providers.get(provider)?.resources().get(*index).map(|r| &**r)
    }

    /// A data source by its name.
    #[must_use]
    pub fn data_source(&self, ty: &str) -> Option<&dyn AnyDataSource> {
        let (provider, index) = self.data_sources.get(ty)?;
        self.providers.get(provider)?.data_sources().get(*index).map(|d| &**d)
    }

    /// An ephemeral resource by its type's name.
    #[must_use]
    pub fn ephemeral(&self, ty: &str) -> Option<&dyn AnyEphemeral> {
        let (provider, index) = self.ephemerals.get(ty)?;
        self.providers.get(provider)?.ephemerals().get(*index).map(|e| &**e)
    }

    /// The schema of a type.
    #[must_use]
    pub fn schema(&self, mode: Mode, ty: &str) -> Option<&Schema> {
        match mode {
            Mode::Managed => self.resource(ty).map(AnyResource::schema),
            Mode::Data => self.data_source(ty).map(AnyDataSource::schema),
            Mode::Ephemeral => self.ephemeral(ty).map(AnyEphemeral::schema),
        }
    }

    /// The name of the provider that a type belongs to.
    #[must_use]
    pub fn owner(&self, mode: Mode, ty: &str) -> Option<&'static str> {
        match mode {
            Mode::Managed => self.provider_of(ty),
            Mode::Data => self.provider_of_data(ty),
            Mode::Ephemeral => self.ephemerals.get(ty).map(|(provider, _)| *provider),
        }
    }

    /// The names of all types of a mode.
    #[must_use]
    pub fn types(&self, mode: Mode) -> Vec<&'static str> {
        match mode {
            Mode::Managed => &self.resources,
            Mode::Data => &self.data_sources,
            Mode::Ephemeral => &self.ephemerals,
        }
        .keys()
        .copied()
        .collect()
    }

    /// The name of the provider that a resource type belongs to.
    #[must_use]
    pub fn provider_of(&self, ty: &str) -> Option<&'static str> {
        self.resources.get(ty).map(|(provider, _)| *provider)
    }

    /// The name of the provider that a data source belongs to.
    #[must_use]
    pub fn provider_of_data(&self, ty: &str) -> Option<&'static str> {
        self.data_sources.get(ty).map(|(provider, _)| *provider)
    }

    /// The names of all resource types.
    pub fn resource_types(&self) -> impl Iterator<Item = &'static str> {
        self.resources.keys().copied()
    }

    /// The names of all data sources.
    pub fn data_source_types(&self) -> impl Iterator<Item = &'static str> {
        self.data_sources.keys().copied()
    }
}
