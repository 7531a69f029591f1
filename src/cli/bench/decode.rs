//! `recocomp bench decode`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::Picture;

/// Decode pictures as the daemon does: size and time of each, or why it is refused
#[derive(Args)]
pub struct Arguments {
    /// Pictures
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,
    /// Put the pixels there, upright, as NAME.ppm
    #[arg(long, value_name = "FOLDER")]
    pixels: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let rows = parallel::map(
        "pictures",
        &arguments.images,
        || Ok(()),
        |(), path: &PathBuf| {
            let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
            let start = Instant::now();
            let decoded = Picture::decode(&bytes, &setup.options.limits);
            let ms = start.elapsed().as_secs_f64() * 1e3;
            Ok(match decoded {
                Ok(picture) => {
                    if let Some(folder) = &arguments.pixels {
                        write(folder, path, &picture)?;
                    }
                    json!({"image": path, "width": picture.width, "height": picture.height, "ms": ms})
                }
                Err(refusal) => json!({"image": path, "refused": refusal.to_string(), "ms": ms}),
            })
        },
    )?;
    if arguments.common.json {
        println!("{}", json!({"images": rows}));
        return Ok(());
    }
    for row in &rows {
        let image = row["image"].as_str().unwrap_or_default();
        match row["refused"].as_str() {
            Some(reason) => println!("{image}: {reason}"),
            None => println!(
                "{image}: {}x{}, {:.1} ms",
                row["width"],
                row["height"],
                row["ms"].as_f64().unwrap_or(0.0)
            ),
        }
    }
    Ok(())
}

fn write(folder: &Path, image: &Path, picture: &Picture) -> Result<(), Failure> {
    let name = image.file_stem().unwrap_or_default();
    let path = folder.join(name).with_extension("ppm");
    let header = format!("P6\n{} {}\n255\n", picture.width, picture.height);
    std::fs::File::create(&path)
        .and_then(|mut file| {
            file.write_all(header.as_bytes())?;
            file.write_all(&picture.rgb)
        })
        .map_err(while_doing(path.display()))?;
    Ok(())
}
