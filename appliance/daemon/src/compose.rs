//! Putting the parts together: from a configuration to a pipeline that answers requests.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use barrier::{Barrier, SealSet, SealWrap};
use ceremony::{Ceremony, Protection, Setting, Wrappings};
use framework::{
    Catalog, Clock, Error, GenerateToken, InitAnswer, InitRequest, KeyRotation, RawRecords, Rekey, Rng, SealControl,
    SealHealth, SealStatus, Secret, ShareBackup, SteadyClock, Store, SystemClock, SystemRng, VerifyRekey,
};
use hardening::arena;
use pipeline::{Budget, Pipeline, Shares};
use registry::{DeclaredDevice, Registry, Settings};
use seals::HsmSeal;
use storage::Storage;
use tokio::sync::Notify;

use crate::config::{self, Config};
use crate::figures::Figures;
use crate::log;
use crate::roles::Fatal;
use crate::snapshots::Snapshots;

/// A jump of the system's clock is believed after this: lifetimes are not thrown about by one that is soon set right again.
const CLOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Requests to seal-wrapped mounts that may wait for their mount's turn.
const PARKED: usize = 4096;

/// The data behind its barrier, and what the server knows of it.
pub(crate) struct Parts {
    pub(crate) storage: Arc<Storage>,
    pub(crate) store: Arc<dyn Store<Secret>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) ceremony: Arc<Ceremony<Arc<Storage>>>,
    pub(crate) wrappings: Arc<Wrappings<Arc<Storage>>>,
    pub(crate) control: Arc<Control>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) figures: Arc<Figures>,
    /// Asks for the process to end and be started anew.
    pub(crate) restart: Arc<Notify>,
}

/// The seal, as `sys/` drives it: when it closes, so do the connections, in whose buffers tokens still lie.
pub(crate) struct Control {
    ceremony: Arc<Ceremony<Arc<Storage>>>,
    pub(crate) connections: OnceLock<server::Handle>,
}

impl SealControl for Control {
    fn status(&self) -> SealStatus {
        self.ceremony.status()
    }

    fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, Error> {
        self.ceremony.initialize(request)
    }

    fn submit(&self, share: Option<Secret>) -> Result<SealStatus, Error> {
        self.ceremony.submit(share)
    }

    fn migrate(&self, share: Secret) -> Result<SealStatus, Error> {
        self.ceremony.migrate(share)
    }

    fn seal(&self) -> Result<(), Error> {
        self.ceremony.seal()?;
        if let Some(connections) = self.connections.get() {
            connections.close_connections();
        }
        Ok(())
    }
}

/// Makes the guarded memory of this process, locked unless the configuration or the mode lets it be otherwise.
pub(crate) fn guarded_memory(config: &Config, role: &str) -> Result<(), Fatal> {
    let require_lock = config.hardening == hardening::lockdown::Mode::Enforce && !config.disable_mlock;
    let policy = arena::Policy { require_lock, ..arena::Policy::default() };
    let report = arena::initialise(policy).map_err(|error| Fatal::Part(format!("guarded memory: {error}")))?;
    log::locks(role, &report);
    Ok(())
}

/// Opens the storage and builds everything above it. The barrier is sealed.
/// `hsms` are those of the configuration, in its order. In recovery mode there are no engines but the one for that.
pub(crate) fn build(
    config: &Config,
    hsms: &[Arc<HsmSeal>],
    root_token: Option<Secret>,
    recovery: bool,
) -> Result<Parts, Fatal> {
    let storage = storage::open(config.storage.kind, config.storage.path.as_deref(), config.storage.options())
        .map_err(|error| Fatal::Part(error.to_string()))?;
    // Which seals wrap is for the ceremonies to say, who know which the storage lies under.
    let barrier = Arc::new(Barrier::new(
        SealWrap::new(Arc::clone(&storage), SealSet::default()).disabled(config.disable_sealwrap),
    ));
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(SystemClock, CLOCK_PATIENCE));
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let settings = Settings {
        default_lease_ttl: config.default_lease_ttl,
        max_lease_ttl: config.max_lease_ttl,
        audit: config.audits.iter().map(declared).collect(),
        user_lockout: config.user_lockout.clone(),
        ..Settings::default()
    };
    let registry = Arc::new(Registry::new(Arc::clone(&clock), Arc::clone(&rng), settings));
    let mut protection = Protection::default();
    for (seal, hsm) in hsms.iter().zip(&config.hsms) {
        let home = if hsm.disabled { &mut protection.leaving } else { &mut protection.hsms };
        home.push(Arc::clone(seal));
    }
    let setting = Setting { storage: config.storage.name(), cluster_name: config.cluster_name.clone(), root_token };
    let ceremony = Ceremony::new(
        Arc::clone(&barrier),
        Arc::clone(&registry),
        protection,
        Arc::clone(&clock),
        Arc::clone(&rng),
        setting,
    );
    let ceremony = Arc::new(ceremony.map_err(|error| match error {
        Error::Internal(incident) => Fatal::Part(incident.cause),
        other => Fatal::Part(other.to_string()),
    })?);
    let control = Arc::new(Control { ceremony: Arc::clone(&ceremony), connections: OnceLock::new() });
    let restart = Arc::new(Notify::new());
    let snapshots = Arc::new(Snapshots {
        storage: Arc::clone(&storage),
        barrier: Arc::clone(&barrier),
        ceremony: Arc::clone(&ceremony),
        restart: Arc::clone(&restart),
    });
    let store: Arc<dyn Store<Secret>> = Arc::clone(&barrier) as Arc<dyn Store<Secret>>;
    let figures = Arc::new(Figures {
        control: Arc::clone(&control) as Arc<dyn SealControl>,
        storage: Arc::clone(&storage),
        barrier: Arc::clone(&barrier),
        registry: Arc::clone(&registry),
        hsms: hsms.to_vec(),
        shares: (!hsms.is_empty())
            .then(|| Arc::new(Shares::new(Budget { running: config.hsm_budget, parked: PARKED }))),
        handled: Arc::default(),
        host: config.telemetry.hostname().then(hostname),
        usage: Mutex::default(),
    });
    let versions = system::Versions { reported: config.reported_version.as_str().into(), product: crate::VERSION };
    let mut wrappings = None;
    let catalog = Arc::new_cyclic(|catalog| {
        let seal_wrapping = Arc::new(Wrappings { ceremony: Arc::clone(&ceremony), catalog: catalog.clone() });
        wrappings = Some(Arc::clone(&seal_wrapping));
        let records = Arc::clone(&ceremony) as Arc<dyn RawRecords>;
        if recovery {
            let token = Arc::new(ceremony::Recovery::new(Arc::clone(&ceremony)));
            let control = Arc::clone(&control) as Arc<dyn SealControl>;
            return Catalog::new(vec![system::recovery_engine(&system::Recovery {
                control,
                token,
                records,
                versions,
            })]);
        }
        let core = system::Core {
            registry: Arc::clone(&registry),
            control: Arc::clone(&control) as Arc<dyn SealControl>,
            seal_health: Arc::clone(&ceremony) as Arc<dyn SealHealth>,
            seal_wrapping,
            ceremonies: system::Ceremonies {
                root: Arc::clone(&ceremony) as Arc<dyn GenerateToken>,
                rekey: Arc::clone(&ceremony) as Arc<dyn Rekey>,
                verify: Arc::clone(&ceremony) as Arc<dyn VerifyRekey>,
                backup: Arc::clone(&ceremony) as Arc<dyn ShareBackup>,
                keys: Arc::clone(&ceremony) as Arc<dyn KeyRotation>,
            },
            snapshots: Arc::clone(&snapshots) as Arc<dyn system::Snapshots>,
            unauthenticated: config.unauthenticated,
            store: Arc::clone(&store),
            catalog: catalog.clone(),
            telemetry: telemetry(config, &figures),
            records: config.raw_storage_endpoint.then_some(records),
            versions,
        };
        let mut engines = system::engines(&core);
        engines.extend([engines::kv::v1(), engines::kv::v2()]);
        engines.extend([auth::userpass::engine(), auth::approle::engine(), auth::cert::engine()]);
        Catalog::new(engines)
    });
    let pipeline = Arc::new(Pipeline {
        registry: Arc::clone(&registry),
        catalog,
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        rng,
        handled: Arc::clone(&figures.handled),
    });
    let wrappings = wrappings.ok_or_else(|| Fatal::Part("the catalog was not made".to_owned()))?;
    Ok(Parts { storage, store, registry, ceremony, wrappings, control, pipeline, clock, figures, restart })
}

fn telemetry(config: &Config, figures: &Arc<Figures>) -> system::Telemetry {
    let figures = Arc::clone(figures);
    system::Telemetry {
        page: Arc::new(move || figures.page()),
        prometheus: config.telemetry.prometheus(),
        unauthenticated: config.telemetry.unauthenticated(),
    }
}

/// The name of the machine, as the kernel knows it.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

fn declared(audit: &config::Audit) -> DeclaredDevice {
    DeclaredDevice {
        path: audit.path.clone(),
        kind: audit.kind.clone(),
        description: audit.description.clone(),
        options: audit.options.clone(),
    }
}
