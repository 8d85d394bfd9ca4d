//! A running server's ops endpoint, as `tessera top` and `tessera trace` ask it.

use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;
use ureq::http::Uri;
use ureq::{Agent, Body, http};

/// How long an answer may take that the server has ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The most of an answer that is read as JSON or shown as an error.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// The most of an answer that becomes a file; the longest trace has a fifth of it.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why there is no answer from a server. The message says what was tried and what to do.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The address makes no sense.
    #[error(
        "`{0}` is no address of an ops endpoint: write it as http://127.0.0.1:7778, which is what `tessera serve` says that operators look at"
    )]
    Address(String),
    /// Nothing listens there, or it does not answer.
    #[error(
        "no answer from {url}: {error}\nIs a server running, with its ops endpoint there? `tessera serve` says where operators look; --server names another address."
    )]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the system said.
        error: String,
    },
    /// It answered that it does not.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// Why.
        text: String,
    },
    /// What listens there is something else.
    #[error("{url} answered what a tessera server of this version does not ({error}): is it one?")]
    Foreign {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        error: String,
    },
}

/// A server's ops endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Scheme, host and port.
    base: String,
    agent: Agent,
}

impl Remote {
    /// `server` is a URL, or just host and port.
    ///
    /// # Errors
    /// It is neither, or not of HTTP.
    pub(crate) fn new(server: &str) -> Result<Remote, RemoteError> {
        let wrong = || RemoteError::Address(server.to_owned());
        let url = match server.contains("://") {
            true => server.to_owned(),
            false => format!("http://{server}"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong());
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // It is asked directly, whatever the environment says of proxies.
            .proxy(None)
            .build();
        Ok(Remote {
            base: format!("http://{authority}"),
            agent: config.into(),
        })
    }

    /// The server's address.
    pub(crate) fn address(&self) -> &str {
        &self.base
    }

    /// Asks for JSON.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url);
        let request = request.config().timeout_global(Some(PATIENCE)).build();
        let text = read(&url, accepted(&url, request.call())?)?;
        serde_json::from_str(&text).map_err(|error| RemoteError::Foreign {
            url,
            error: error.to_string(),
        })
    }

    /// Asks for something to be done that is answered in JSON.
    pub(crate) fn post_for_json<T: DeserializeOwned>(
        &self,
        path: &str,
        timeout: Duration,
    ) -> Result<T, RemoteError> {
        let bytes = self.post(path, timeout)?;
        serde_json::from_slice(&bytes).map_err(|error| RemoteError::Foreign {
            url: format!("{}{path}", self.base),
            error: error.to_string(),
        })
    }

    /// Asks for something to be done; gives the answer's bytes.
    pub(crate) fn post(&self, path: &str, timeout: Duration) -> Result<Vec<u8>, RemoteError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url);
        let request = request.config().timeout_global(Some(timeout)).build();
        let mut body = accepted(&url, request.send_empty())?;
        let bytes = body.with_config().limit(FILE_BYTES_MAX).read_to_vec();
        bytes.map_err(|error| unreachable_for(&url, &error))
    }
}

/// The answer's body, if it is what was asked for.
fn accepted(
    url: &str,
    answer: Result<http::Response<Body>, ureq::Error>,
) -> Result<Body, RemoteError> {
    let answer = answer.map_err(|error| unreachable_for(url, &error))?;
    let status = answer.status();
    let body = answer.into_body();
    match status.is_success() {
        true => Ok(body),
        false => Err(RemoteError::Refused {
            url: url.to_owned(),
            status: status.as_u16(),
            text: printable_lines(read(url, body)?.trim()),
        }),
    }
}

fn read(url: &str, mut body: Body) -> Result<String, RemoteError> {
    let text = body.with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    text.map_err(|error| unreachable_for(url, &error))
}

fn unreachable_for(url: &str, error: &ureq::Error) -> RemoteError {
    let url = url.to_owned();
    match error {
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => RemoteError::Foreign {
            url,
            error: error.to_string(),
        },
        // Without saying that it is one of input and output.
        ureq::Error::Io(error) => RemoteError::Unreachable {
            url,
            error: error.to_string(),
        },
        _ => RemoteError::Unreachable {
            url,
            error: error.to_string(),
        },
    }
}

/// Text from elsewhere, without what would make a terminal do something.
pub(crate) fn printable(text: &str) -> String {
    let shown = |char: char| if char.is_control() { '�' } else { char };
    text.chars().map(shown).collect()
}

/// Text from elsewhere of several lines, likewise.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_host_and_port() {
        for (server, base) in [
            ("127.0.0.1:7778", "http://127.0.0.1:7778"),
            ("http://localhost:9", "http://localhost:9"),
            ("http://[::1]:9/", "http://[::1]:9"),
        ] {
            let remote = Remote::new(server).expect(server);
            assert_eq!(remote.address(), base);
        }
        for server in [
            "",
            "https://a:1",
            "http://",
            "a b",
            "http://a:1/metrics",
            "ftp://a",
        ] {
            let error = Remote::new(server).expect_err(server).to_string();
            assert!(error.contains("http://127.0.0.1:7778"), "{error}");
        }
    }

    #[test]
    fn nothing_that_a_server_says_commands_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a�[2Jb�");
        assert_eq!(printable_lines("a\x1b\r\n b\rc"), "a�\n b�c");
    }
}
