//! Handshakes that are begun and never finished.

use std::time::Duration;

use anyhow::Result;

use super::Behaviour;
use super::storm::Stage;

/// Time between two bursts, and connections in one. The server waits ten seconds for each, so that up to 192 are open at
/// once: most of the 256 that it allows, and yet the other behaviours still get in.
const EVERY: Duration = Duration::from_secs(4);
const BURST: u64 = 64;
/// Connections in all.
const TOTAL_MAX: u64 = 4_096;
/// What the one who has thrown all waits: longer than any storm.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// Begins connections by the dozen and forgets them after the first packet.
#[derive(Default)]
pub(super) struct Flood {
    thrown: u64,
}

impl Behaviour for Flood {
    fn act(&mut self, stage: &mut Stage) -> Result<Duration> {
        if self.thrown >= TOTAL_MAX {
            return Ok(NEVER);
        }
        for _ in 0..BURST {
            // The first packet goes out with the connecting; the answer is for nobody.
            let id = stage.connect()?;
            stage.abandon(id);
        }
        self.thrown += BURST;
        stage.threw("handshakes: begun and abandoned", BURST);
        Ok(EVERY)
    }
}
