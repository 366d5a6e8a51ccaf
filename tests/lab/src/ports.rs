//! Loopback ports for the parts of one lab.
//!
//! Invariant: two labs never share a port, whatever their timing. A lab claims a whole block by listening on the block's first port
//! for as long as it lives, which only one process can do; nothing has to be cleaned up afterwards. Blocks lie below the range from
//! which the kernel picks ports for outgoing connections, so a restarted part finds its port free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::{LabError, Part};

const FIRST: u16 = 20_000;
const BLOCK: u16 = 19;
const BLOCKS: u16 = 660;

const NO_PORTS: LabError = LabError::NoPorts {
    first: FIRST,
    last: FIRST + BLOCK * BLOCKS - 1,
};

/// A claimed block of ports; dropping it gives the block back.
#[derive(Debug)]
pub(crate) struct Ports {
    base: u16,
    _claim: TcpListener,
}

impl Ports {
    /// Claims a free block. Starts at a random one, so that labs that start together seldom meet.
    pub(crate) fn claim() -> Result<Self, LabError> {
        blocks().find_map(Self::claim_block).ok_or(NO_PORTS)
    }

    /// Claims this very block.
    pub(crate) fn claim_at(base: u16) -> Result<Self, LabError> {
        Self::claim_block(base).ok_or(NO_PORTS)
    }

    /// Claims a free block and goes on listening on every port of it.
    pub(crate) fn claim_listening() -> Result<(u16, Vec<TcpListener>), LabError> {
        let claim = |base: u16| {
            let listeners: Option<Vec<_>> = (base..base + BLOCK).map(listen).collect();
            Some((base, listeners?))
        };
        blocks().find_map(claim).ok_or(NO_PORTS)
    }

    fn claim_block(base: u16) -> Option<Self> {
        let claim = listen(base)?;
        let all_free = (base + 1..base + BLOCK).all(|port| listen(port).is_some());
        all_free.then_some(Self {
            base,
            _claim: claim,
        })
    }

    /// The port of a part; the same for the lab's whole life.
    pub(crate) const fn of(&self, part: Part) -> u16 {
        self.base
            + match part {
                Part::Etcd => 1,
                Part::ApiServer => 2,
                Part::ControllerManager => 3,
                Part::Scheduler => 4,
                Part::Kwok => 5,
                Part::Prometheus => 6,
                Part::Git => 7,
                Part::Load => 8,
                Part::Gateway => 10,
                Part::Pods => 12,
                Part::Registry => 13,
            }
    }

    /// The port on which the members of an etcd cluster would talk; a single one wants it too.
    pub(crate) const fn etcd_peer(&self) -> u16 {
        self.base + 9
    }

    /// The port of the gateway's own metrics and health.
    pub(crate) const fn gateway_admin(&self) -> u16 {
        self.base + 11
    }

    /// A part's address.
    pub(crate) fn address(&self, part: Part) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.of(part)))
    }

    /// Ports of the block that no part uses, for servers of a test.
    pub(crate) fn spare(&self) -> impl Iterator<Item = u16> + use<> {
        self.base + 14..self.base + BLOCK
    }
}

/// The first ports of all blocks, beginning with a random one.
fn blocks() -> impl Iterator<Item = u16> {
    let start = rand::random_range(..BLOCKS);
    (0..BLOCKS).map(move |step| FIRST + BLOCK * ((start + step) % BLOCKS))
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn two_claims_never_share_a_port() {
        let claims: Vec<_> = (0..20).map(|_| Ports::claim().unwrap()).collect();
        let bases: BTreeSet<_> = claims.iter().map(|ports| ports.base).collect();
        assert_eq!(bases.len(), claims.len());
    }

    #[test]
    fn a_block_with_a_port_in_use_is_passed_over() {
        let free = Ports::claim().unwrap();
        let base = free.base;
        drop(free);
        let taken = listen(base + 3).unwrap();
        assert!(Ports::claim_block(base).is_none());
        drop(taken);
    }

    #[test]
    fn every_part_has_a_port_of_its_own() {
        let ports = Ports::claim().unwrap();
        let all: BTreeSet<_> = Part::ALWAYS
            .into_iter()
            .chain(Part::ON_REQUEST)
            .map(|part| ports.of(part))
            .chain([ports.etcd_peer(), ports.gateway_admin()])
            .collect();
        assert_eq!(all.len(), 13);
        assert!(ports.spare().all(|port| !all.contains(&port)));
    }
}
