//! How often people may ask.

use std::{net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

/// `[limits]`: rate limits. Each is a number of requests within a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whether anything is counted.
    pub enabled: bool,
    /// Who is believed about `X-Forwarded-For`.
    pub trusted_proxies: Vec<Network>,
    /// Requests without a token, by address.
    pub anonymous: Rate,
    /// Reads of one person.
    pub reads: Rate,
    /// Writes of one person.
    pub writes: Rate,
    /// Messages of one person, over REST and sockets.
    pub messages: Rate,
    /// Registrations of one e-mail address from one address.
    pub register: Rate,
    /// Registrations from one address.
    pub register_address: Rate,
    /// Logins to one account from addresses that have not logged in to it.
    pub login: Rate,
    /// Logins to one account from one address that has logged in to it.
    pub login_known: Rate,
    /// Logins from one address.
    pub login_address: Rate,
    /// Attempts at one account that are answered at once; what comes beyond them waits.
    pub login_prompt: Rate,
    /// How long the first one that waits does so, milliseconds. Each further one waits twice as long.
    pub login_delay_ms: u64,
    /// The longest wait, milliseconds.
    pub login_max_delay_ms: u64,
    /// How long it is remembered that an address has logged in to an account, days.
    pub login_known_days: u32,
    /// Refreshes from one address.
    pub refresh_address: Rate,
    /// Codes by text message that one address asks for.
    pub send_otp_address: Rate,
    /// Links and codes by e-mail that one address asks for, to prove an e-mail address.
    pub resend_address: Rate,
    /// Links that one address asks for, to reset a password.
    pub forgot_address: Rate,
    /// Codes and links that one address answers.
    pub verify_address: Rate,
    /// Codes that are answered for one e-mail address.
    pub verify_email: Rate,
    /// Links that one address answers with another password.
    pub reset_address: Rate,
    /// Commands of all sockets of one person.
    pub socket_commands: Rate,
    /// Commands of one socket: a bucket that fills at this rate.
    pub socket: Rate,
    /// Sockets of one address that have not said yet whose they are.
    pub unidentified_sockets: usize,
}

/// So many within a time: `100/15m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub quota: u32,
    /// Within which time.
    pub window: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str =
            "must be like \"100/15m\": a number from 1, \"/\", and a time in s, m, h or d";
        let (quota, window) = text.split_once('/').ok_or(RULE)?;
        let quota = quota.parse().ok().filter(|quota| *quota > 0).ok_or(RULE)?;
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
        let mut read = units.iter().filter_map(|(unit, seconds)| {
            Some((window.strip_suffix(*unit)?.parse::<u64>().ok()?, *seconds))
        });
        let (count, seconds) = read.next().ok_or(RULE)?;
        let window = count.checked_mul(seconds).filter(|all| (1..=30 * 86_400).contains(all));
        Ok(Self { quota, window: Duration::from_secs(window.ok_or(RULE)?) })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An address, or a network: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be addresses or networks like \"10.0.0.0/8\"";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| RULE)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| RULE)?;
        if prefix <= bits { Ok(Self { address, prefix }) } else { Err(RULE) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Limits {
    /// How long the answer to this attempt at one account waits, the first one being 1.
    #[must_use]
    pub fn login_delay(&self, attempt: u32) -> Duration {
        let Some(late) = attempt.checked_sub(self.login_prompt.quota + 1) else {
            return Duration::ZERO;
        };
        let times = 1_u64.checked_shl(late).unwrap_or(u64::MAX);
        let delay = self.login_delay_ms.saturating_mul(times);
        Duration::from_millis(delay.min(self.login_max_delay_ms))
    }

    /// Who is behind a connection from `peer`: what a proxy that we trust says, read from the end
    /// that it wrote, else the peer itself. `forwarded` holds the values of `X-Forwarded-For`.
    #[must_use]
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl Iterator<Item = &'a str>) -> IpAddr {
        let is_trusted =
            |address: IpAddr| self.trusted_proxies.iter().any(|proxy| proxy.contains(address));
        let mut client = peer.to_canonical();
        if !is_trusted(client) {
            return client;
        }
        let named: Vec<&str> = forwarded.flat_map(|value| value.split(',')).collect();
        for name in named.into_iter().rev() {
            let Ok(address) = name.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !is_trusted(client) {
                break;
            }
        }
        client
    }
}

/// The name under which an address is counted: people have whole networks of IPv6 addresses.
#[must_use]
pub fn counted_as(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let rate = |quota, seconds| Ok(Rate { quota, window: Duration::from_secs(seconds) });
        assert_eq!("100/15m".parse(), rate(100, 900));
        assert_eq!("20/10s".parse(), rate(20, 10));
        assert_eq!("5/1h".parse(), rate(5, 3600));
        for bad in ["", "5", "0/1m", "5/m", "5/0s", "-1/1m", "5/1w", "5/1mm", "5/99999999999h"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn logins_wait_longer_and_longer_and_never_for_ever() {
        let mut limits = crate::config::tests::defaults().limits;
        limits.login_prompt.quota = 3;
        (limits.login_delay_ms, limits.login_max_delay_ms) = (100, 1000);
        let delays: Vec<_> = (1..=8).map(|n| limits.login_delay(n).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 100, 200, 400, 800, 1000]);
        assert_eq!(limits.login_delay(u32::MAX).as_millis(), 1000);
    }

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut config = crate::config::tests::defaults().limits;
        config.trusted_proxies = trusted.iter().map(|it| it.parse().unwrap()).collect();
        config.client(peer.parse().unwrap(), forwarded.iter().copied()).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        let trusted = &["192.0.2.0/24", "::1"];
        assert_eq!(client(trusted, "192.0.2.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(trusted, "::ffff:192.0.2.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client(trusted, "203.0.113.1", &["198.51.100.7"]), "203.0.113.1");
        // What the client wrote itself stands before what the proxies added.
        let chain = &["6.6.6.6, 198.51.100.7", "192.0.2.9"];
        assert_eq!(client(trusted, "192.0.2.1", chain), "198.51.100.7");
        assert_eq!(client(trusted, "192.0.2.1", &["6.6.6.6, nonsense"]), "192.0.2.1");
        assert_eq!(client(trusted, "192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn networks_have_a_size() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("::1", "::2"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let name = |address: &str| counted_as(address.parse().unwrap());
        assert_eq!(name("2001:db8:1:2:3::4"), name("2001:db8:1:2:ffff::"));
        assert_ne!(name("2001:db8:1:2::"), name("2001:db8:1:3::"));
        assert_eq!(name("192.0.2.1"), "192.0.2.1");
    }
}
