//! Why a command could not do what it was asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use tessera_sim::SimError;
use tessera_world::MapError;
use thiserror::Error;

use crate::assets::AssetError;
use crate::config::ConfigError;
use crate::keys::KeyError;
use crate::layout::LayoutError;
use crate::net::CertificateError;
use crate::remote::RemoteError;

/// Why a command could not do what it was asked. The message is for the person who typed it.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A missing mode, map or assets folder.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The map does not load.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The zones.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The mode does not load, or a zone ended.
    #[error("{}", with_traceback(.0))]
    Sim(#[from] SimError),
    /// The key of connect tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// What the environment wants logged.
    #[error("the variable RUST_LOG: {0}")]
    Log(String),
    /// The thread that sends the state panicked.
    #[error(
        "the thread that sends the state ended by a fault of the server, which the log has above"
    )]
    Sending,
    /// A running server does not answer.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another program has the port.
    #[error(
        "{address} ({protocol}) is in use by another program: stop it, or choose another port with {flag} ({flag} {ip}:0 takes any free one)",
        ip = address.ip()
    )]
    Busy {
        /// The address.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// An address cannot be listened on for another reason.
    #[error("cannot listen on {address} ({flag}): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The system refused a thread, a signal handler or the like.
    #[error("the system refused: {0}")]
    System(#[from] std::io::Error),
    /// A report could not be written as JSON.
    #[error("writing the report failed: {0}")]
    Report(#[from] serde_json::Error),
}

impl Error {
    /// What an attempt to listen came to, told so that one knows what to do.
    pub(crate) fn listening(
        address: SocketAddr,
        protocol: &'static str,
        flag: &'static str,
        error: std::io::Error,
    ) -> Error {
        match error.kind() {
            std::io::ErrorKind::AddrInUse => Error::Busy {
                address,
                protocol,
                flag,
            },
            _ => Error::Listen {
                address,
                flag,
                error,
            },
        }
    }
}

/// A script's error with what Python said above it, where it said anything.
fn with_traceback(error: &SimError) -> String {
    match error {
        SimError::Script(script) if !script.traceback.is_empty() => {
            format!("{script}\n\n{}", script.traceback.trim_end())
        }
        _ => error.to_string(),
    }
}
