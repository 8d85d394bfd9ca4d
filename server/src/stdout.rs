//! Standard output, where what was asked for goes.

use std::io::{ErrorKind, Write};

/// Writes all of `text`. A reader that has gone (`tessera check … | head`) has seen enough: that is no
/// error, and no reason to stop a match.
///
/// # Errors
/// The system cannot write it for another reason, such as a full disk.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    print_to(&mut std::io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> std::io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is_one() {
        assert!(print_to(&mut Failing(ErrorKind::BrokenPipe), "text").is_ok());
        assert!(print_to(&mut Failing(ErrorKind::StorageFull), "text").is_err());
    }
}
