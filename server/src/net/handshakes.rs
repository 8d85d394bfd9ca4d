//! Handshakes that are going on: so many in all, and so many of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tessera_protocol::session::network_of;

/// Connections whose handshake may be going on; beyond, the newest are turned away.
pub(super) const HANDSHAKES_MAX: usize = 256;

/// Of these, how many one address may have: one that begins many and never says hello leaves room for
/// others.
const PER_ADDRESS_MAX: usize = 192;

const _: () = assert!(PER_ADDRESS_MAX < HANDSHAKES_MAX);

/// The handshakes that are going on.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<GoingOn>);

#[derive(Debug, Default)]
struct GoingOn {
    all: usize,
    /// By network, of those that have any.
    by_address: HashMap<IpAddr, usize>,
}

/// One handshake, until it is dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    of: Arc<Handshakes>,
    network: IpAddr,
}

impl Handshakes {
    /// Begins one, if there is room for it.
    pub(super) fn begin(self: &Arc<Handshakes>, address: IpAddr) -> Option<Handshake> {
        let network = network_of(address);
        let mut going_on = self.lock();
        if going_on.all >= HANDSHAKES_MAX {
            return None;
        }
        let of_this = going_on.by_address.entry(network).or_default();
        if *of_this >= PER_ADDRESS_MAX {
            return None;
        }
        *of_this += 1;
        going_on.all += 1;
        Some(Handshake {
            of: self.clone(),
            network,
        })
    }

    /// How many are going on.
    pub(super) fn count(&self) -> usize {
        self.lock().all
    }

    fn end(&self, network: IpAddr) {
        let mut going_on = self.lock();
        going_on.all -= 1;
        let of_this = going_on.by_address.get_mut(&network);
        let of_this = of_this.expect("each handshake is counted until it ends");
        *of_this -= 1;
        if *of_this == 0 {
            going_on.by_address.remove(&network);
        }
    }

    fn lock(&self) -> MutexGuard<'_, GoingOn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.end(self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    #[test]
    fn one_address_leaves_room_for_others_and_all_have_a_bound() {
        let handshakes = Arc::new(Handshakes::default());
        let begin = |n| std::iter::from_fn(|| handshakes.begin(address(n))).collect::<Vec<_>>();
        let greedy = begin(1);
        assert_eq!(greedy.len(), PER_ADDRESS_MAX);
        let others = begin(2);
        assert_eq!(others.len(), HANDSHAKES_MAX - PER_ADDRESS_MAX);
        assert!(handshakes.begin(address(3)).is_none());
        drop(greedy);
        assert_eq!(handshakes.count(), others.len());
        assert!(handshakes.begin(address(1)).is_some());
        drop(others);
        assert_eq!(handshakes.count(), 0);
        assert!(handshakes.lock().by_address.is_empty(), "nothing is kept");
    }
}
