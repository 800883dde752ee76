//! Addresses of the services by which clouds give a machine its credentials. Nothing of ours asks them: an
//! answer could end up in an error message or a log.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Host names of metadata services.
const NAMES: [&str; 5] =
    ["instance-data", "instance-data.ec2.internal", "metadata", "metadata.goog", "metadata.google.internal"];
/// Addresses outside of the link-local networks: of Alibaba, Azure and Oracle.
const ADDRESSES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
/// Addresses of AWS (instances, tasks), Google and Scaleway, and the link-local one of `OpenStack`.
const ADDRESSES_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Returns `true` if the host of a URL is the name or address of a metadata service.
pub fn is_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse() {
        Ok(address) => is_address(address),
        Err(_) => NAMES.iter().any(|name| host.eq_ignore_ascii_case(name)),
    }
}

/// Returns `true` if a metadata service may be at the address, as at every link-local address of IPv4. Of the
/// link-local addresses of IPv6, which any machine of a network has, only one belongs to such a service.
pub fn is_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || ADDRESSES.contains(&address),
        IpAddr::V6(address) => {
            let is_v4 = embedded(address).is_some_and(|inner| is_address(IpAddr::V4(inner)));
            is_v4 || ADDRESSES_V6.contains(&address)
        }
    }
}

/// Returns the IPv4 address inside of a mapped, compatible or translated (RFC 6052) IPv6 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = address.octets();
    let is_translated = bytes[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    let translated = is_translated.then(|| Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]));
    translated.or_else(|| address.to_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_of_ipv6_may_be_a_catalogs_except_for_one() {
        for host in ["fe80::1", "[fe80::a9fe:a9ff]", "fe80::1:a9fe:a9fe", "febf::a9fe:a9fe", "fd00:ec2::255"]
        {
            assert!(!is_host(host), "{host}");
        }
        for host in ["[fe80::a9fe:a9fe]", "fe80:0:0:0:0:0:a9fe:a9fe", "169.254.0.1", "::ffff:169.254.0.1"] {
            assert!(is_host(host), "{host}");
        }
    }
}
