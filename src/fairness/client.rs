//! Whom a request belongs to.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A client: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// Whatever runs on the device itself and says nothing else.
    pub const DEVICE: Client = Client(IpAddr::V4(Ipv4Addr::LOCALHOST));

    pub fn of(address: IpAddr) -> Client {
        match address.to_canonical() {
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Client::DEVICE,
            IpAddr::V6(v6) => {
                const HOST: u128 = (1 << 64) - 1;
                Client(Ipv6Addr::from_bits(v6.to_bits() & !HOST).into())
            }
            v4 => Client(v4),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// Who asks, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    pub client: Client,
    /// A door is to open, and the client may open it: somebody stands before it.
    pub opening: bool,
}

tokio::task_local! {
    static ASKING: Asking;
}

/// Runs `work` as what `client` asks for.
pub async fn asks<W: Future>(client: Client, work: W) -> W::Output {
    let asking = Asking {
        client,
        opening: false,
    };
    ASKING.scope(asking, work).await
}

/// Runs `work` as an opening that whoever [asks](asks) may ask for.
pub async fn opens<W: Future>(work: W) -> W::Output {
    let asking = Asking {
        opening: true,
        ..asking()
    };
    ASKING.scope(asking, work).await
}

/// Whose work this is. What nobody asked for is the device's own.
pub fn asking() -> Asking {
    ASKING.try_with(|asking| *asking).unwrap_or(Asking {
        client: Client::DEVICE,
        opening: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64th_of_ipv6() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("2001:db8::1").to_string(), "2001:db8::/64");
        assert_eq!(client("::1"), Client::DEVICE);
        assert_eq!(client("127.0.0.1"), Client::DEVICE);
        assert_ne!(client("127.0.0.2"), Client::DEVICE);
    }

    #[tokio::test]
    async fn whose_work_it_is_is_known_where_it_is_done() {
        assert_eq!(asking().client, Client::DEVICE);
        let other = client("192.0.2.1");
        let seen = asks(other, async { (asking(), opens(async { asking() }).await) }).await;
        assert_eq!(seen.0.client, other);
        assert!(!seen.0.opening);
        assert_eq!(seen.1.client, other);
        assert!(seen.1.opening);
    }
}
