//! People who do not exist, the same ones in every run, and a folder to keep their gallery in.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::cli::while_doing;
use crate::gallery::{Gallery, Imported, RowBits, TEMPLATE_DIMENSIONS, Template};

/// Numbers of one face, of length 1.
pub type Vector = [f32; TEMPLATE_DIMENSIONS];

/// Two features of a person have a cosine of 1 / (1 + 192 x 0.0472²) = 0.7 on average; two people's one of 0 +- 0.07.
const NOISE: f32 = 0.0472;

/// So many people with so many features each.
#[derive(Clone, Copy)]
pub struct Crowd {
    pub people: usize,
    pub features: usize,
    pub seed: u64,
}

impl Crowd {
    pub fn rows(&self) -> usize {
        self.people * self.features
    }

    /// The features of a person, before anything rounds them.
    pub fn features_of(&self, person: usize) -> impl Iterator<Item = Vector> {
        let mut random = Random::of(self.seed, person as u64);
        let center = random.center();
        (0..self.features).map(move |_| random.near(&center))
    }

    /// A feature of a person that the gallery does not have: what a camera sees of him.
    pub fn seen(&self, person: usize, time: usize) -> Vector {
        let center = Random::of(self.seed, person as u64).center();
        let mut random = Random::of(self.seed ^ 0x5eed, (person as u64) << 24 ^ time as u64);
        random.near(&center)
    }

    /// Probes of people all over the crowd, more than once each if they are few.
    pub fn probes(&self, count: usize) -> Vec<Vector> {
        let step = (self.people / count.max(1)).max(1);
        (0..count)
            .map(|i| self.seen((i * step) % self.people, i))
            .collect()
    }

    /// Puts everyone into a new collection, as templates of this space.
    pub fn import(
        &self,
        gallery: &Gallery,
        name: &str,
        template_space: &str,
    ) -> Result<(), Failure> {
        let mut rows: Vec<RowBits> = Vec::with_capacity(self.rows());
        for person in 0..self.people {
            for feature in self.features_of(person) {
                rows.push(bits(&Template::new(&feature)?));
            }
        }
        // One piece of memory instead of one for each: what is freed leaves no holes behind.
        let targets: String = (0..self.people).map(target).collect();
        let targets: Vec<&str> = (0..self.people)
            .map(|person| &targets[person * TARGET_LENGTH..(person + 1) * TARGET_LENGTH])
            .collect();
        let people: Vec<(&str, &[RowBits])> = (targets.into_iter())
            .zip(rows.chunks(self.features))
            .collect();
        let imported = Imported {
            name: name.to_owned(),
            template_space: template_space.to_owned(),
            created: 0,
            updated: 0,
        };
        Ok(gallery.import(&imported, &people)?)
    }
}

const TARGET_LENGTH: usize = 14;

/// In byte order of the numbers.
pub fn target(person: usize) -> String {
    format!("person{person:08}")
}

/// Whose target it is.
pub fn person(target: &str) -> Option<usize> {
    target.strip_prefix("person")?.parse().ok()
}

fn bits(template: &Template) -> RowBits {
    let mut bits = [0; TEMPLATE_DIMENSIONS];
    for (bits, &x) in bits.iter_mut().zip(template.as_slice()) {
        *bits = half::f16::from_f32(x).to_bits();
    }
    bits
}

/// Cosine of two vectors of length 1.
pub fn cosine(a: &Vector, b: &Vector) -> f32 {
    // So many sums side by side that it becomes vector instructions.
    let mut sums = [0.0_f32; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// A generator of numbers that never changes with a crate.
struct Random(u64);

impl Random {
    fn of(seed: u64, stream: u64) -> Random {
        let mut random = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.0 = random.next();
        random
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// About normal, around 0, with a deviation of 1: the sum of eight bytes.
    fn normal(&mut self) -> f32 {
        let sum: i32 = self.next().to_le_bytes().into_iter().map(i32::from).sum();
        (sum - 1020) as f32 / 209.0
    }

    fn center(&mut self) -> Vector {
        unit(std::array::from_fn(|_| self.normal()))
    }

    fn near(&mut self, center: &Vector) -> Vector {
        unit(std::array::from_fn(|i| center[i] + NOISE * self.normal()))
    }
}

fn unit(vector: Vector) -> Vector {
    let length = cosine(&vector, &vector).sqrt();
    vector.map(|x| x / length)
}

/// A folder that is removed when the bench ends, also by Ctrl-C.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Below `parent`, or where temporary files may be large: `/tmp` is memory on some systems.
    pub fn new(parent: Option<&Path>) -> Result<Scratch, Failure> {
        let large = Path::new("/var/tmp");
        let parent = match parent {
            Some(parent) => parent.to_owned(),
            None if large.is_dir() => large.to_owned(),
            None => std::env::temp_dir(),
        };
        let path = parent.join(format!("recocomp-bench-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).map_err(while_doing(path.display()))?;
        let scratch = Scratch(path.clone());
        std::thread::Builder::new().spawn(move || remove_when_interrupted(&path))?;
        Ok(scratch)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("recocomp: {}: {error}", self.0.display());
        }
    }
}

fn remove_when_interrupted(path: &Path) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
    else {
        return;
    };
    let wait = async {
        let mut end = signal(SignalKind::terminate())?;
        tokio::select! {
            done = tokio::signal::ctrl_c() => done,
            _ = end.recv() => Ok(()),
        }
    };
    if runtime.block_on(wait).is_ok() {
        let _ = fs::remove_dir_all(path);
        std::process::exit(130);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Crowd = Crowd {
        people: 200,
        features: 5,
        seed: 1,
    };

    #[test]
    fn features_of_a_person_are_alike_and_those_of_two_are_not() {
        let all: Vec<Vec<Vector>> = (0..200).map(|p| CROWD.features_of(p).collect()).collect();
        let mean = |pairs: Vec<f32>| pairs.iter().sum::<f32>() / pairs.len() as f32;
        let same = mean(all.iter().map(|f| cosine(&f[0], &f[3])).collect());
        let other = mean(all.windows(2).map(|p| cosine(&p[0][0], &p[1][0])).collect());
        assert!((same - 0.7).abs() < 0.02, "{same}");
        assert!(other.abs() < 0.02, "{other}");
        let seen = mean(
            (0..200)
                .map(|p| cosine(&CROWD.seen(p, 9), &all[p][0]))
                .collect(),
        );
        assert!((seen - 0.7).abs() < 0.02, "{seen}");
        assert!(all[7][2] == CROWD.features_of(7).nth(2).unwrap());
    }

    #[test]
    fn targets_are_numbers_in_byte_order() {
        assert_eq!(target(123).len(), TARGET_LENGTH);
        assert_eq!(person(&target(123)), Some(123));
        assert!(target(99) < target(100));
    }
}
