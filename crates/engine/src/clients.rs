//! Providers' clients: each configuration is used once, when the first object needs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use grappe_plan::ProviderKey;
use grappe_provider::{Client, Fault, Registry, Setup};
use grappe_value::Value;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::attempt::{Rules, Stopped, Why, attempt};
use crate::event::EventKind;
use crate::mask::Mask;
use crate::report::Reporter;
use crate::retry::RetryPolicy;

/// A client that is there or on its way, for any number of users.
pub(crate) type Pending = Shared<BoxFuture<'static, Result<Client, Stopped>>>;

/// How long a provider may take to be configured.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(120);

/// The clients of one engine: planning and applying share them.
pub(crate) struct Clients {
    registry: Arc<Registry>,
    setup: Arc<Setup>,
    retry: RetryPolicy,
    stop: CancellationToken,
    made: Mutex<HashMap<ProviderKey, (Value, Pending)>>,
}

impl Clients {
    pub(crate) fn new(
        registry: Arc<Registry>,
        setup: Setup,
        retry: RetryPolicy,
        stop: CancellationToken,
    ) -> Self {
        Clients { registry, setup: Arc::new(setup), retry, stop, made: Mutex::default() }
    }

    /// Where the run takes place.
    pub(crate) fn setup(&self) -> Arc<Setup> {
        self.setup.clone()
    }

    /// The client of a configuration, whose value is known. Made on first use; the same for the same value.
    pub(crate) fn get(&self, key: &ProviderKey, config: &Value, reporter: &Reporter) -> Pending {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match made.get(key) {
            Some((with, client)) if with == config => client.clone(),
            _ => {
                let client = self.make(key.clone(), config.clone(), reporter.clone());
                made.insert(key.clone(), (config.clone(), client.clone()));
                client
            }
        }
    }

    fn make(&self, key: ProviderKey, config: Value, reporter: Reporter) -> Pending {
        let (registry, setup) = (self.registry.clone(), self.setup.clone());
        let (retry, stop) = (self.retry, self.stop.clone());
        async move {
            let refuse = |text: String| Stopped::not_begun(Failure::new(text));
            let Some(provider) = registry.provider(&key.name) else {
                return Err(refuse(format!("there is no provider {:?}", key.name)));
            };
            if !config.is_wholly_known() {
                return Err(refuse(format!("the configuration of provider {key} is not known yet")));
            }
            let mask = Mask::of([&config]);
            let rules = Rules { retry: &retry, deadline: DEADLINE, stop: &stop, mask: &mask, turn: None };
            let configure = |_, _| -> BoxFuture<'static, Result<Client, Fault>> {
                let (provider, setup, config) = (provider.clone(), setup.clone(), config.clone());
                async move { provider.configure(&setup, &config).await }.boxed()
            };
            let client = attempt(&rules, configure, |_| {}).await.map_err(|stopped| Stopped {
                failure: Failure {
                    summary: format!("provider {key} can't be used: {}", stopped.failure.summary),
                    ..stopped.failure
                },
                why: Why::NotBegun,
            })?;
            reporter.say(EventKind::ProviderConfigured {
                provider: key.to_string(),
                notice: provider.notice().map(str::to_owned),
            });
            Ok(client)
        }
        .boxed()
        .shared()
    }
}
