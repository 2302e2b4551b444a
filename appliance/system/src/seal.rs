//! `sys/init`, `unseal`, `seal`, `seal-status`, `health`, `leader`: what answers while sealed too.

use std::sync::Arc;

use framework::Operation::{Read, Update};
use framework::{Context, Error, InitRequest, Json, Map, Output, Reply, Route, SealControl, SealStatus, fields};

use crate::{Core, Nothing, Versions, shares};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let versions = || core.versions.clone();
    let (in_unseal, in_health) = (versions(), versions());
    let control = || Arc::clone(&core.control);
    let (for_init, for_initialized, for_unseal, for_health, for_seal) =
        (control(), control(), control(), control(), control());
    vec![
        Route::new(Read, "init", "Whether the server is initialized.", move |_: &Context<'_>, _: Nothing| {
            Ok(Initialized { initialized: for_initialized.status().initialized })
        })
        .open()
        .while_sealed()
        .bare(),
        Route::new(Update, "init", "Initialize the server.", move |_: &Context<'_>, wanted: Init| {
            init(&*for_init, wanted)
        })
        .open()
        .while_sealed()
        .bare(),
        Route::new(Update, "unseal", "Give one share of the unseal key.", move |_: &Context<'_>, given: Unseal| {
            unseal(&*for_unseal, given).map(|status| seal_status(status, &in_unseal))
        })
        .open()
        .while_sealed()
        .bare(),
        status_route(&core.control, &core.versions),
        Route::new(Read, "health", "The health of the server.", move |cx: &Context<'_>, codes: HealthCodes| {
            health(&for_health.status(), cx, codes, &in_health)
        })
        .open()
        .while_sealed()
        .bare(),
        Route::new(Read, "leader", "Who leads the cluster.", |_: &Context<'_>, _: Nothing| {
            Ok(Leader { ha_enabled: false })
        })
        .open()
        .while_sealed()
        .bare(),
        Route::new(Update, "seal", "Seal the server.", move |_: &Context<'_>, _: Nothing| {
            let control = Arc::clone(&for_seal);
            // Sealed only after the answer is recorded: the audit log's keys go with the rest.
            Ok(Output { finally: Some(Box::new(move || control.seal())), ..Output::default() })
        })
        .sudo(),
    ]
}

pub(crate) fn status_route(control: &Arc<dyn SealControl>, versions: &Versions) -> Route {
    let (control, versions) = (Arc::clone(control), versions.clone());
    Route::new(Read, "seal-status", "The state of the seal.", move |_: &Context<'_>, _: Nothing| {
        Ok(seal_status(control.status(), &versions))
    })
    .open()
    .while_sealed()
    .bare()
}

fields! {
    struct Initialized {
        /// Whether `sys/init` was done.
        initialized: bool,
    }

    struct Init {
        /// Into how many shares the unseal key is cut.
        secret_shares: Option<u8>,
        /// How many shares unseal.
        secret_threshold: Option<u8>,
        /// With an HSM: into how many shares the recovery key is cut.
        recovery_shares: Option<u8>,
        /// With an HSM: how many recovery shares authorise.
        recovery_threshold: Option<u8>,
        /// PGP public keys in base64 to encrypt the shares to, one for each in order.
        pgp_keys: Vec<String>,
        /// With an HSM: the same for recovery shares.
        recovery_pgp_keys: Vec<String>,
        /// PGP public key in base64 to encrypt the root token to.
        root_token_pgp_key: Option<String>,
        /// With an HSM: 1, the root key it keeps.
        stored_shares: Option<u8>,
    }

    struct InitAnswer {
        /// The shares, in hexadecimal.
        keys: Option<Vec<String>>,
        /// The shares, in base64.
        keys_base64: Option<Vec<String>>,
        /// The recovery shares, in hexadecimal. They authorise; they do not decrypt.
        recovery_keys: Option<Vec<String>>,
        /// The recovery shares, in base64.
        recovery_keys_base64: Option<Vec<String>>,
        /// The first root token; where a PGP key was given, a message in base64 that holds it.
        root_token: String,
    }

    struct Unseal {
        /// One share, in hexadecimal or base64.
        key: Option<String>,
        /// Forget the shares given so far.
        reset: bool = false,
        /// The share moves the storage to the seal that the configuration names.
        migrate: bool = false,
    }

    struct Status {
        /// Kind of the seal.
        r#type: String,
        /// Whether `sys/init` was done.
        initialized: bool,
        /// Whether the data is out of reach.
        sealed: bool,
        /// Shares needed.
        t: u8,
        /// Shares that exist.
        n: u8,
        /// Shares given so far.
        progress: u8,
        /// Names the attempt to unseal.
        nonce: String,
        /// The Vault whose behaviour this server has.
        version: String,
        /// The version of this product.
        holdfast_version: String,
        /// When this version was built.
        build_date: String,
        /// The same, as OpenBao names it.
        commit_date: String,
        /// Whether the data moves to another seal.
        migration: bool,
        /// Name of the cluster.
        cluster_name: Option<String>,
        /// Id of the cluster.
        cluster_id: Option<String>,
        /// Whether an HSM unseals, and shares only authorise.
        recovery_seal: bool,
        /// Kind of the shares.
        recovery_seal_type: Option<String>,
        /// Kind of storage.
        storage_type: String,
        /// Whether this node was removed from its cluster.
        removed_from_cluster: bool,
        /// What keeps the seal from working, if something does.
        seal_trouble: Option<String>,
    }

    struct HealthCodes {
        /// A standby answers as if it were active.
        standbyok: Option<String>,
        /// A performance standby answers as if it were active.
        perfstandbyok: Option<String>,
        /// Status for an active server.
        activecode: Option<u16>,
        /// Status for a standby.
        standbycode: Option<u16>,
        /// Status for a secondary of disaster recovery.
        drsecondarycode: Option<u16>,
        /// Status for a performance standby.
        performancestandbycode: Option<u16>,
        /// Status for a sealed server.
        sealedcode: Option<u16>,
        /// Status for a server that is not initialized.
        uninitcode: Option<u16>,
    }

    struct Health {
        /// Whether `sys/init` was done.
        initialized: bool,
        /// Whether the data is out of reach.
        sealed: bool,
        /// Whether this node stands by.
        standby: bool,
        /// Whether this node answers reads while standing by.
        performance_standby: bool,
        /// State of performance replication.
        replication_performance_mode: String,
        /// State of disaster recovery replication.
        replication_dr_mode: String,
        /// The server's clock, in seconds since 1970.
        server_time_utc: i64,
        /// The Vault whose behaviour this server has.
        version: String,
        /// The version of this product.
        holdfast_version: String,
        /// Name of the cluster.
        cluster_name: Option<String>,
        /// Id of the cluster.
        cluster_id: Option<String>,
    }

    struct Leader {
        /// Whether there can be another leader.
        ha_enabled: bool,
    }
}

fn init(control: &dyn SealControl, wanted: Init) -> Result<InitAnswer, Error> {
    let by_hsm = control.status().kind != framework::SealKind::Shamir;
    let (shares, threshold, pgp_keys) = if by_hsm {
        if !wanted.pgp_keys.is_empty() {
            let message = "there are no unseal keys to encrypt, since an HSM unseals: write recovery_pgp_keys";
            return Err(Error::field("pgp_keys", message));
        }
        (
            wanted.recovery_shares.or(wanted.secret_shares),
            wanted.recovery_threshold.or(wanted.secret_threshold),
            wanted.recovery_pgp_keys,
        )
    } else {
        let given = |number: Option<u8>| number.is_some_and(|number| number > 0);
        if given(wanted.recovery_shares) || given(wanted.recovery_threshold) || !wanted.recovery_pgp_keys.is_empty() {
            return Err(Error::field(
                "recovery_shares",
                "parameters recovery_shares, recovery_threshold and recovery_pgp_keys need an HSM or KMS seal",
            ));
        }
        (wanted.secret_shares, wanted.secret_threshold, wanted.pgp_keys)
    };
    let request = InitRequest {
        shares: shares.unwrap_or(5),
        threshold: threshold.unwrap_or(3),
        pgp_keys,
        root_token_pgp_key: wanted.root_token_pgp_key.filter(|key| !key.is_empty()),
    };
    if request.shares == 0 || request.threshold == 0 || request.threshold > request.shares {
        return Err(Error::field(
            "secret_threshold",
            "shares and threshold must be at least 1, and the threshold no greater than the shares",
        ));
    }
    if request.threshold == 1 && request.shares > 1 {
        return Err(Error::field(
            "secret_threshold",
            "invalid seal configuration: threshold must be greater than one for multiple shares",
        ));
    }
    let answer = control.initialize(&request)?;
    let (hex, base64) = shares::both(&answer.shares);
    let root_token = String::from_utf8_lossy(answer.root_token.expose()).into_owned();
    let (keys, recovery) = if answer.recovery { (None, Some((hex, base64))) } else { (Some((hex, base64)), None) };
    let (recovery_keys, recovery_keys_base64) = recovery.unzip();
    let (keys, keys_base64) = keys.unzip();
    // With an HSM there are no unseal keys, and clients expect an empty list.
    let empty = || by_hsm.then(Vec::new);
    Ok(InitAnswer {
        keys: keys.or_else(empty),
        keys_base64: keys_base64.or_else(empty),
        recovery_keys,
        recovery_keys_base64,
        root_token,
    })
}

fn unseal(control: &dyn SealControl, given: Unseal) -> Result<SealStatus, Error> {
    match given.key {
        _ if given.reset => control.submit(None),
        Some(key) if !key.is_empty() && given.migrate => control.migrate(shares::parse(&key)?),
        Some(key) if !key.is_empty() => control.submit(Some(shares::parse(&key)?)),
        _ => Err(Error::field("key", "'key' must be specified in request body as JSON, or 'reset' set to true")),
    }
}

fn seal_status(status: SealStatus, versions: &Versions) -> Map<String, Json> {
    let recovery = status.kind != framework::SealKind::Shamir;
    framework::Fields::emit(Status {
        r#type: status.kind.name().to_owned(),
        initialized: status.initialized,
        sealed: status.sealed,
        t: status.threshold,
        n: status.shares,
        progress: status.progress.given,
        nonce: status.progress.nonce,
        version: versions.reported.to_string(),
        holdfast_version: versions.product.to_owned(),
        build_date: BUILD_DATE.to_owned(),
        commit_date: BUILD_DATE.to_owned(),
        migration: status.migration,
        cluster_name: status.cluster_name,
        cluster_id: status.cluster_id,
        recovery_seal: recovery,
        recovery_seal_type: recovery.then(|| "shamir".to_owned()),
        storage_type: status.storage.to_owned(),
        removed_from_cluster: false,
        seal_trouble: status.trouble,
    })
}

/// A release's date; a build from a checkout has none.
const BUILD_DATE: &str = match option_env!("HOLDFAST_BUILD_DATE") {
    Some(date) => date,
    None => "1970-01-01T00:00:00Z",
};

fn health(
    status: &SealStatus,
    cx: &Context<'_>,
    codes: HealthCodes,
    versions: &Versions,
) -> Result<Reply<Health>, Error> {
    let code = if !status.initialized {
        codes.uninitcode.unwrap_or(501)
    } else if status.sealed {
        codes.sealedcode.unwrap_or(503)
    } else {
        codes.activecode.unwrap_or(200)
    };
    if !(100..600).contains(&code) {
        return Err(Error::invalid("a status code must be between 100 and 599"));
    }
    let health = Health {
        initialized: status.initialized,
        sealed: status.sealed,
        standby: status.sealed || !status.initialized,
        performance_standby: false,
        replication_performance_mode: if status.sealed { "unknown" } else { "disabled" }.to_owned(),
        replication_dr_mode: if status.sealed { "unknown" } else { "disabled" }.to_owned(),
        server_time_utc: cx.now.secs(),
        version: versions.reported.to_string(),
        holdfast_version: versions.product.to_owned(),
        cluster_name: status.cluster_name.clone(),
        cluster_id: status.cluster_id.clone(),
    };
    Ok(Reply::new(health).with_status(code))
}
