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
    /// The operator ended it.
    Kicked,
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
        for code in (0..20).chain([u32::MAX]) {
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
