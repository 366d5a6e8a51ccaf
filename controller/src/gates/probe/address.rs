//! Where requests of gates may go.
//!
//! Belay stands inside the cluster and has a network position that authors of templates don't have. The worst of it are the metadata
//! services of clouds, which give a machine's credentials to whoever asks from it. So link-local addresses and the known metadata
//! services are refused always, and Belay's own loopback unless the process was told otherwise. Addresses of the cluster are what
//! gates are for and stay allowed: a network policy is the place to narrow them.
//!
//! Invariant: the address that is connected to is the one that was judged. Names are resolved once, by [`Guarded`], and what it
//! leaves out can't be connected to; an address that stands in a URL is judged by [`Reach::check`].

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use thiserror::Error;
use tower::BoxError;

/// Names of metadata services that need not resolve to a link-local address.
const METADATA_NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Addresses of metadata services outside the link-local range: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Which addresses may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// All but link-local addresses, metadata services and loopback.
    #[default]
    Network,
    /// Loopback, too: for tests, and for machines on which everybody may ask what listens there.
    NetworkAndLoopback,
    /// Whatever the operator of this process has named himself.
    Anywhere,
}

/// An address that may not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{host} may not be asked: {why}")]
pub(crate) struct Refused {
    host: String,
    why: &'static str,
}

impl Refused {
    /// Why, without the address.
    pub(crate) const fn reason(&self) -> &'static str {
        self.why
    }
}

const METADATA: &str = "it is a cloud's metadata service, which gives away the credentials of the machine that Belay runs on";
const LINK_LOCAL: &str =
    "link-local addresses are where clouds serve the credentials of the machine that Belay runs on";
const LOOPBACK: &str = "it is Belay's own machine; ask the Service of what is meant, or start the controller with --allow-loopback";
const NO_HOST: &str = "it is not the address of one machine";

impl Reach {
    /// Whether the host of `url` may be asked, as far as the URL itself tells.
    pub(crate) fn check(self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let why = match bare.parse::<IpAddr>() {
            Ok(address) => self.against(address),
            Err(_) => self.against_name(bare),
        };
        why.map_or(Ok(()), |why| {
            Err(Refused {
                host: host.to_owned(),
                why,
            })
        })
    }

    /// The addresses of `host` that may be asked; the port is filled in by the caller.
    pub(crate) async fn resolve(self, host: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in found {
            match self.against(address.ip()) {
                None => allowed.push(address),
                Some(why) => refused = Some(why),
            }
        }
        match refused {
            Some(why) if allowed.is_empty() => Err(Refused {
                host: host.to_owned(),
                why,
            }
            .into()),
            _ => Ok(allowed),
        }
    }

    fn against_name(self, name: &str) -> Option<&'static str> {
        if self == Self::Anywhere {
            return None;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return Some(METADATA);
        }
        let local = name == "localhost" || name.ends_with(".localhost");
        (local && self == Self::Network).then_some(LOOPBACK)
    }

    /// Why `address` may not be asked, if so.
    fn against(self, address: IpAddr) -> Option<&'static str> {
        if self == Self::Anywhere {
            return None;
        }
        match address {
            IpAddr::V4(address) => self.against_v4(address),
            IpAddr::V6(address) => self.against_v6(address),
        }
    }

    fn against_v4(self, address: Ipv4Addr) -> Option<&'static str> {
        if address.is_link_local() {
            return Some(LINK_LOCAL);
        }
        if METADATA_V4.contains(&address) {
            return Some(METADATA);
        }
        if address.is_multicast() || address.is_broadcast() {
            return Some(NO_HOST);
        }
        // Connecting to 0.0.0.0 connects to this machine.
        let local = address.is_loopback() || address.octets().first() == Some(&0);
        (local && self == Self::Network).then_some(LOOPBACK)
    }

    fn against_v6(self, address: Ipv6Addr) -> Option<&'static str> {
        if let Some(inner) = embedded(address) {
            return self.against_v4(inner);
        }
        if address.is_unicast_link_local() {
            return Some(LINK_LOCAL);
        }
        if address == METADATA_V6 {
            return Some(METADATA);
        }
        if address.is_multicast() {
            return Some(NO_HOST);
        }
        let local = address.is_loopback() || address.is_unspecified();
        (local && self == Self::Network).then_some(LOOPBACK)
    }
}

/// The IPv4 address that traffic to `address` ends up at: mapped, compatible, NAT64 and 6to4 ones.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        // ::1 and :: are themselves.
        [0, 0, 0, 0, 0, 0, 0, _] => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Resolves names by the system and leaves out what may not be asked.
#[derive(Clone, Debug)]
pub(crate) struct Guarded(Reach);

impl Guarded {
    pub(crate) fn new(reach: Reach) -> Arc<Self> {
        Arc::new(Self(reach))
    }
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = reach.resolve(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The refusal among the causes of an error, if that is what it was.
pub(crate) fn refusal<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Refused> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(reach: Reach, url: &str) -> bool {
        reach.check(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn metadata_services_are_refused_in_every_notation() {
        for host in [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "169.254.0.1",
            "[fe80::1]",
            "[febf::1]",
            "[::ffff:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::1]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "168.63.129.16",
            "metadata.google.internal",
            "METADATA.google.internal.",
        ] {
            let url = format!("http://{host}/latest/meta-data");
            for reach in [Reach::Network, Reach::NetworkAndLoopback] {
                assert!(!allowed(reach, &url), "{host} with {reach:?}");
            }
        }
    }

    #[test]
    fn loopback_is_refused_unless_allowed() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0.0.0.0",
            "localhost",
            "x.localhost.",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
        ] {
            let url = format!("http://{host}:8080/");
            assert!(!allowed(Reach::Network, &url), "{host}");
            assert!(allowed(Reach::NetworkAndLoopback, &url), "{host}");
        }
    }

    #[test]
    fn services_of_the_cluster_and_the_world_are_allowed() {
        for host in [
            "web.shop.svc",
            "10.96.0.10",
            "192.168.1.1",
            "api.datadoghq.com",
            "[fd12::1]",
        ] {
            assert!(
                allowed(Reach::Network, &format!("http://{host}/")),
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_refused_address_is_not_connected_to() {
        let guard = Guarded::new(Reach::Network);
        let refused = guard.resolve("localhost".parse().unwrap()).await.err();
        let refused = refused.unwrap().downcast::<Refused>().unwrap();
        assert_eq!(refused.why, LOOPBACK);
        let guard = Guarded::new(Reach::NetworkAndLoopback);
        let found = guard.resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
    }
}
