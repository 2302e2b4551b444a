//! `sys/sealwrap/…`: what the seal wraps, and giving every record its due form. Vault Enterprise's path and fields for the
//! rewrap; the coverage is ours.

use std::sync::Arc;

use framework::Operation::{Read, Update};
use framework::{
    Context, CoverageReport, CoverageRow, Error, Fields, Json, KeyId, Map, Output, Route, SealWrapping, Timestamp,
    fields,
};
use registry::Rewrap;

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let (for_coverage, for_estimate) = (Arc::clone(&core.seal_wrapping), Arc::clone(&core.seal_wrapping));
    let about =
        "Give every record its due form: wrapped by the seals' present keys if it is critical, not wrapped otherwise.";
    vec![
        Route::new(Read, "sealwrap/rewrap", "How far the rewrap has come.", |cx: &Context<'_>, _: Nothing| {
            Rewrap::read(&cx.view).map(Progress::from)
        }),
        Route::new(Update, "sealwrap/rewrap", about, move |cx: &Context<'_>, wish: Wish| match wish.dry_run {
            true => estimate(&*for_estimate, wish.throttle.unwrap_or_default()).map(answer),
            false => start(cx, &wish),
        })
        .sudo(),
        Route::new(
            Read,
            "sealwrap/coverage",
            "How every record lies on the disk: wrapped by which key, or not.",
            move |_: &Context<'_>, asked: Asked| for_coverage.coverage(asked.verify).map(Coverage::from),
        )
        .sudo(),
    ]
}

fields! {
    struct Wish {
        /// Most records in a second; 0 for no limit. Of a rewrap under way it may be changed.
        throttle: Option<u32>,
        /// Say what would be done, and do nothing.
        dry_run: bool = false,
    }

    struct Asked {
        /// Open every value as well, by the HSM where it is wrapped. Without, headers are read.
        verify: bool = false,
    }

    struct Progress {
        /// Records: `total`, `processed`, `succeeded`, `changed`, `failed`.
        entries: Json,
        /// Whether it is under way.
        is_running: bool,
        /// When it began.
        started: Option<String>,
        /// When it came to its end.
        finished: Option<String>,
        /// Most records in a second; 0 for no limit.
        throttle: u32,
    }

    struct Estimate {
        /// Critical records that no key wraps yet.
        to_wrap: u64,
        /// Critical records under another key.
        to_rewrap: u64,
        /// Wrapped records that are not critical any more.
        to_unwrap: u64,
        /// Records that stay as they are.
        unchanged: u64,
        /// Records that cannot be read.
        unreadable: u64,
        /// Calls of the HSM.
        hsm_operations: u64,
        /// How long it would take, in seconds, by what one record takes the HSM now and the limit.
        seconds: u64,
    }

    struct Coverage {
        /// The ids of the keys that wrap now: each of them wraps.
        keys: Vec<String>,
        /// The ids of the keys that wrap the root key.
        root_key: Vec<String>,
        /// Whether every critical record is wrapped by those keys, and everything can be read.
        fully_wrapped: bool,
        /// The sums of all rows.
        total: Json,
        /// For each mount and prefix: `mount`, `prefix`, `critical`, `records`, `wrapped`, `by_other_keys`, `unwrapped`, `unreadable`.
        rows: Json,
    }
}

fn start(cx: &Context<'_>, wish: &Wish) -> Result<Output, Error> {
    let mut job = Rewrap::read(&cx.view)?;
    if job.running {
        if let Some(throttle) = wish.throttle {
            job.throttle = throttle;
            job.write(&cx.view)?;
        }
        return Ok(answer(Progress::from(job)));
    }
    Rewrap::start(wish.throttle.unwrap_or_default(), cx.now).write(&cx.view)?;
    Ok(Output::default())
}

fn answer(fields: impl Fields) -> Output {
    Output { data: Some(fields.emit()), ..Output::default() }
}

fn estimate(wrapping: &dyn SealWrapping, throttle: u32) -> Result<Estimate, Error> {
    let report = wrapping.coverage(false)?;
    let wraps = !report.keys.is_empty();
    let sum = |of: fn(&CoverageRow) -> u64, critical| -> u64 {
        report.rows.iter().filter(|row| (row.critical && wraps) == critical).map(of).sum()
    };
    let (to_wrap, to_rewrap) = (sum(|row| row.unwrapped, true), sum(CoverageRow::by_other_keys, true));
    let to_unwrap = sum(|row| row.wrapped + row.by_other_keys(), false);
    let (records, unreadable): (u64, u64) =
        (report.rows.iter().map(CoverageRow::records).sum(), report.rows.iter().map(|row| row.unreadable).sum());
    let changed = to_wrap + to_rewrap + to_unwrap;
    let hsm_operations = changed + to_rewrap;
    let each = wrapping.probe()?.unwrap_or_default() / 2;
    let working = each.saturating_mul(u32::try_from(hsm_operations).unwrap_or(u32::MAX)).as_secs();
    let limited = if throttle == 0 { 0 } else { records / u64::from(throttle) };
    Ok(Estimate {
        to_wrap,
        to_rewrap,
        to_unwrap,
        unchanged: records - changed - unreadable,
        unreadable,
        hsm_operations,
        seconds: working.max(limited),
    })
}

impl From<Rewrap> for Progress {
    fn from(job: Rewrap) -> Self {
        let time = |nanos: i64| (nanos > 0).then(|| Timestamp::from_nanos(nanos).to_string());
        let entries = [
            ("total", job.total),
            ("processed", job.processed),
            ("succeeded", job.processed - job.failed),
            ("changed", job.changed),
            ("failed", job.failed),
        ];
        Self {
            entries: entries.into_iter().map(|(name, count)| (name.to_owned(), Json::from(count))).collect(),
            is_running: job.running,
            started: time(job.started),
            finished: time(job.finished),
            throttle: job.throttle,
        }
    }
}

impl From<CoverageReport> for Coverage {
    fn from(report: CoverageReport) -> Self {
        let total = report.rows.iter().fold(CoverageRow::default(), |mut total, row| {
            total.wrapped += row.wrapped;
            total.unwrapped += row.unwrapped;
            total.unreadable += row.unreadable;
            for (key, count) in &row.by_other_keys {
                *total.by_other_keys.entry(key.clone()).or_default() += count;
            }
            total
        });
        let ids = |keys: Vec<KeyId>| keys.into_iter().map(|key| key.0).collect();
        let whole = |row: &CoverageRow| row.unreadable == 0 && row.by_other_keys() == 0 && row.unwrapped == 0;
        let row = |row: &CoverageRow| {
            let mut map = counts(row);
            map.insert("mount".into(), row.mount.as_str().into());
            map.insert("prefix".into(), row.prefix.as_str().into());
            map.insert("critical".into(), row.critical.into());
            Json::Object(map)
        };
        Self {
            fully_wrapped: !report.keys.is_empty()
                && total.unreadable == 0
                && report.rows.iter().filter(|row| row.critical).all(whole),
            total: Json::Object(counts(&total)),
            rows: report.rows.iter().map(row).collect(),
            keys: ids(report.keys),
            root_key: ids(report.root_key),
        }
    }
}

fn counts(row: &CoverageRow) -> Map<String, Json> {
    let others = row.by_other_keys.iter().map(|(key, count)| (key.clone(), Json::from(*count))).collect();
    Map::from_iter([
        ("records".to_owned(), row.records().into()),
        ("wrapped".to_owned(), row.wrapped.into()),
        ("by_other_keys".to_owned(), Json::Object(others)),
        ("unwrapped".to_owned(), row.unwrapped.into()),
        ("unreadable".to_owned(), row.unreadable.into()),
    ])
}
