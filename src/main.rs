use std::process::ExitCode;

fn main() -> ExitCode {
    recocomp::cli::run()
}
