//! The zones' threads and the way to talk to them.

use std::thread::JoinHandle;

use crossbeam_channel as mpsc;
use tessera_protocol::ids::ZoneId;
use tessera_python::ScriptConfig;

use crate::channel;
use crate::config::SimConfig;
use crate::error::SimError;
use crate::zone::{self, Order, Reply, ZoneSetup};

/// One thread a zone. Dropping it ends them, interpreters and all.
pub(crate) struct ZonePool {
    zones: Vec<ZoneHandle>,
    replies: mpsc::Receiver<(ZoneId, Reply)>,
}

/// A zone's thread. It ends when `orders` is dropped, which is why that is an `Option`.
struct ZoneHandle {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl ZonePool {
    /// Starts all zones' threads. Each answers `Started` when its scripts are loaded.
    pub(crate) fn spawn(config: &SimConfig) -> Result<ZonePool, SimError> {
        // Only the zones hold the sending side in the end, so that their end is seen here.
        let (reply, replies) = mpsc::bounded(config.grid.zones());
        let mut pool = ZonePool {
            zones: Vec::with_capacity(config.grid.zones()),
            replies,
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
                    clock: config.cpu_clock,
                },
                grid: config.grid.clone(),
                senders,
                receivers,
            };
            // One order is under way at a time; the next may wait while the zone uses its slack.
            let (orders, inbox) = mpsc::bounded(1);
            let thread = zone::spawn(setup, inbox, reply.clone())
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

    pub(crate) fn send(&self, zone: ZoneId, order: Order) {
        let orders = self.zones[zone.index()].orders.as_ref();
        // A zone that has stopped has said why, and `receive` will read it.
        let _ = orders.expect("open until the drop").send(order);
    }

    pub(crate) fn receive(&self) -> Result<(ZoneId, Reply), SimError> {
        match self.replies.recv() {
            Ok((zone, Reply::Panicked(message))) => Err(SimError::Zone { zone, message }),
            Ok(reply) => Ok(reply),
            Err(mpsc::RecvError) => Err(SimError::Zone {
                zone: ZoneId(0),
                message: "all zones have stopped".to_owned(),
            }),
        }
    }

    /// One reply of the wanted kind from every zone, in zone order.
    pub(crate) fn collect<T>(
        &self,
        wanted: impl Fn(Reply) -> Option<T>,
    ) -> Result<Vec<T>, SimError> {
        let mut parts: Vec<Option<T>> = (0..self.zones.len()).map(|_| None).collect();
        for _ in 0..parts.len() {
            let (zone, reply) = self.receive()?;
            let part = wanted(reply).expect("a zone answers what it was asked");
            parts[zone.index()] = Some(part);
        }
        Ok(parts.into_iter().flatten().collect())
    }
}

impl Drop for ZonePool {
    fn drop(&mut self) {
        for zone in &mut self.zones {
            zone.orders = None;
        }
        for zone in &mut self.zones {
            if let Some(thread) = zone.thread.take() {
                // A zone that panicked has already been reported by `receive`.
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
