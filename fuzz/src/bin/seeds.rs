//! seeds FOLDER: writes the inputs that each target begins with to FOLDER/TARGET.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use recocomp_fuzz::{container, generation, journal, pictures, salt};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("seeds FOLDER")?);
    let targets = [
        ("generation", generation::seeds()),
        ("journal", journal::seeds()),
        ("container", container::seeds()),
        ("salt", salt::seeds()),
        ("jpeg", pictures::seeds()),
    ];
    for (target, seeds) in targets {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
