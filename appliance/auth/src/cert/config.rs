//! Settings of the mount.

use framework::Operation::{Read, Update};
use framework::{Change, Context, Error, Fields, Input, Route, View, fields};

use crate::record;

fields! {
    /// The settings.
    pub(super) struct Config {
        /// If set, during renewal, skips the matching of presented client identity with the client identity used during
        /// login. Defaults to false.
        pub(super) disable_binding: bool = false,
        /// Not supported by this version, which has no identity aliases.
        enable_identity_alias_metadata: bool = false,
        /// Not supported by this version, which makes no OCSP requests.
        ocsp_cache_size: u64 = 0,
    }

    struct Nothing {}
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Read, "config", "Read the settings.", |cx: &Context<'_>, _: Nothing| Config::of(&cx.view)),
        Route::new(Update, "config", "Change the settings.", |cx: &Context<'_>, change: Change<Config>| {
            let config = change.over(Config::of(&cx.view)?)?;
            config.check()?;
            record::write(&cx.view, "config", config)
        }),
    ]
}

impl Config {
    pub(super) fn of(view: &View<'_>) -> Result<Self, Error> {
        match record::read(view, "config")? {
            Some(config) => Ok(config),
            None => Self::parse(&mut Input::default()),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.enable_identity_alias_metadata {
            let message = "enable_identity_alias_metadata is not supported: this version has no identity aliases";
            return Err(Error::field("enable_identity_alias_metadata", message));
        }
        // Clients write Vault's default along with other settings.
        if !matches!(self.ocsp_cache_size, 0 | 100) {
            return Err(Error::field("ocsp_cache_size", "ocsp_cache_size is not supported: no OCSP requests are made"));
        }
        Ok(())
    }
}
