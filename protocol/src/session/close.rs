//! Why a session ends: the code and the text of the connection's close.

/// Most bytes of a close's text: it has to fit one packet.
const TEXT_LEN_MAX: usize = 256;

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The client left.
    Left,
    /// Refused: the client's protocol hash is another.
    ProtocolMismatch,
    /// Refused: no slot is free.
    ServerFull,
    /// The server is shutting down; refused, or asked to leave.
    Draining,
    /// Refused: the name is empty, too long or unprintable.
    BadName,
    /// The handshake took too long.
    HandshakeTimeout,
    /// What the peer sent on the control stream makes no sense.
    Garbage,
    /// The client doesn't read its control stream.
    TooSlow,
    /// The operator ended it, and it may not come back.
    Kicked,
    /// Refused: this server lets in only who brings a token.
    TokenMissing,
    /// Refused: the token is not signed with the server's key.
    TokenBad,
    /// Refused: the token's time is over.
    TokenExpired,
    /// Refused: the token let somebody in before.
    TokenUsed,
    /// Refused: the token is for another match.
    TokenForAnotherMatch,
    /// Refused: there is no player to come back to, or the time for it is over.
    SessionUnknown,
    /// The same client has come back on another connection.
    TakenOver,
    /// Nothing was heard of the client in the match for too long.
    Idle,
    /// The client sent far too much for too long.
    RateLimited,
    /// A code that this build doesn't know.
    Other(u32),
    /// The connection was lost: no close arrived.
    Lost,
}

impl CloseReason {
    /// The close code on the wire. [`CloseReason::Lost`] never travels.
    pub fn code(self) -> u32 {
        match self {
            Self::Left => 0,
            Self::ProtocolMismatch => 1,
            Self::ServerFull => 2,
            Self::Draining => 3,
            Self::BadName => 4,
            Self::HandshakeTimeout => 5,
            Self::Garbage => 6,
            Self::TooSlow => 7,
            Self::Kicked => 8,
            Self::TokenMissing => 9,
            Self::TokenBad => 10,
            Self::TokenExpired => 11,
            Self::TokenUsed => 12,
            Self::TokenForAnotherMatch => 13,
            Self::SessionUnknown => 14,
            Self::TakenOver => 15,
            Self::Idle => 16,
            Self::RateLimited => 17,
            Self::Other(code) => code,
            Self::Lost => u32::MAX,
        }
    }

    /// The reason that a close code names.
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Left,
            1 => Self::ProtocolMismatch,
            2 => Self::ServerFull,
            3 => Self::Draining,
            4 => Self::BadName,
            5 => Self::HandshakeTimeout,
            6 => Self::Garbage,
            7 => Self::TooSlow,
            8 => Self::Kicked,
            9 => Self::TokenMissing,
            10 => Self::TokenBad,
            11 => Self::TokenExpired,
            12 => Self::TokenUsed,
            13 => Self::TokenForAnotherMatch,
            14 => Self::SessionUnknown,
            15 => Self::TakenOver,
            16 => Self::Idle,
            17 => Self::RateLimited,
            u32::MAX => Self::Lost,
            code => Self::Other(code),
        }
    }
}

/// The end of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
    /// The same for people, at most 256 bytes.
    pub text: String,
}

impl Close {
    /// A close; the text is cut to what fits.
    pub fn new(reason: CloseReason, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
        Self { reason, text }
    }

    /// The close that a peer's code and text mean.
    pub fn received(code: u32, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&text[..text.len().min(TEXT_LEN_MAX)]);
        Self::new(CloseReason::from_code(code), text)
    }

    /// The close when the connection broke off or timed out.
    pub fn lost(text: impl Into<String>) -> Self {
        Self::new(CloseReason::Lost, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_name_their_reasons() {
        for code in (0..30).chain([u32::MAX]) {
            assert_eq!(CloseReason::from_code(code).code(), code);
        }
        assert_eq!(CloseReason::from_code(2), CloseReason::ServerFull);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let close = Close::new(CloseReason::Kicked, "é".repeat(200));
        assert_eq!(close.text, "é".repeat(128));
        let received = Close::received(8, &[0xc3; 500]);
        assert!(received.text.len() <= 256, "{}", received.text.len());
    }
}
