//! Addresses as people write them: names of this device without the system's resolver, which a static program does not have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::origin::plain_name;
use super::pages::own_names;

/// Names and addresses that somebody wrote down.
const HOSTS: &str = "/etc/hosts";

/// The address to listen on that `text` names: `ADDRESS:PORT`, `localhost:PORT`, the device's own name, a name in `/etc/hosts`, or no
/// name or `*` for all addresses.
///
/// # Errors
/// What was expected in its place.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let hosts = std::fs::read_to_string(HOSTS).unwrap_or_default();
    resolve(text, &hosts, &own_names())
}

fn resolve(text: &str, hosts: &str, own: &[String]) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wrong = |why: &str| {
        format!(
            "{}: {why}, as in 0.0.0.0:8080 or [::]:8080",
            text.escape_debug()
        )
    };
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(wrong("an address and a port are expected"));
    };
    let port: u16 = (port.parse()).map_err(|_| wrong("the port must be 0 to 65535"))?;
    if host.contains([':', '[', '/']) {
        return Err(wrong(
            "an address and a port are expected, and nothing else",
        ));
    }
    let Some(name) = plain_name(host).filter(|name| name != "*") else {
        return Ok((Ipv4Addr::UNSPECIFIED, port).into());
    };
    if name == "localhost" {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let is_own = own.contains(&name);
    let noted = noted_address(hosts, &name)
        // Debian notes its own name at 127.0.1.1, where no other device comes.
        .filter(|ip| !(is_own && ip.is_loopback()));
    match (noted, is_own) {
        (Some(ip), _) => Ok((ip, port).into()),
        (None, true) => Ok((Ipv4Addr::UNSPECIFIED, port).into()),
        (None, false) => Err(wrong(&format!(
            "this is no name of this device (localhost{} or one in {HOSTS} would be), or give its address",
            own.iter()
                .map(|name| format!(", {name}"))
                .collect::<String>()
        ))),
    }
}

/// The first address of `name` in the text of a hosts file.
fn noted_address(hosts: &str, name: &str) -> Option<IpAddr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        (words.any(|word| word.eq_ignore_ascii_case(name))).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTED: &str = "127.0.0.1 localhost\n127.0.1.1 door7\n# 10.0.0.1 commented\n::1 ip6-localhost\n10.0.0.9\tgate.lan Gate # the other\nx y\n";

    fn listen(text: &str) -> Result<String, String> {
        let own = ["door7.local", "door7", "desk.lan"].map(str::to_owned);
        resolve(text, NOTED, &own).map(|address| address.to_string())
    }

    #[test]
    fn names_of_this_device_are_understood() {
        for (text, address) in [
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("localhost:9303", "127.0.0.1:9303"),
            ("LOCALHOST.:9303", "127.0.0.1:9303"),
            (":8080", "0.0.0.0:8080"),
            ("*:8080", "0.0.0.0:8080"),
            ("door7:8080", "0.0.0.0:8080"),
            ("Door7.local:8080", "0.0.0.0:8080"),
            ("desk.lan:0", "0.0.0.0:0"),
            ("ip6-localhost:1", "[::1]:1"),
            ("gate:1", "10.0.0.9:1"),
        ] {
            assert_eq!(listen(text), Ok(address.into()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_expected() {
        for (text, reason) in [
            ("8080", "an address and a port"),
            ("", "an address and a port"),
            ("localhost", "an address and a port"),
            ("localhost:http", "the port"),
            ("localhost:65536", "the port"),
            ("localhost:", "the port"),
            ("::1:8080", "nothing else"),
            ("[::1]", "the port"),
            ("http://localhost:8080", "nothing else"),
            (
                "door8:8080",
                "no name of this device (localhost, door7.local, door7",
            ),
            ("commented:1", "no name"),
            ("y:1", "no name"),
        ] {
            let said = listen(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
        }
    }
}
