//! The file of the key that signs connect tokens, and tokens for whoever holds it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ring::rand::{SecureRandom, SystemRandom};
use tessera_protocol::token::{KEY_LEN, NONCE_LEN, TokenContentError, key_text};
use tessera_protocol::{SignedToken, Token, TokenKey};
use thiserror::Error;

/// Who may read a key file: its owner.
const KEY_FILE_MODE: u32 = 0o600;

/// Most bytes of a key file that are read.
const KEY_FILE_LEN_MAX: u64 = 1024;

/// A key or a token that could not be had.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// There is no key to read.
    #[error("{path}: {error}; `tessera token --new-key {path}` makes a key", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A key is not overwritten: tokens that were signed with it would be void.
    #[error("{} exists already: remove it first, and every token signed with it is void", .0.display())]
    Exists(PathBuf),
    /// Others than the owner may read the key.
    #[error("{} can be read by others than its owner (mode {mode:03o}): chmod 600 it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What is in the file is no key.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What a key looks like.
        error: tessera_protocol::token::KeyError,
    },
    /// A token cannot say this.
    #[error(transparent)]
    Token(#[from] TokenContentError),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Randomness,
}

/// Makes a key that nobody has, in a new file that only its owner may read.
pub(crate) fn create(path: &Path) -> Result<(), KeyError> {
    let key = key_text(&random::<KEY_LEN>()?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(KEY_FILE_MODE);
    let written = options
        .open(path)
        .and_then(|mut file| writeln!(file, "{key}"));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => KeyError::File {
            path: path.to_owned(),
            error,
        },
    })
}

/// Reads a key that [`create`] made.
pub(crate) fn read(path: &Path) -> Result<TokenKey, KeyError> {
    let failed = |error| KeyError::File {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KeyError::Missing {
            path: path.to_owned(),
            error,
        },
        _ => failed(error),
    })?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(KEY_FILE_LEN_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    text.parse().map_err(|error| KeyError::Content {
        path: path.to_owned(),
        error,
    })
}

/// A token that lets `name` into a match once, within `expires_in_s` seconds.
pub(crate) fn mint(
    key: &TokenKey,
    match_id: &str,
    name: &str,
    expires_in_s: u64,
) -> Result<SignedToken, KeyError> {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let expires = now.as_secs() + expires_in_s;
    let token = Token::new(match_id, name, expires, random::<NONCE_LEN>()?)?;
    Ok(token.sign(key))
}

fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| KeyError::Randomness)?;
    Ok(bytes)
}
