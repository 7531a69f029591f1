//! `recocomp version`

use super::Failure;
use crate::config::Config;
use crate::door::board::Board;
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
    // Whoever asks what is installed must see that a simulated door moves nothing. A wrong configuration is `check`'s business.
    if let Ok(config) = Config::load(None)
        && config.door.enabled
        && let Ok(board) = Board::load(&config.door.board)
    {
        println!("{:<10} {board}", "door");
    }
    Ok(())
}
