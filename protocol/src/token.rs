//! Connect tokens: the right of one player to enter one match once, for a while.
//!
//! Whoever brings players together (a matchmaker) holds a key that it shares with the server. For each
//! player it signs a token, which travels in the client's hello. Times and randomness come in as
//! arguments.
//!
//! The bytes, integers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 8 | when it expires, seconds since 1970 (UTC) |
//! | 16 | a nonce that no other token has |
//! | 1 + n | length, and the id of the match in UTF-8, 1 to 64 bytes |
//! | 1 + n | length, and the name of the player in UTF-8, as in a hello |
//! | 32 | HMAC-SHA256 (RFC 2104) of all bytes before, under the shared key of 32 bytes |
//!
//! As text, keys and tokens are lower-case hexadecimal.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ring::hmac;

use crate::session::{CloseReason, NameError, checked_name};

/// Most bytes of a match's id.
pub const MATCH_ID_LEN_MAX: usize = 64;
/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of a nonce.
pub const NONCE_LEN: usize = 16;

const VERSION: u8 = 1;
/// Bytes of the signature at a token's end.
pub const TAG_LEN: usize = 32;

/// The key that signs tokens and verifies them.
#[derive(Clone, Debug)]
pub struct TokenKey(hmac::Key);

/// A text that is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key is {} hexadecimal digits; `tessera token --new-key FILE` makes one", 2 * KEY_LEN)]
pub struct KeyError;

impl TokenKey {
    /// The key of these secret bytes.
    pub fn new(secret: &[u8; KEY_LEN]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl FromStr for TokenKey {
    type Err = KeyError;

    /// Reads hexadecimal digits, with any space around them.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = from_hex(text.trim()).ok_or(KeyError)?;
        let secret = bytes.as_slice().try_into().map_err(|_| KeyError)?;
        Ok(Self::new(secret))
    }
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    match_id: String,
    name: String,
    expires_unix_s: u64,
    nonce: [u8; NONCE_LEN],
}

/// What cannot be in a token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenContentError {
    /// The match's id.
    #[error("the id of a match has 1 to {MATCH_ID_LEN_MAX} bytes, not {0}")]
    MatchId(usize),
    /// The player's name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Token {
    /// The right of `name` to enter a match until `expires_unix_s` (seconds since 1970). The nonce
    /// must be random, or unique in another way.
    ///
    /// # Errors
    /// An id or a name that is empty or too long.
    pub fn new(
        match_id: &str,
        name: &str,
        expires_unix_s: u64,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Self, TokenContentError> {
        if match_id.is_empty() || match_id.len() > MATCH_ID_LEN_MAX {
            return Err(TokenContentError::MatchId(match_id.len()));
        }
        Ok(Self {
            match_id: match_id.to_owned(),
            name: checked_name(name)?,
            expires_unix_s,
            nonce,
        })
    }

    /// The player's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs it.
    pub fn sign(&self, key: &TokenKey) -> SignedToken {
        let mut bytes = vec![VERSION];
        bytes.extend(self.expires_unix_s.to_le_bytes());
        bytes.extend(self.nonce);
        for text in [&self.match_id, &self.name] {
            bytes.push(text.len() as u8); // both are bounded well below
            bytes.extend(text.as_bytes());
        }
        let tag = hmac::sign(&key.0, &bytes);
        bytes.extend(tag.as_ref());
        SignedToken(bytes)
    }

    /// Reads what was signed; `None` where [`Token::new`] would have refused it.
    fn read(signed: &[u8]) -> Option<Self> {
        let (&[VERSION], rest) = signed.split_first_chunk()? else {
            return None;
        };
        let (expires, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (match_id, rest) = read_text(rest)?;
        let (name, rest) = read_text(rest)?;
        let token = Self::new(match_id, name, u64::from_le_bytes(*expires), *nonce).ok()?;
        (rest.is_empty() && token.name == name).then_some(token)
    }
}

fn read_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(len.into())?;
    Some((str::from_utf8(text).ok()?, rest))
}

/// A token as it travels: any bytes, until [`SignedToken::verify`] has seen them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedToken(Vec<u8>);

impl SignedToken {
    /// What somebody says is a token.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the hello's `token`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it says, if it was signed with this key. The time it takes tells nothing about the
    /// right signature.
    pub fn verify(&self, key: &TokenKey) -> Option<Token> {
        let (signed, tag) = self
            .0
            .split_at_checked(self.0.len().checked_sub(TAG_LEN)?)?;
        hmac::verify(&key.0, signed, tag).ok()?;
        Token::read(signed)
    }
}

impl fmt::Display for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

/// A text that is no token: not pairs of hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a token is pairs of hexadecimal digits, as `tessera token` prints it")]
pub struct TokenTextError;

impl FromStr for SignedToken {
    type Err = TokenTextError;

    fn from_str(text: &str) -> Result<Self, TokenTextError> {
        from_hex(text.trim()).map(Self).ok_or(TokenTextError)
    }
}

/// Why a client is not let in by its token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It brought none.
    #[error("this server lets in only whom a token names, and the hello has none")]
    Missing,
    /// It is not signed with the server's key, or makes no sense.
    #[error("the token was not signed with this server's key")]
    Bad,
    /// Its time is over.
    #[error("the token expired {ago_s} s ago")]
    Expired {
        /// Seconds since then.
        ago_s: u64,
    },
    /// It let somebody in before.
    #[error("the token was used before: each lets in once")]
    Used,
    /// It is for another match.
    #[error("the token is for match `{theirs}`, this is `{ours}`")]
    AnotherMatch {
        /// The match that it is for.
        theirs: String,
        /// The server's match.
        ours: String,
    },
    /// So many tokens were used and haven't expired that no more can be remembered.
    #[error("too many tokens were used that have not expired yet")]
    MemoryFull,
}

impl TokenError {
    /// The reason of the close that tells it.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Missing => CloseReason::TokenMissing,
            Self::Bad => CloseReason::TokenBad,
            Self::Expired { .. } => CloseReason::TokenExpired,
            Self::Used => CloseReason::TokenUsed,
            Self::AnotherMatch { .. } => CloseReason::TokenForAnotherMatch,
            Self::MemoryFull => CloseReason::ServerFull,
        }
    }
}

/// Lets in whoever brings a good token, once.
///
/// # Invariants
/// A token that was spent is remembered until it has expired. Where that would take too much memory,
/// further tokens are refused rather than old ones forgotten.
#[derive(Debug)]
pub struct TokenGate {
    key: TokenKey,
    match_id: String,
    /// Expiry and nonce of each token spent, so that the first expire first.
    spent: BTreeSet<(u64, [u8; NONCE_LEN])>,
    spent_max: usize,
    /// The latest time seen: a clock that is set back makes no expired token good again.
    now_unix_s: u64,
}

/// Tokens that a [`TokenGate`] remembers: some 2 MiB.
pub const TOKENS_SPENT_MAX: usize = 1 << 16;

impl TokenGate {
    /// The gate of a match. It remembers [`TOKENS_SPENT_MAX`] tokens.
    pub fn new(key: TokenKey, match_id: &str) -> Self {
        Self::with_memory(key, match_id, TOKENS_SPENT_MAX)
    }

    /// As [`TokenGate::new`], remembering `spent_max` tokens.
    pub fn with_memory(key: TokenKey, match_id: &str, spent_max: usize) -> Self {
        Self {
            key,
            match_id: match_id.to_owned(),
            spent: BTreeSet::new(),
            spent_max,
            now_unix_s: 0,
        }
    }

    /// Whether a token would let its bearer in at `now_unix_s` (seconds since 1970). Changes nothing
    /// about it: who is then refused for another reason may try again.
    ///
    /// # Errors
    /// Each way in which it would not, see [`TokenError`].
    pub fn check(
        &mut self,
        token: Option<&SignedToken>,
        now_unix_s: u64,
    ) -> Result<Token, TokenError> {
        self.pass(now_unix_s);
        let token = token.ok_or(TokenError::Missing)?;
        let token = token.verify(&self.key).ok_or(TokenError::Bad)?;
        if token.match_id != self.match_id {
            return Err(TokenError::AnotherMatch {
                theirs: token.match_id,
                ours: self.match_id.clone(),
            });
        }
        if token.expires_unix_s <= self.now_unix_s {
            let ago_s = self.now_unix_s - token.expires_unix_s;
            return Err(TokenError::Expired { ago_s });
        }
        if self.spent.contains(&(token.expires_unix_s, token.nonce)) {
            return Err(TokenError::Used);
        }
        if self.spent.len() >= self.spent_max {
            return Err(TokenError::MemoryFull);
        }
        Ok(token)
    }

    /// Notes that a token, which was checked just now, has let its bearer in.
    pub fn spend(&mut self, token: &Token) {
        self.spent.insert((token.expires_unix_s, token.nonce));
    }

    /// How many tokens it remembers.
    pub fn spent(&self) -> usize {
        self.spent.len()
    }

    fn pass(&mut self, now_unix_s: u64) {
        self.now_unix_s = self.now_unix_s.max(now_unix_s);
        while let Some(&first) = self.spent.first()
            && first.0 <= self.now_unix_s
        {
            self.spent.pop_first();
        }
    }
}

/// The text of a key's secret bytes, as its file holds it.
pub fn key_text(secret: &[u8; KEY_LEN]) -> String {
    to_hex(secret)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    pairs.collect()
}
