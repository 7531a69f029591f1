//! `recocomp version`

use super::Failure;
use crate::inference::{ModelPaths, ModelSet};

pub fn run() -> Result<(), Failure> {
    println!("recocomp {}", crate::VERSION);
    let models = ModelSet::load(&ModelPaths::default())?;
    for model in [
        &models.detector,
        &models.landmarks,
        &models.embedder,
        &models.liveness,
    ] {
        let entry = &model.entry;
        println!(
            "{:<10} {} {}",
            entry.role.to_string(),
            entry.id,
            entry.sha256
        );
    }
    Ok(())
}
