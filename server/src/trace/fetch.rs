//! `tessera trace`: asks a running server for a trace and keeps it as a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::ops::view::View;
use crate::remote::{PATIENCE, Remote};

/// Records the next ticks of the server into `out`.
///
/// # Errors
/// There is no server at that address, somebody else records a trace, or the file cannot be written.
pub(crate) fn fetch(server: &str, ticks: u32, out: &Path) -> Result<(), Error> {
    let remote = Remote::new(server)?;
    let view: View = remote.get("/top.json")?;
    let cannot_write = |error| Error::Write {
        path: out.to_owned(),
        error,
    };
    // Before the recording, which would be lost otherwise; what the file had before is kept until then.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let mut file = options.open(out).map_err(cannot_write)?;
    let lasts = Duration::from_secs(ticks.into()) / view.tick_hz.max(1);
    eprintln!(
        "recording {ticks} ticks of {}, {:.1} s…",
        remote.address(),
        lasts.as_secs_f64()
    );
    // Twice, since a server that is looked at this way may well be slow.
    let timeout = lasts * 2 + 2 * PATIENCE;
    let fetched = remote.post(&format!("/trace?ticks={ticks}"), timeout);
    if fetched.is_err() && file.metadata().is_ok_and(|file| file.len() == 0) {
        let _ = std::fs::remove_file(out);
    }
    let json = fetched?;
    let written = file.set_len(0).and_then(|()| file.write_all(&json));
    written.map_err(cannot_write)?;
    eprintln!(
        "wrote {} ({:.1} MiB): open it at https://ui.perfetto.dev",
        out.display(),
        json.len() as f64 / f64::from(1 << 20)
    );
    Ok(())
}
