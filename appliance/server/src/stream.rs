//! Bodies that are handed on as they come, in both directions, however large: never more than a few frames of one are held.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use framework::waiting;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::Limits;
use crate::connection::Peer;

/// Frames on their way between the network and a worker.
const FRAMES: usize = 4;
/// Bytes of a frame of an answer.
const CHUNK: usize = 64 << 10;

type Frames = io::Result<Bytes>;

/// A request's body as a worker reads it. Nothing of it is read from the network before the worker asks.
pub(crate) struct Upload {
    ask: Option<oneshot::Sender<()>>,
    frames: mpsc::Receiver<Frames>,
    rest: Bytes,
}

impl Upload {
    /// The body, which a task of its own reads. A client that sends nothing for [`Limits::upload`] breaks it off.
    /// An `impatient` client waits for a sign before it sends.
    pub(crate) fn new(body: Body, impatient: bool, limits: Limits) -> Self {
        let (ask, asked) = oneshot::channel();
        let (sender, frames) = mpsc::channel(FRAMES);
        tokio::spawn(receive(body, asked, sender, impatient, limits));
        Self { ask: Some(ask), frames, rest: Bytes::new() }
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(ask) = self.ask.take() {
            let _ = ask.send(());
        }
        while self.rest.is_empty() {
            match waiting(|| self.frames.blocking_recv()) {
                Some(frame) => self.rest = frame?,
                None => return Ok(0),
            }
        }
        let part = self.rest.split_to(self.rest.len().min(into.len()));
        if let Some(place) = into.get_mut(..part.len()) {
            place.copy_from_slice(&part);
        }
        Ok(part.len())
    }
}

async fn receive(
    mut body: Body,
    asked: oneshot::Receiver<()>,
    worker: mpsc::Sender<Frames>,
    impatient: bool,
    limits: Limits,
) {
    if asked.await.is_ok() {
        while let Some(frame) = next(&mut body, limits.upload).await {
            let broken = frame.is_err();
            if worker.send(frame).await.is_err() {
                break;
            }
            if broken {
                return;
            }
        }
    } else if impatient {
        return;
    }
    drop(worker);
    // Who refuses does not wait for the end. An honest client reads the answer only when it has sent something.
    let mut left = limits.body;
    let drain = async {
        while let Some(Ok(data)) = next(&mut body, limits.upload).await {
            left = left.saturating_sub(data.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(limits.upload, drain).await;
}

/// The next data of a body; `None` at its end.
async fn next(body: &mut Body, patience: Duration) -> Option<Frames> {
    loop {
        return match timeout(patience, body.frame()).await {
            Err(_) => Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the body did not arrive in time"))),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(io::Error::other(error))),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Some(Ok(data)),
                Err(_trailers) => continue,
            },
        };
    }
}

/// The worker's end of an answer.
pub(crate) struct Feed {
    frames: mpsc::Sender<Frames>,
    runtime: Handle,
    peer: Arc<Peer>,
    /// How long the client may take to make room for more.
    patience: Duration,
}

/// The network's end of an answer.
#[derive(Debug)]
pub(crate) struct Download {
    frames: mpsc::Receiver<Frames>,
    ended: bool,
}

/// The two ends of an answer to `peer`. Must be called where the runtime is known.
pub(crate) fn answer(peer: Arc<Peer>, limits: &Limits) -> (Feed, Download) {
    let (sender, frames) = mpsc::channel(FRAMES);
    let feed = Feed { frames: sender, runtime: Handle::current(), peer, patience: limits.download };
    (feed, Download { frames, ended: false })
}

impl Feed {
    /// Reads all of `bytes` and hands it on. The connection counts as busy meanwhile.
    pub(crate) fn run(self, bytes: &mut dyn Read) {
        let _work = self.peer.work();
        loop {
            let mut chunk = vec![0; CHUNK];
            let frame = match bytes.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "an answer breaks off");
                    return;
                }
                Ok(count) => {
                    chunk.truncate(count);
                    Bytes::from(chunk)
                }
            };
            let ended = frame.is_empty();
            self.peer.answers(frame.len());
            let send = async { timeout(self.patience, self.frames.send(Ok(frame))).await };
            let sent = waiting(|| self.runtime.block_on(send));
            if ended || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.frames.poll_recv(cx).map(|frame| match frame {
            // An empty frame is the end; a channel that closes without one is not.
            Some(Ok(data)) if data.is_empty() => {
                self.ended = true;
                None
            }
            Some(frame) => Some(frame.map(Frame::data)),
            None => Some(Err(io::Error::other("the answer breaks off"))),
        })
    }
}
