//! What a player may be called.

/// Most bytes of a client's name, which is UTF-8 without what can't be seen, and not blank.
pub const NAME_LEN_MAX: usize = 24;

/// Why nobody can be called so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a name has 1 to {NAME_LEN_MAX} bytes, not {0}")]
    Length(usize),
    /// Line ends, marks that turn the direction of what follows, and the like.
    #[error("a name has no control characters and no marks that can't be seen")]
    Control,
}

/// The name without the space around it.
///
/// # Errors
/// A name that is blank, longer than [`NAME_LEN_MAX`] or unprintable.
pub fn checked_name(name: &str) -> Result<String, NameError> {
    let name = name.trim();
    let is_joiner = |character| matches!(character, '\u{200C}' | '\u{200D}');
    if name.is_empty() || name.len() > NAME_LEN_MAX {
        return Err(NameError::Length(name.len()));
    }
    if name.chars().any(is_unseen) || name.starts_with(is_joiner) || name.ends_with(is_joiner) {
        return Err(NameError::Control);
    }
    Ok(name.to_owned())
}

/// Whether a character shows nothing but changes how others are shown, so that one name could pass for
/// another or for a part of what is around it. (Joiners between others are permitted: scripts and emoji need them.)
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}'
                | '\u{34F}'
                | '\u{115F}'..='\u{1160}'
                | '\u{180E}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{61C}'
                | '\u{200B}'
                | '\u{200E}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{FEFF}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_all_that_they_have() {
        for good in ["Ada", " Zoë ", "名前", "می‌خواهم", "👩‍🚀"] {
            assert_eq!(checked_name(good).as_deref(), Ok(good.trim()));
        }
        for bad in [
            "a\nb",
            "a\u{202E}b",
            "\u{2066}a",
            "a\u{200B}",
            "a\u{FEFF}b",
            "a\u{2028}b",
            "a\u{200D}",
            "\u{200D}",
            "\u{3164}",
        ] {
            assert_eq!(checked_name(bad), Err(NameError::Control), "{bad:?}");
        }
        assert_eq!(checked_name("  "), Err(NameError::Length(0)));
    }
}
