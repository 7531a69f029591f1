//! What a power cut may leave: all of it, nothing that was not synced, every single change alone lost or alone kept, and random
//! subsets with torn writes.

use std::fmt::Write;

use super::medium::{Medium, Standing};
use super::recorded::Recorded;
use super::rng::Rng;
use super::tree::Tree;

/// What becomes of one change that was not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Kept,
    /// Some sectors of it, chosen by this seed. Names are not torn: for them it means kept.
    Torn(u64),
}

/// One state that a power cut may leave.
#[derive(Clone, Debug)]
pub struct Image {
    tree: Tree,
    fates: Vec<Fate>,
}

impl Image {
    /// A file system that finds itself in this state, all of it durable.
    pub fn storage(&self) -> Recorded {
        Recorded::on(self.tree.clone())
    }
}

impl Medium {
    /// Changes that may or may not survive: names first, then contents.
    fn undecided(&self) -> usize {
        let names = self.names.iter().filter(|w| !w.survives()).count();
        let data = self.data.iter();
        names + data.filter(|w| w.standing != Standing::Survives).count()
    }

    /// The systematic images, each only once, and `random` others. Where nothing is undecided there is only one image.
    pub fn images(&self, rng: &mut Rng, random: usize) -> Vec<Image> {
        let undecided = self.undecided();
        let mut choices = vec![vec![Fate::Lost; undecided]];
        let mut add = |choice: Vec<Fate>| {
            if !choices.contains(&choice) {
                choices.push(choice);
            }
        };
        add(vec![Fate::Kept; undecided]);
        for (one, others) in [(Fate::Lost, Fate::Kept), (Fate::Kept, Fate::Lost)] {
            for i in 0..undecided {
                let mut choice = vec![others; undecided];
                choice[i] = one;
                add(choice);
            }
        }
        if undecided > 0 {
            (0..random).for_each(|_| choices.push(self.random_choice(undecided, rng)));
        }
        choices.into_iter().map(|c| self.image(c)).collect()
    }

    /// By turns the names survive as any subset, in order up to some point, and all: the last two are what file systems do, and
    /// a subset of many names hardly ever comes out like that.
    fn random_choice(&self, undecided: usize, rng: &mut Rng) -> Vec<Fate> {
        let names = self.names.iter().filter(|w| !w.survives()).count();
        let kept_in_order = match rng.below(3) {
            0 => None,
            1 => Some(rng.below(names + 1)),
            _ => Some(names),
        };
        let mut fate = |i: usize| match kept_in_order {
            Some(kept) if i < names && i < kept => Fate::Kept,
            Some(_) if i < names => Fate::Lost,
            _ => match rng.below(4) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                _ => Fate::Torn(rng.next()),
            },
        };
        (0..undecided).map(&mut fate).collect()
    }

    fn image(&self, fates: Vec<Fate>) -> Image {
        let mut tree = self.durable.clone();
        let mut next = fates.iter().copied();
        let mut fate = |survives: bool| match survives {
            true => Fate::Kept,
            false => next.next().expect("as many fates as undecided changes"),
        };
        for waiting in &self.names {
            if fate(waiting.survives()) != Fate::Lost {
                tree.change_name(&waiting.change);
            }
        }
        for waiting in &self.data {
            let torn = match fate(waiting.standing == Standing::Survives) {
                Fate::Lost => continue,
                Fate::Kept => None,
                Fate::Torn(seed) => Some(Rng::new(seed)),
            };
            tree.change_data(waiting.file, &waiting.change, torn);
        }
        Image { tree, fates }
    }

    /// What was lost and kept in an image of this medium, to be shown when a test fails.
    pub fn describe(&self, image: &Image) -> String {
        let mut text = String::new();
        let names = self.names.iter().filter(|w| !w.survives());
        let data = (self.data.iter()).filter(|w| w.standing != Standing::Survives);
        let changes = names
            .map(|w| format!("{:?}", w.change))
            .chain(data.map(|w| format!("{:?} of file {}", w.change, w.file)));
        for (change, fate) in changes.zip(&image.fates) {
            let _ = writeln!(text, "  {fate:?}: {change}");
        }
        text
    }
}
