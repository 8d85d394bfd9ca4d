//! Sealing: the zones' batches become one snapshot, hashed, indexed and kept.

use std::collections::VecDeque;
use std::sync::Arc;

use tessera_protocol::fields::FieldTable;
use tessera_protocol::ids::Tick;
use tessera_protocol::snapshot::{Snapshot, SnapshotHeader, ZoneBatch};
use tessera_python::HitboxHistory;
use xxhash_rust::xxh3::xxh3_64;

use crate::exchange::Exchange;
use crate::reload::Adaptation;

/// Snapshots that a simulation keeps: one second at 64 ticks a second.
pub const SNAPSHOTS_KEPT: usize = 64;

/// The last snapshots and what is derived from the newest.
pub(crate) struct SnapshotRing {
    kept: VecDeque<Arc<Snapshot>>,
    hitboxes: Arc<HitboxHistory>,
}

impl SnapshotRing {
    pub(crate) fn new(tick_hz: u32) -> SnapshotRing {
        SnapshotRing {
            kept: VecDeque::with_capacity(SNAPSHOTS_KEPT),
            hitboxes: Arc::new(HitboxHistory::new(tick_hz)),
        }
    }

    /// Seals `S_tick` from the zones' exchanges and makes it the newest snapshot.
    pub(crate) fn seal(
        &mut self,
        table: &FieldTable,
        tick: Tick,
        seed: u64,
        next_entity: u32,
        zones: &[Exchange],
    ) {
        let header = SnapshotHeader {
            tick,
            seed,
            next_entity,
            state_hash: state_hash(tick, seed, next_entity, zones),
        };
        let mut batches: Vec<&ZoneBatch> = Vec::with_capacity(2 * zones.len());
        for zone in zones {
            batches.push(&zone.batches.own);
            if zone.batches.has_newborn {
                batches.push(&zone.batches.newborn);
            }
        }
        // The oldest snapshot gives its memory, unless somebody still reads it.
        let recycled = (self.kept.len() == SNAPSHOTS_KEPT)
            .then(|| self.kept.pop_front())
            .flatten()
            .and_then(|oldest| Arc::try_unwrap(oldest).ok());
        let snapshot = Snapshot::seal(header, &batches, recycled);
        // The zones have let go of it; from one that was given up it is copied.
        Arc::make_mut(&mut self.hitboxes).push(table, &snapshot);
        self.kept.push_back(Arc::new(snapshot));
    }

    /// Carries the state over to other declarations: the newest snapshot, and those before it that shots
    /// may be taken back to. Older ones are given up.
    pub(crate) fn adapt(&mut self, adaptation: &Adaptation) {
        let given_up = self.kept.len().saturating_sub(self.hitboxes.depth());
        self.kept.drain(..given_up);
        let mut hitboxes = self.hitboxes.emptied();
        for snapshot in &mut self.kept {
            *snapshot = Arc::new(adaptation.adapt(snapshot));
            hitboxes.push(adaptation.table(), snapshot);
        }
        self.hitboxes = Arc::new(hitboxes);
    }

    /// All that are kept, oldest first.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Arc<Snapshot>> {
        self.kept.iter()
    }

    /// `S_t` of the newest tick.
    pub(crate) fn newest(&self) -> &Arc<Snapshot> {
        self.kept.back().expect("the start seals S_0")
    }

    /// The capsules of the newest snapshot and of those of the last 250 ms.
    pub(crate) fn hitboxes(&self) -> &Arc<HitboxHistory> {
        &self.hitboxes
    }

    /// The snapshot of a tick, if it is among the last [`SNAPSHOTS_KEPT`].
    pub(crate) fn at(&self, tick: Tick) -> Option<&Arc<Snapshot>> {
        let age = self.newest().tick().wrapping_sub(tick);
        let at = self
            .kept
            .len()
            .checked_sub(1 + usize::try_from(age).ok()?)?;
        self.kept.get(at)
    }
}

/// Hash of the state at a tick boundary: every row, the messages on their way, who rests, and the id
/// that the next newborn gets. Sums of strong hashes, so neither order nor partition changes it.
fn state_hash(tick: Tick, seed: u64, next_entity: u32, zones: &[Exchange]) -> u64 {
    let sum = |part: fn(&Exchange) -> u64| {
        zones
            .iter()
            .fold(0u64, |sum, zone| sum.wrapping_add(part(zone)))
    };
    let mut bytes = [0u8; 32];
    bytes[..4].copy_from_slice(&tick.0.to_le_bytes());
    bytes[4..8].copy_from_slice(&next_entity.to_le_bytes());
    bytes[8..16].copy_from_slice(&seed.to_le_bytes());
    bytes[16..24].copy_from_slice(&sum(|zone| zone.rows_hash).to_le_bytes());
    bytes[24..].copy_from_slice(&sum(|zone| zone.transit_hash).to_le_bytes());
    xxh3_64(&bytes)
}
