//! What the service may use of the memory, and what of that is for whom.

use std::fmt;
use std::path::{Path, PathBuf};

/// What the daemon takes with two workers before anybody asks anything, pages of its program included.
const OWN: u64 = 80 << 20;

/// How much memory there is for the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usable {
    pub bytes: u64,
    /// The file of the control group that says so; `None`: it is all that the machine has.
    pub limit: Option<PathBuf>,
}

impl Usable {
    /// The least that a control group of this process, or one around it, allows, or all of the machine's. `root` is `/`.
    ///
    /// `None` where nothing says it.
    pub fn read(root: &Path) -> Option<Usable> {
        let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        Usable::in_groups(root, &groups)
    }

    /// The same for the service as the package installs it, if it runs, and else for this process.
    pub fn of_service(root: &Path) -> Option<Usable> {
        const GROUP: &str = "system.slice/recocomp.service";
        match root.join("sys/fs/cgroup").join(GROUP).exists() {
            true => Usable::in_groups(root, &format!("0::/{GROUP}")),
            false => Usable::read(root),
        }
    }

    fn in_groups(root: &Path, groups: &str) -> Option<Usable> {
        let limits = (groups.lines())
            .flat_map(|line| files(root, line))
            .filter_map(|file| {
                let text = std::fs::read_to_string(&file).ok()?;
                Some((text.trim().parse::<u64>().ok()?, file))
            });
        let least = limits.min_by_key(|(bytes, _)| *bytes);
        let all = total(root);
        match (least, all) {
            (Some((bytes, file)), all) if all.is_none_or(|all| bytes < all) => Some(Usable {
                bytes,
                limit: Some(file),
            }),
            (_, all) => all.map(|bytes| Usable { bytes, limit: None }),
        }
    }

    /// What the requests of all clients together may take of it.
    fn for_requests(&self) -> u64 {
        let free = self.bytes.saturating_sub(OWN);
        match self.limit {
            // The rest is for galleries, answers and what is not counted.
            Some(_) => free * 3 / 4,
            // Others live here, too.
            None => free / 2,
        }
    }
}

fn total(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// The files that may limit the memory of the control group in a line of /proc/self/cgroup, and of those around it.
fn files(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':');
    let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return Vec::new();
    };
    let (hierarchies, names): (&[&str], &[&str]) = if number == "0" {
        (
            &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
            &["memory.max", "memory.high"],
        )
    } else if controllers.split(',').any(|name| name == "memory") {
        (&["sys/fs/cgroup/memory"], &["memory.limit_in_bytes"])
    } else {
        return Vec::new();
    };
    let path = Path::new(path.trim_start_matches('/'));
    let mut all = Vec::new();
    for hierarchy in hierarchies {
        for group in path.ancestors() {
            all.extend(
                names
                    .iter()
                    .map(|name| root.join(hierarchy).join(group).join(name)),
            );
        }
    }
    all
}

/// Memory that requests take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The first part of every body.
    pub small_bodies: usize,
    /// What bodies have beyond that.
    pub large_bodies: usize,
    /// Large pictures that are decoded.
    pub pictures: usize,
    /// A small picture for each worker.
    pub small_pictures: usize,
    /// Heads of requests and what a connection has of its own.
    pub connections: usize,
}

/// What of the budget is configured.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// 0: as there is room.
    pub bodies: usize,
    /// 0: as there is room.
    pub pictures: usize,
    pub workers: usize,
    pub connections: usize,
    /// Of the largest picture.
    pub max_pixels: u64,
}

/// What a connection takes beside its body: head, and the first bytes of the body, which are not counted one by one.
pub const OF_A_CONNECTION: usize = 96 << 10;
/// What a worker takes for a small picture.
pub const OF_A_SMALL_PICTURE: usize = 12 << 20;

const MOST_BODIES: u64 = 256 << 20;
const LEAST_BODIES: u64 = 4 << 20;
const SMALL_BODIES: std::ops::RangeInclusive<u64> = (4 << 20)..=(32 << 20);
/// Decodes a JPEG of 2.5 megapixels of any kind.
const LEAST_PICTURES: u64 = 32 << 20;
/// Bytes a pixel of the costliest picture.
const MOST_OF_A_PIXEL: u64 = 17;

impl Budget {
    /// Shares out what there is; with less than the least, that.
    pub fn new(usable: Option<&Usable>, wishes: Wishes) -> Budget {
        let connections = wishes.connections * OF_A_CONNECTION;
        let small_pictures = wishes.workers * OF_A_SMALL_PICTURE;
        let fixed = (connections + small_pictures) as u64;
        let room = usable.map_or(u64::MAX, Usable::for_requests);
        let room = room.saturating_sub(fixed);
        let small_bodies = (room / 8).clamp(*SMALL_BODIES.start(), *SMALL_BODIES.end());
        let room = room.saturating_sub(small_bodies);
        let large_bodies = match wishes.bodies as u64 {
            0 => (room / 5 * 2).clamp(LEAST_BODIES, MOST_BODIES),
            bodies => bodies,
        };
        let room = room.saturating_sub(large_bodies);
        let pictures = match wishes.pictures as u64 {
            0 => {
                let most = wishes.max_pixels.saturating_mul(MOST_OF_A_PIXEL);
                room.min(most).max(LEAST_PICTURES)
            }
            pictures => pictures,
        };
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Budget {
            small_bodies: bytes(small_bodies),
            large_bodies: bytes(large_bodies),
            pictures: bytes(pictures),
            small_pictures,
            connections,
        }
    }

    /// Bytes that requests take at most.
    pub fn sum(&self) -> usize {
        [
            self.small_bodies,
            self.large_bodies,
            self.pictures,
            self.small_pictures,
            self.connections,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// What the whole daemon takes at most, without galleries.
    pub fn with_own(&self) -> u64 {
        OWN.saturating_add(self.sum() as u64)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requests take {} MiB at most: {} for bodies, {} for pictures, {} for connections",
            self.sum() >> 20,
            (self.small_bodies + self.large_bodies) >> 20,
            (self.pictures + self.small_pictures) >> 20,
            self.connections >> 20
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: Wishes = Wishes {
        bodies: 0,
        pictures: 0,
        workers: 2,
        connections: 256,
        max_pixels: 40_000_000,
    };

    fn limited(mib: u64) -> Usable {
        Usable {
            bytes: mib << 20,
            limit: Some("memory.max".into()),
        }
    }

    #[test]
    fn everything_fits_into_what_there_is() {
        for mib in [384, 512, 690, 1024, 4096] {
            for workers in 1..=4 {
                let wishes = Wishes { workers, ..WISHES };
                let budget = Budget::new(Some(&limited(mib)), wishes);
                assert!(budget.with_own() <= mib << 20, "{mib}: {budget}");
                // A photograph of a telephone can be sent and decoded.
                assert!(
                    budget.pictures >= 48_000_000 && budget.large_bodies >= 16 << 20,
                    "{mib}: {budget}"
                );
            }
        }
    }

    #[test]
    fn with_much_memory_there_is_a_most() {
        let budget = Budget::new(Some(&limited(64 << 10)), WISHES);
        assert_eq!(budget.large_bodies, 256 << 20);
        assert_eq!(budget.pictures, 40_000_000 * 17);
        assert_eq!(Budget::new(None, WISHES), budget);
    }

    #[test]
    fn what_is_configured_counts() {
        let wishes = Wishes {
            bodies: 100 << 20,
            pictures: 50 << 20,
            ..WISHES
        };
        let budget = Budget::new(Some(&limited(384)), wishes);
        assert_eq!(
            (budget.large_bodies, budget.pictures),
            (100 << 20, 50 << 20)
        );
    }

    #[test]
    fn the_least_limit_of_all_groups_around_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(Usable::read(root.path()), None);
        write("proc/meminfo", "MemFree: 1 kB\nMemTotal:     1000000 kB\n");
        let all = Some(Usable {
            bytes: 1_000_000 << 10,
            limit: None,
        });
        assert_eq!(Usable::read(root.path()), all);
        write(
            "proc/self/cgroup",
            "3:cpu:/\n0::/system.slice/recocomp.service\n",
        );
        write(
            "sys/fs/cgroup/system.slice/recocomp.service/memory.max",
            "max\n",
        );
        write("sys/fs/cgroup/memory.max", "9000000000\n");
        assert_eq!(Usable::read(root.path()), all);
        for (file, bytes) in [
            ("sys/fs/cgroup/system.slice/memory.max", 700_000_000),
            (
                "sys/fs/cgroup/system.slice/recocomp.service/memory.high",
                600_000_000,
            ),
        ] {
            write(file, &format!("{bytes}\n"));
            let limit = Some(root.path().join(file));
            assert_eq!(Usable::read(root.path()), Some(Usable { bytes, limit }));
        }
        write("proc/self/cgroup", "4:memory:/a/b\n");
        write(
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "500000000\n",
        );
        assert_eq!(Usable::read(root.path()).unwrap().bytes, 500_000_000);
    }
}
