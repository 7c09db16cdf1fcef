//! What addresses say.

use std::net::IpAddr;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// The peer that an address ends in.
pub fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// An address without the peer that it ends in.
pub(super) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if peer_of(&address).is_some() {
        address.pop();
    }
    address
}

/// Whether everybody can reach it, as far as it says.
pub(super) fn is_public(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_public_ip(ip.into()),
        Some(Protocol::Ip6(ip)) => is_public_ip(ip.into()),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name)) => {
            name != "localhost" && !name.ends_with(".local")
        }
        _ => false,
    }
}

fn is_public_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // Of carriers' own networks (RFC 6598), which std has no name for yet.
            let is_shared = first == 100 && second & 0xc0 == 64;
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || is_shared
                || first == 0
                || first >= 240)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_public_ip(mapped.into()),
            // Global unicast, without documentation.
            None => ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_private_ones() {
        for (address, expected) in [
            ("/ip4/1.2.3.4/tcp/1", true),
            ("/ip6/2606:4700::1/udp/1/quic-v1", true),
            ("/dns4/node.example.com/tcp/1", true),
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/ip4/10.0.0.1/tcp/1", false),
            ("/ip4/192.168.1.1/tcp/1", false),
            ("/ip4/100.64.0.1/tcp/1", false),
            ("/ip4/100.128.0.1/tcp/1", true),
            ("/ip4/169.254.1.1/tcp/1", false),
            ("/ip4/0.0.0.0/tcp/1", false),
            ("/ip4/250.0.0.1/tcp/1", false),
            ("/ip6/::1/tcp/1", false),
            ("/ip6/fe80::1/tcp/1", false),
            ("/ip6/fd00::1/tcp/1", false),
            ("/ip6/2001:db8::1/tcp/1", false),
            ("/ip6/::ffff:10.0.0.1/tcp/1", false),
            ("/dns4/localhost/tcp/1", false),
            ("/tcp/1", false),
        ] {
            assert_eq!(is_public(&address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn peers_are_at_the_end() {
        let peer = PeerId::random();
        let bare: Multiaddr = "/ip4/1.2.3.4/tcp/1".parse().unwrap();
        let full = bare.clone().with(Protocol::P2p(peer));
        assert_eq!((peer_of(&full), peer_of(&bare)), (Some(peer), None));
        assert_eq!((without_peer(full), without_peer(bare.clone())), (bare.clone(), bare));
    }
}
