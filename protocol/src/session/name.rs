//! What a player may be called.

/// Most bytes of a client's name, which is UTF-8 without control characters and not blank.
pub const NAME_LEN_MAX: usize = 24;

/// Why nobody can be called so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a name has 1 to {NAME_LEN_MAX} bytes, not {0}")]
    Length(usize),
    /// Line ends and the like.
    #[error("a name has no control characters")]
    Control,
}

/// The name without the space around it.
///
/// # Errors
/// A name that is blank, longer than [`NAME_LEN_MAX`] or unprintable.
pub fn checked_name(name: &str) -> Result<String, NameError> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(NameError::Length(name.len()));
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(name.to_owned())
}
