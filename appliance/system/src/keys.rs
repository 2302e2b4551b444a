//! `sys/key-status` and `sys/rotate`: the keys of the barrier.

use std::sync::Arc;
use std::time::Duration;

use framework::Operation::{Read, Update};
use framework::{Context, Error, Json, KeyRotation, Output, Route, Secs, Timestamp, duration, fields};
use registry::RotationPolicy;

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let keys = Arc::clone(&core.ceremonies.keys);
    let data_key =
        |path| new_key(core, path, "Make a new data key for new values.", |keys, now| keys.rotate_data_key(now));
    let mut routes = vec![
        Route::new(Read, "key-status", "The data key in use.", move |_: &Context<'_>, _: Nothing| {
            let status = keys.data_key()?;
            Ok(Status {
                term: status.term,
                install_time: status.installed.to_string(),
                encryptions: status.encryptions,
            })
        })
        .merged(),
        data_key("rotate"),
        data_key("rotate/keyring"),
        new_key(core, "rotate/root", "Make a new root key; the shares stay.", |keys, _| keys.rotate_root_key()),
    ];
    routes.extend(["rotate/config", "rotate/keyring/config"].into_iter().flat_map(policy));
    routes
}

fn new_key(
    core: &Core,
    path: &'static str,
    about: &'static str,
    make: fn(&dyn KeyRotation, Timestamp) -> Result<(), Error>,
) -> Route {
    let keys = Arc::clone(&core.ceremonies.keys);
    Route::new(Update, path, about, move |cx: &Context<'_>, _: Nothing| {
        let (keys, now) = (Arc::clone(&keys), cx.now);
        // Not part of the transaction: the keyring has a record of its own, below it.
        Ok(Output { finally: Some(Box::new(move || make(&*keys, now))), ..Output::default() })
    })
    .sudo()
}

fn policy(path: &'static str) -> [Route; 2] {
    [
        Route::new(Read, path, "When the data key is made anew by itself.", |cx: &Context<'_>, _: Nothing| {
            RotationPolicy::read(&cx.view).map(Policy::from)
        }),
        Route::new(Update, path, "Set when the data key is made anew by itself.", |cx: &Context<'_>, wish: Wish| {
            wish.upon(RotationPolicy::read(&cx.view)?)?.write(&cx.view)
        }),
    ]
}

fields! {
    struct Status {
        /// The key's number.
        term: u32,
        /// When it was made.
        install_time: String,
        /// Values encrypted with it: never less than the true number, and after a restart some thousands more.
        encryptions: u64,
    }

    struct Policy {
        /// After so many encryptions.
        max_operations: u64,
        /// After so long; 0 for never.
        interval: Json,
        /// Whether it is done at all.
        enabled: bool,
    }

    struct Wish {
        /// After so many encryptions.
        max_operations: Option<u64>,
        /// After so long, at least 24 hours; 0 for never.
        interval: Option<Secs>,
        /// Whether it is done at all.
        enabled: Option<bool>,
    }
}

impl From<RotationPolicy> for Policy {
    fn from(policy: RotationPolicy) -> Self {
        let interval = match policy.interval {
            0 => Json::from(0),
            seconds => Json::from(duration::format(Duration::from_secs(seconds))),
        };
        Self { max_operations: policy.max_operations, interval, enabled: policy.enabled }
    }
}

impl Wish {
    /// The policy with what is wished changed. The sentences are Vault's.
    fn upon(self, now: RotationPolicy) -> Result<RotationPolicy, Error> {
        const RANGE: std::ops::RangeInclusive<u64> =
            RotationPolicy::FEWEST_OPERATIONS..=RotationPolicy::MOST_OPERATIONS;
        let max_operations = self.max_operations.unwrap_or(now.max_operations);
        if !RANGE.contains(&max_operations) {
            let message = format!("max_operations must be in the range [{},{}]", RANGE.start(), RANGE.end());
            return Err(Error::field("max_operations", message));
        }
        let interval = self.interval.map_or(now.interval, |interval| interval.0.as_secs());
        if interval > 0 && interval < RotationPolicy::SHORTEST_INTERVAL {
            return Err(Error::field("interval", "interval must be greater or equal to 24h0m0s"));
        }
        Ok(RotationPolicy { max_operations, interval, enabled: self.enabled.unwrap_or(now.enabled) })
    }
}
