//! `holdfast hsm bench`: how fast an HSM wraps and unwraps entry keys, by the same way as a server's.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use framework::hsm::{Answer, Question};
use framework::{Json, Map};
use hardening::Secret;

use crate::{Config, Error, Hsm};

/// How long, and from how many threads at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For each of the two.
    pub time: Duration,
    /// Each with a session of its own.
    pub threads: usize,
}

/// How fast one operation is.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// What was done.
    pub operation: &'static str,
    /// How often.
    pub calls: usize,
    /// In a second, by all threads.
    pub per_second: f64,
    /// Half of the calls took no longer.
    pub median: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

/// How fast an HSM is.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Threads at work.
    pub threads: usize,
    /// Wrapping, then unwrapping.
    pub speeds: Vec<Speed>,
}

/// Measures. Nothing is left on the token.
///
/// # Errors
/// As [`Hsm::open`], or the first failure.
pub fn run(config: Config, options: Options) -> Result<Measured, String> {
    let hsm = Hsm::open(config).map_err(|error: Error| error.to_string())?;
    let key = Secret::random(32).map_err(|error| error.to_string())?;
    let wrap = || -> Result<Question, String> {
        Ok(Question::Wrap { plain: key.try_clone().map_err(|error| error.to_string())?, aad: AAD.to_vec() })
    };
    let Answer::Wrapped { key_label, mechanism, blob } = ask(&hsm, &wrap()?)? else { return Err(nonsense()) };
    let unwrap =
        || Ok(Question::Unwrap { key_label: key_label.clone(), mechanism, blob: blob.clone(), aad: AAD.to_vec() });
    let speeds = vec![measure(&hsm, options, "wrap", &wrap)?, measure(&hsm, options, "unwrap", &unwrap)?];
    Ok(Measured { threads: options.threads, speeds })
}

const AAD: &[u8] = b"holdfast bench v1";

fn measure(
    hsm: &Hsm,
    options: Options,
    operation: &'static str,
    question: &(dyn Fn() -> Result<Question, String> + Sync),
) -> Result<Speed, String> {
    let begin = Instant::now();
    let one = || -> Result<Vec<Duration>, String> {
        let mut took = Vec::new();
        while begin.elapsed() < options.time {
            let question = question()?;
            let since = Instant::now();
            ask(hsm, &question)?;
            took.push(since.elapsed());
        }
        Ok(took)
    };
    let all: Result<Vec<Vec<Duration>>, String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads.max(1)).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(nonsense()))).collect()
    });
    let mut took: Vec<Duration> = all?.into_iter().flatten().collect();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    let per_second = took.len() as f64 / begin.elapsed().as_secs_f64();
    Ok(Speed { operation, calls: took.len(), per_second, median: at(50), p99: at(99) })
}

fn ask(hsm: &Hsm, question: &Question) -> Result<Answer, String> {
    match hsm.answer(question) {
        Answer::Failed(failure) => Err(failure.message),
        answer => Ok(answer),
    }
}

fn nonsense() -> String {
    "the HSM gave an answer to another question".to_owned()
}

impl Measured {
    /// `{threads, speeds: [{operation, calls, per_second, median_ms, p99_ms}]}`.
    pub fn to_json(&self) -> Json {
        let speed = |speed: &Speed| {
            Json::Object(Map::from_iter([
                ("operation".to_owned(), speed.operation.into()),
                ("calls".to_owned(), speed.calls.into()),
                ("per_second".to_owned(), speed.per_second.into()),
                ("median_ms".to_owned(), milliseconds(speed.median).into()),
                ("p99_ms".to_owned(), milliseconds(speed.p99).into()),
            ]))
        };
        Json::Object(Map::from_iter([
            ("threads".to_owned(), self.threads.into()),
            ("speeds".to_owned(), self.speeds.iter().map(speed).collect()),
        ]))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} threads", self.threads)?;
        for Speed { operation, calls, per_second, median, p99 } in &self.speeds {
            let (median, p99) = (milliseconds(*median), milliseconds(*p99));
            write!(
                f,
                "\n{operation:<8} {per_second:>10.0}/s   median {median:.3} ms   p99 {p99:.3} ms   ({calls} calls)"
            )?;
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
