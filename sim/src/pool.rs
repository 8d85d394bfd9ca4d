//! The zones' threads and the way to talk to them.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel as mpsc;
use tessera_protocol::ids::ZoneId;
use tessera_python::ScriptConfig;

use crate::channel;
use crate::config::SimConfig;
use crate::error::SimError;
use crate::rendezvous::Rendezvous;
use crate::zone::{self, Order, Reply, ZoneSetup};

/// One thread a zone. Dropping it ends them, interpreters and all.
pub(crate) struct ZonePool {
    zones: Vec<ZoneHandle>,
    rendezvous: Arc<Rendezvous>,
}

/// A zone's thread. It ends when `orders` is dropped, which is why that is an `Option`.
struct ZoneHandle {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl ZonePool {
    /// Starts all zones' threads. Each answers `Started` when its scripts are loaded.
    pub(crate) fn spawn(config: &SimConfig) -> Result<ZonePool, SimError> {
        let mut pool = ZonePool {
            zones: Vec::with_capacity(config.grid.zones()),
            rendezvous: Arc::new(Rendezvous::new(config.grid.zones())),
        };
        for (at, (senders, receivers)) in all_channels(config.grid.zones()).into_iter().enumerate()
        {
            let zone = ZoneId(at as u8);
            let setup = ZoneSetup {
                scripts: ScriptConfig {
                    zone,
                    seed: config.seed,
                    tick_hz: config.tick_hz,
                    halo_m: config.halo_m,
                    mode: config.mode.clone(),
                    options: config.options.clone(),
                    world: config.world.clone(),
                    memory_cap: None,
                },
                grid: config.grid.clone(),
                cpu_clock: config.cpu_clock,
                senders,
                receivers,
            };
            // One order is under way at a time; the next may wait while the zone uses its slack.
            let (orders, inbox) = mpsc::bounded(1);
            let thread = zone::spawn(setup, inbox, pool.rendezvous.clone())
                .map_err(|source| SimError::Thread { zone, source })?;
            pool.zones.push(ZoneHandle {
                orders: Some(orders),
                thread: Some(thread),
            });
        }
        Ok(pool)
    }

    /// How many zones there are.
    pub(crate) fn len(&self) -> usize {
        self.zones.len()
    }

    /// Waits for the zones' first replies.
    pub(crate) fn started<T>(
        &self,
        wanted: impl Fn(Reply) -> Option<T>,
    ) -> Result<Vec<T>, SimError> {
        self.rendezvous.wait(wanted)
    }

    /// Gives orders to the first zones, one each, and returns their replies in zone order. Meanwhile
    /// does `beside` on this thread.
    pub(crate) fn ask<T>(
        &self,
        orders: impl ExactSizeIterator<Item = Order>,
        beside: impl FnOnce(),
        wanted: impl Fn(Reply) -> Option<T>,
    ) -> Result<Vec<T>, SimError> {
        self.rendezvous.expect(orders.len());
        for (zone, order) in self.zones.iter().zip(orders) {
            let inbox = zone.orders.as_ref().expect("open until the drop");
            // A zone that has stopped has said so at the rendezvous.
            let _ = inbox.send(order);
        }
        beside();
        self.rendezvous.wait(wanted)
    }
}

impl Drop for ZonePool {
    fn drop(&mut self) {
        for zone in &mut self.zones {
            zone.orders = None;
        }
        for zone in &mut self.zones {
            if let Some(thread) = zone.thread.take() {
                // A zone that panicked has already been reported at the rendezvous.
                let _ = thread.join();
            }
        }
    }
}

/// A zone's ends of the channels, by the other zone; `None` for itself.
type Ends = (Vec<Option<channel::Sender>>, Vec<Option<channel::Receiver>>);

/// A channel for each ordered pair of zones.
fn all_channels(zones: usize) -> Vec<Ends> {
    let mut ends: Vec<Ends> = (0..zones).map(|_| Ends::default()).collect();
    for from in 0..zones {
        for to in 0..zones {
            let (sender, receiver) = (from != to).then(channel::channel).unzip();
            ends[from].0.push(sender);
            ends[to].1.push(receiver);
        }
    }
    ends
}
