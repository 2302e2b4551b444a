//! The corridor: every request walks it from top to bottom, whoever sent it and wherever it goes.
//!
//! ```text
//! locate ─ identify ─ authorize ─ Permit::admit ─ Route::call ─ commit ─ settle
//!                                 (audit: request)                       (audit: response)
//! ```
//! There is no early way out before `admit`: an unknown path, a bad token and a malformed body are refused there, and
//! recorded like everything else.

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use framework::audit::Exempt;
use framework::metrics::Histogram;
use framework::{
    Access, Ask, AuditSink, Caller, Catalog, Clock, Context, Error, Input, Map, MountId, MountInfo, Operation, Origin,
    Output, Permit, Prefix, Rng, Route, Secret, Store, Timestamp, Transaction, Unrecorded, Verdict, envelope,
};
use registry::{LoginAttempt, Mount, Registry};

use crate::authorize::{Question, authorize};
use crate::{Answer, Request, Shape, help};

/// How often a handler runs again because others changed what it had read.
const ATTEMPTS: usize = 64;

/// The corridor and what stands along it.
pub struct Pipeline {
    /// Mounts, policies, tokens, audit devices.
    pub registry: Arc<Registry>,
    /// The engines.
    pub catalog: Arc<Catalog>,
    /// The barrier.
    pub store: Arc<dyn Store<Secret>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub rng: Arc<dyn Rng>,
    /// How long requests take.
    pub handled: Arc<Histogram>,
}

/// Where a request goes.
struct Place<'p> {
    mount: Option<Arc<Mount>>,
    /// The route, or why there is none.
    route: Result<&'p Route, Error>,
    /// Parts of the path, by the names in the route's pattern.
    parts: Vec<(&'static str, String)>,
    /// Prefixes of the mount's records that the seal wraps.
    seal_wrapped: &'static [&'static str],
    /// The answer is documentation.
    help: Option<String>,
}

/// The threads on which a request belongs.
pub(crate) enum Lane {
    Usual,
    /// It takes much of a processor.
    Costly,
    /// It may need the HSM, for this mount.
    SealWrapped(Arc<Mount>),
}

/// What stays the same however often a handler has to run.
struct Scene<'a> {
    mount: &'a MountInfo,
    /// The mount, if there is one.
    place: Option<&'a Mount>,
    folder: &'a Prefix,
    id: MountId,
    seal_wrapped: &'static [&'static str],
    caller: &'a Caller,
    origin: &'a Origin,
    path: &'a str,
    /// The token's text, for routes alone that must know it.
    token: Option<&'a Secret>,
    /// The token's uses are limited, so this request counts.
    limited: bool,
    /// A login that counts if it fails.
    attempt: Option<&'a LoginAttempt>,
    now: Timestamp,
}

impl Pipeline {
    /// Carries out one request. Never panics: a handler's panic becomes an incident.
    pub fn handle(&self, request: Request) -> Answer {
        let (begin, request_id) = (Instant::now(), request.origin.request_id.clone());
        let answer = catch_unwind(AssertUnwindSafe(|| self.walk(request))).unwrap_or_else(|_| Answer {
            request_id,
            mount_type: String::new(),
            shape: Shape::Envelope,
            result: Err(Error::internal("a handler panicked; what it said stands above in the log")),
        });
        self.handled.observe(begin.elapsed());
        answer
    }

    /// On which threads a request belongs; one to a seal-wrapped mount is told apart only if `shared` says that these have shares.
    /// Asked for every request, so it looks no further than it must.
    pub(crate) fn lane(&self, request: &Request, shared: bool) -> Lane {
        let may_be_costly = !matches!(request.operation, Operation::Read | Operation::List) && !request.help;
        if !may_be_costly && !shared {
            return Lane::Usual;
        }
        let Ok(Some((mount, rest))) = self.registry.locate(&request.path) else { return Lane::Usual };
        let Ok(engine) = mount.engine(&self.catalog) else { return Lane::Usual };
        let costly = || engine.route(request.operation, rest).is_ok_and(|(route, _)| route.costly);
        if may_be_costly && engine.is_costly() && costly() {
            return Lane::Costly;
        }
        // The whole store is the core's: whoever asks `sys/` for something asks for little of it that is wrapped.
        if mount.seal_wrapped(engine).is_empty() || mount.folder.as_str().is_empty() {
            return Lane::Usual;
        }
        Lane::SealWrapped(mount)
    }

    /// Whether the body of such a request is to be handed over as it arrives, and no limit on time applies.
    pub fn is_streamed(&self, operation: Operation, path: &str) -> bool {
        let system = path.strip_prefix("sys/").zip(self.catalog.find("system", &Default::default()));
        system.is_some_and(|(rest, system)| system.route(operation, rest).is_ok_and(|(route, _)| route.streamed))
    }

    fn walk(&self, request: Request) -> Answer {
        let Request { operation, mut path, token, body, upload, origin, headers, help } = request;
        let mut upload = upload.unwrap_or_else(|| Box::new(io::empty()));
        let now = self.clock.now();
        // A listing is of a folder, whether the client says so or not.
        if operation == Operation::List && !path.ends_with('/') {
            path.push('/');
        }
        let (data, malformed) = match body {
            Ok(data) => (data, None),
            Err(error) => (Map::new(), Some(error)),
        };

        // Where does it go? Whom does the token stand for?
        let place = self.locate(operation, &path, help);
        if let Some(mount) = &place.mount {
            mount.requests.count(operation);
        }
        let identified = match &token {
            Some(token) if !exempt(&place) => self.registry.identify(&*self.store, token, origin.remote_address, now),
            _ => Ok(None),
        };
        let (identified, unidentified) = match identified {
            Ok(identified) => (identified, None),
            Err(error) => (None, Some(error)),
        };
        let known = identified.is_some();
        let remaining_uses = identified.as_ref().map_or(0, |identified| identified.remaining_uses);
        let caller = identified.map_or_else(Arc::default, |identified| identified.caller);
        let limited = remaining_uses > 0 && counts(&place.route, &caller);

        let input = Input { path: place.parts, body: data };
        let route = place.route;
        let attempt = self.attempt(place.mount.as_deref(), &route, &input);
        let locked_out = self.check_lockout(attempt.as_ref(), now).err();

        let nowhere = MountInfo::nowhere();
        let root = Prefix::root();
        let scene = Scene {
            mount: place.mount.as_ref().map_or(&nowhere, |mount| &mount.info),
            place: place.mount.as_deref(),
            folder: place.mount.as_ref().map_or(&root, |mount| &mount.folder),
            id: place.mount.as_ref().map_or(MountId::default(), |mount| mount.id),
            seal_wrapped: place.seal_wrapped,
            caller: &caller,
            origin: &origin,
            path: &path,
            token: token.as_ref().filter(|_| route.as_ref().is_ok_and(|route| route.sees_token)),
            limited,
            attempt: attempt.as_ref(),
            now,
        };

        // May they? Whether a write creates or updates is for the engine to say; it is asked for callers with a token only.
        let transaction = Transaction::new(&*self.store);
        let judged = match &route {
            Ok(route) if known => route.judged(&self.context(&transaction, &scene), &input),
            _ => Ok(operation),
        };
        let objection = match &route {
            Ok(route) if place.help.is_none() => route.check(&self.context(&transaction, &scene), &input).err(),
            _ => None,
        };
        let operation = *judged.as_ref().unwrap_or(&operation);
        let clear = match &route {
            Ok(route) => route.clear.as_slice(),
            Err(_) => &[],
        };
        let ask = Ask {
            origin: &origin,
            headers: &headers,
            caller: &caller,
            remaining_uses,
            token: token.as_ref(),
            operation,
            path: &path,
            mount: place.mount.as_ref().map(|mount| &mount.info),
            data: &input.body,
            clear,
        };
        let verdict = authorize(
            &self.registry,
            &*self.store,
            &ask,
            Question {
                known,
                help: place.help.is_some(),
                objection,
                trouble: unidentified.or(judged.err()).or(locked_out).or(malformed),
                route: match &route {
                    Ok(route) => Ok(route.access),
                    Err(error) => Err(error),
                },
            },
            now,
        );
        let audit: &dyn AuditSink = match &route {
            Ok(route) if route.while_sealed => &Exempt,
            _ => &*self.registry,
        };
        let denied = matches!(verdict, Verdict::Refused(Error::Denied));
        let outcome = match (Permit::admit(verdict, &ask, audit), route) {
            // A use that policy refuses is a use all the same.
            (Err(refused), _) if scene.limited && denied => match self.count_use(&scene) {
                Ok(()) => refused,
                Err(error) => Unrecorded::new(Err(error)),
            },
            (Err(refused), _) => refused,
            (Ok(_), Err(error)) => Unrecorded::new(Err(error)),
            (Ok(_), Ok(_)) if place.help.is_some() => Unrecorded::new(Ok(help::output(place.help.unwrap_or_default()))),
            (Ok(permit), Ok(route)) => {
                let outcome = self.carry_out(route, &permit, &scene, transaction, &input);
                let outcome = outcome.then(|output| outside(output, &mut upload));
                return conclude(route, outcome, &ask, audit);
            }
        };
        answer(&ask, Shape::Envelope, outcome.settle(&ask, audit))
    }

    /// Counts a use of a token whose uses are limited: whatever becomes of the request, the use is gone.
    fn count_use(&self, scene: &Scene<'_>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let transaction = Transaction::new(&*self.store);
            self.registry.use_token(
                &transaction.view(Prefix::root(), MountId::default(), &[]),
                scene.caller,
                scene.now,
            )?;
            match transaction.commit() {
                Err(Error::Conflict) => {}
                committed => return committed.and_then(|keys| self.registry.committed(&keys, &*self.store)).map(drop),
            }
        }
        Err(Error::Busy { reason: "too many requests use the same token at once" })
    }

    /// Runs the handler in a transaction and commits it, again and again while others are faster.
    fn carry_out<'s>(
        &'s self,
        route: &Route,
        permit: &Permit,
        scene: &Scene<'_>,
        first: Transaction<'s>,
        input: &Input,
    ) -> Unrecorded<Output> {
        if scene.limited
            && let Err(error) = self.count_use(scene)
        {
            return Unrecorded::new(Err(error));
        }
        let mut transaction = first;
        for _ in 0..ATTEMPTS {
            let outcome = {
                let context = self.context(&transaction, scene);
                let answer = route.call(permit, &context, input.clone());
                let issued = answer.then(|output| self.issue(&transaction, scene, output));
                issued
                    .then(|output| self.wrap(&transaction, scene, route, output))
                    .or_else(|error| Err(self.count_failure(scene.attempt, error, scene.now)))
            };
            let outcome = outcome.then(|output| self.commit(transaction, scene, output));
            if !outcome.is_conflict() {
                return outcome;
            }
            transaction = Transaction::new(&*self.store);
        }
        Unrecorded::new(Err(Error::Busy { reason: "others keep changing the same records" }))
    }

    /// Makes the token that a login asked for, or the lease that a secret needs, in the handler's own transaction.
    fn issue(&self, transaction: &Transaction<'_>, scene: &Scene<'_>, mut output: Output) -> Result<Output, Error> {
        // Others may have failed in this user's name while this login ran.
        self.check_lockout(scene.attempt, scene.now)?;
        let login = output.auth.as_mut().filter(|auth| auth.client_token.is_none());
        let secret = output.lease.as_mut().filter(|lease| !lease.kind.is_empty() && lease.id.is_empty());
        if login.is_none() && secret.is_none() {
            return Ok(output);
        }
        let whole = transaction.view(Prefix::root(), MountId::default(), &[]);
        let mount = scene.place.ok_or_else(|| Error::internal("a route outside all mounts gave something out"))?;
        self.registry.hold_mount(&whole, mount)?;
        if let Some(auth) = login {
            output.warnings.extend(self.registry.issue_token(&whole, auth, scene.mount, scene.path, scene.now)?);
        }
        if let Some(lease) = secret {
            let warnings = self.registry.grant_lease(&whole, lease, scene.caller, mount, scene.path, scene.now)?;
            output.warnings.extend(warnings);
        }
        Ok(output)
    }

    /// Puts the answer away under a token of its own, where the client asks for that, in the answer's own transaction. The
    /// new token of a login stays in sight of the audit log.
    fn wrap(
        &self,
        transaction: &Transaction<'_>,
        scene: &Scene<'_>,
        route: &Route,
        output: Output,
    ) -> Result<Output, Error> {
        let Some(ttl) = scene.origin.wrap_ttl else { return Ok(output) };
        if route.streamed {
            return Err(Error::invalid("the answer of this path is a stream, which cannot be wrapped"));
        }
        if output.is_silent() || output.wrap_info.is_some() || route.while_sealed {
            return Ok(output);
        }
        let whole = transaction.view(Prefix::root(), MountId::default(), &[]);
        let answer = envelope::put_away(&scene.origin.request_id, &scene.mount.kind, &output);
        let mut info = self.registry.wrap(&whole, &answer, scene.path, ttl, scene.caller, scene.now)?;
        info.wrapped_accessor = output.accessor().unwrap_or_default().to_owned();
        Ok(Output { wrap_info: Some(info), data: None, lease: None, status: None, ..output })
    }

    fn commit(&self, transaction: Transaction<'_>, scene: &Scene<'_>, output: Output) -> Result<Output, Error> {
        let changed = transaction.commit()?;
        self.registry.committed(&changed, &*self.store)?;
        if let Some(attempt) = scene.attempt {
            self.registry.login_succeeded(attempt);
        }
        Ok(output)
    }

    fn context<'t>(&'t self, transaction: &'t Transaction<'t>, scene: &'t Scene<'t>) -> Context<'t> {
        Context {
            view: transaction.view(scene.folder.clone(), scene.id, scene.seal_wrapped),
            caller: scene.caller,
            origin: scene.origin,
            mount: scene.mount,
            now: scene.now,
            rng: &*self.rng,
            token: scene.token,
        }
    }

    fn locate(&self, operation: Operation, path: &str, help: bool) -> Place<'_> {
        let nowhere =
            |error| Place { mount: None, route: Err(error), parts: Vec::new(), seal_wrapped: &[], help: None };
        // Routes that answer while sealed are found without the mount table, which is sealed too.
        if let Some(rest) = path.strip_prefix("sys/")
            && let Some(system) = self.catalog.find("system", &Default::default())
            && let Ok((route, input)) = system.route(operation, rest)
            && route.while_sealed
            && !help
        {
            return Place { mount: None, route: Ok(route), parts: input.path, seal_wrapped: &[], help: None };
        }
        let (mount, rest) = match self.registry.locate(path) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let message = format!("no handler for route {path:?}. route entry not found.");
                return nowhere(Error::NoRoute { message });
            }
            Err(error) => return nowhere(error),
        };
        let engine = match mount.engine(&self.catalog) {
            Ok(engine) => engine,
            Err(error) => return nowhere(error),
        };
        let seal_wrapped = mount.seal_wrapped(engine);
        let text = help.then(|| help::text(engine, rest));
        let (route, parts) = match engine.route(operation, rest) {
            Ok((route, input)) => (Ok(route), input.path),
            Err(error) => (Err(error), Vec::new()),
        };
        Place { mount: Some(mount), route, parts, seal_wrapped, help: text }
    }
}

/// Does what a handler left to be done outside its transaction.
fn outside(mut output: Output, upload: &mut dyn Read) -> Result<Output, Error> {
    match output.outside.take() {
        None => Ok(output),
        Some(work) => work(output, upload),
    }
}

/// Records a handler's answer, and does what it left for the end.
fn conclude(route: &Route, outcome: Unrecorded<Output>, ask: &Ask<'_>, audit: &dyn AuditSink) -> Answer {
    let finish = |mut output: Output| output.finally.take().map_or(Ok(()), |work| work()).map(|()| output);
    let result = outcome.settle(ask, audit).and_then(finish);
    let shape = if route.bare {
        Shape::Bare
    } else if route.merged {
        Shape::Merged
    } else {
        Shape::Envelope
    };
    answer(ask, shape, result)
}

/// Whether a request uses up a use of a token whose uses are limited: not where nobody needs a token, and not where the
/// handler itself ends a wrapping token.
fn counts(route: &Result<&Route, Error>, caller: &Caller) -> bool {
    match route {
        Ok(route) => route.access != Access::Open && !(route.unwraps && registry::wraps(&caller.policies)),
        Err(_) => true,
    }
}

fn exempt(place: &Place<'_>) -> bool {
    matches!(&place.route, Ok(route) if route.while_sealed)
}

fn answer(ask: &Ask<'_>, shape: Shape, result: Result<Output, Error>) -> Answer {
    Answer {
        request_id: ask.origin.request_id.clone(),
        mount_type: ask.mount.map(|mount| mount.kind.clone()).unwrap_or_default(),
        shape,
        result,
    }
}
