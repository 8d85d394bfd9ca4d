//! Connect tokens of a run: good ones for its bots, and such as a server must refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tessera_protocol::token::NONCE_LEN;
use tessera_protocol::{SignedToken, Token, TokenKey};

use crate::server::make_key;

/// The match that the started server's tokens are for.
const MATCH_ID: &str = "loadtest";
/// One that no server of a load test plays.
const OTHER_MATCH_ID: &str = "another";
/// How long ago the expired ones expired, seconds.
const EXPIRED_AGO_S: u64 = 60;
/// The configuration of a server that asks for tokens.
const CONFIG: &str = "tessera.toml";
/// The key, beside it.
const KEY: &str = "token.key";

/// What makes the started server ask for tokens. The key's file goes with it.
#[derive(Debug)]
pub struct Required {
    /// The configuration.
    pub config: PathBuf,
    key_file: PathBuf,
}

/// Signs tokens for one match, none with the nonce of another.
#[derive(Clone, Debug)]
pub struct Mint {
    key: TokenKey,
    match_id: String,
    /// Seconds since 1970 at which this run's tokens expire.
    expires_unix_s: u64,
    /// The next token's nonce. The first is the moment in which the mint was made: a server that is already running may
    /// have seen tokens of earlier runs.
    nonce: u128,
}

/// What is wrong with a token. A server that asks for tokens refuses each of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// It is for another match.
    AnotherMatch,
    /// One of its bits isn't what was signed: the one this share of its length from its beginning, in [0, 1).
    BitFlipped(f64),
}

impl Required {
    /// Has the server's own command make a key in `folder`, which only its owner may read, and writes the
    /// configuration of a server that asks for tokens signed with it.
    ///
    /// # Errors
    /// A folder that can't be written, a path that isn't text.
    pub fn write(folder: &Path) -> Result<Required> {
        let failed = || format!("can't write the key of tokens into {}", folder.display());
        // The server takes the path of the key as it stands.
        let folder = std::path::absolute(folder).with_context(failed)?;
        fs::create_dir_all(&folder).with_context(failed)?;
        let required = Required {
            config: folder.join(CONFIG),
            key_file: folder.join(KEY),
        };
        // Of a run that was killed.
        required.remove_key();
        make_key(&required.key_file)?;
        fs::write(&required.config, config(&required.key_file)?).with_context(failed)?;
        Ok(required)
    }

    /// Who signs with its key. The tokens are good for `time`.
    ///
    /// # Errors
    /// When the key's file is gone.
    pub fn mint(&self, time: Duration) -> Result<Mint> {
        Mint::open(&self.key_file, MATCH_ID, time)
    }

    fn remove_key(&self) {
        // Fails only when there is none.
        let _ = fs::remove_file(&self.key_file);
    }
}

impl Drop for Required {
    fn drop(&mut self) {
        self.remove_key();
    }
}

/// The text of a configuration that asks for tokens.
fn config(key_file: &Path) -> Result<String> {
    // A string of JSON is one of TOML too.
    let key_file = serde_json::to_string(key_file)?;
    Ok(format!(
        "[net]\ntokens = \"required\"\ntoken_key_file = {key_file}\nmatch_id = \"{MATCH_ID}\"\n"
    ))
}

impl Mint {
    /// A mint with the key in a file, whose tokens are for a match and good for `time`.
    ///
    /// # Errors
    /// When there is no key in the file.
    pub fn open(key_file: &Path, match_id: &str, time: Duration) -> Result<Mint> {
        let failed = || format!("can't read the key of tokens {}", key_file.display());
        let key = fs::read_to_string(key_file).with_context(failed)?;
        let key = key.parse::<TokenKey>().with_context(failed)?;
        Ok(Mint::new(key, match_id, unix_time() + time))
    }

    /// A mint with a key, whose tokens are for a match and good until `expires` after 1970.
    pub fn new(key: TokenKey, match_id: &str, expires: Duration) -> Mint {
        Mint {
            key,
            match_id: match_id.to_owned(),
            expires_unix_s: expires.as_secs(),
            nonce: unix_time().as_nanos() << 32,
        }
    }

    /// A token that lets `name` in, once.
    ///
    /// # Errors
    /// A name that no player may have.
    pub fn good(&mut self, name: &str) -> Result<SignedToken> {
        let match_id = self.match_id.clone();
        self.sign(&match_id, name, self.expires_unix_s)
    }

    /// A token that lets nobody in.
    ///
    /// # Errors
    /// A name that no player may have.
    pub fn flawed(&mut self, flaw: Flaw, name: &str) -> Result<SignedToken> {
        match flaw {
            Flaw::Expired => {
                let expired = unix_time().as_secs().saturating_sub(EXPIRED_AGO_S);
                let match_id = self.match_id.clone();
                self.sign(&match_id, name, expired)
            }
            Flaw::AnotherMatch => self.sign(OTHER_MATCH_ID, name, self.expires_unix_s),
            Flaw::BitFlipped(share) => {
                let mut bytes = self.good(name)?.as_bytes().to_vec();
                let bit = (share * (bytes.len() * 8) as f64) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
                Ok(SignedToken::from_bytes(bytes))
            }
        }
    }

    fn sign(&mut self, match_id: &str, name: &str, expires_unix_s: u64) -> Result<SignedToken> {
        let nonce: [u8; NONCE_LEN] = self.nonce.to_le_bytes();
        self.nonce += 1;
        let token = Token::new(match_id, name, expires_unix_s, nonce)?;
        Ok(token.sign(&self.key))
    }
}

fn unix_time() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tessera_protocol::TokenGate;
    use tessera_protocol::token::TokenError;

    #[test]
    fn each_token_is_refused_for_its_flaw_and_a_good_one_lets_in_once() {
        let key = TokenKey::new(&[7; 32]);
        let now = unix_time();
        let mut mint = Mint::new(key.clone(), MATCH_ID, now + Duration::from_secs(60));
        let mut gate = TokenGate::new(key, MATCH_ID);
        let mut check = |token: &SignedToken| {
            let checked = gate.check(Some(token), now.as_secs());
            checked.map(|token| gate.spend(&token)).err()
        };
        let (first, second) = (
            mint.good("a").expect("a name"),
            mint.good("a").expect("a name"),
        );
        assert_eq!(check(&first), None);
        assert_eq!(check(&second), None, "another nonce");
        assert_eq!(check(&first), Some(TokenError::Used));
        let mut flawed = |flaw| check(&mint.flawed(flaw, "a").expect("a name"));
        assert!(matches!(
            flawed(Flaw::Expired),
            Some(TokenError::Expired { .. })
        ));
        let another = flawed(Flaw::AnotherMatch);
        assert!(matches!(another, Some(TokenError::AnotherMatch { .. })));
        for share in [0.0, 0.3, 0.999] {
            assert_eq!(flawed(Flaw::BitFlipped(share)), Some(TokenError::Bad));
        }
    }

    #[test]
    fn the_configuration_bears_any_path() {
        let text = config(Path::new("/a \"b\"/token.key")).expect("text");
        assert!(
            text.contains("token_key_file = \"/a \\\"b\\\"/token.key\"\n"),
            "{text}"
        );
    }
}
