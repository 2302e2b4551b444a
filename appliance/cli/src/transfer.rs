//! Files that go to the server or come from it: of any size, and for as long as it takes.

use std::fs::File;
use std::io::{self, Write};

use ureq::http::{self, Response};
use ureq::{AsSendBody, Body};

use crate::client::{Ask, Client, Fault};

impl Client {
    /// Writes the answer's bytes to `into`.
    pub(crate) fn download(&self, ask: &Ask, into: &mut dyn Write) -> Result<(), Fault> {
        self.unless_shown(ask, " --output FILE")?;
        let mut answer = self.transfer(ask, ())?;
        let mut bytes = answer.body_mut().with_config().limit(u64::MAX).reader();
        io::copy(&mut bytes, into)
            .map(drop)
            .map_err(|error| Fault::Unreachable(format!("the answer broke off: {error}")))
    }

    /// Sends a file's bytes as they are.
    pub(crate) fn upload(&self, ask: &Ask, file: &File) -> Result<(), Fault> {
        self.unless_shown(ask, " --data-binary @FILE")?;
        self.transfer(ask, file).map(drop)
    }

    fn transfer(&self, ask: &Ask, body: impl AsSendBody) -> Result<Response<Body>, Fault> {
        let shown_url = self.url(&self.address, ask);
        let unreachable = |error: ureq::Error| Fault::Unreachable(format!("{shown_url:?}: {error}"));
        let mut request = http::Request::builder().method(ask.method()).uri(self.url(&self.dialled, ask));
        for (name, value) in self.request_headers(ask) {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|error| unreachable(error.into()))?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let mut answer = self.agent.run(request).map_err(unreachable)?;
        match answer.status().as_u16() {
            200..300 => Ok(answer),
            status => {
                let body = answer.body_mut().read_to_string().unwrap_or_default();
                Err(self.refused(ask, status, body))
            }
        }
    }
}
