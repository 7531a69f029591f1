//! `recocomp-license`: the vendor's tool. It makes keys and licenses and belongs on the vendor's own machine; no package for a
//! terminal has it, and a build without the feature `vendor-tool` does not make it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use recocomp::license::date::{self, DAY, Seconds};
use recocomp::license::file::{self, MAX_BYTES, tidy, verify, verify_or_explain};
use recocomp::license::keys::{TrustedKey, trusted_keys};
use recocomp::license::{Limits, Terms, from_hex, hex, request};
use recocomp::text_file::{TextFileError, decode};
use zeroize::Zeroizing;

type Failure = Box<dyn std::error::Error>;

const KEY_LINE: &str = "recocomp license key 1";

/// Make and look at licenses of recocomp
#[derive(Parser)]
#[command(name = "recocomp-license", version = recocomp::VERSION, max_term_width = 100)]
enum Verb {
    Keygen(Keygen),
    Issue(Box<Issue>),
    Inspect(Inspect),
}

/// Make a pair of keys
///
/// The file has the secret key and is readable by its owner alone: who has it can license every device. The public key is printed;
/// releases are built with it in RECOCOMP_VENDOR_KEYS.
#[derive(Args)]
struct Keygen {
    /// File to be made
    file: PathBuf,
}

/// Make a license for one device
#[derive(Args)]
struct Issue {
    /// File that keygen made
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    device: Device,
    /// Who the license is for [default: the request's]
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// Last moment: a date (2027-01-31: the beginning of that day, UTC), a time (2027-01-31T12:00:00Z), a number of days from the
    /// date of issue (365d), or never
    #[arg(long, value_name = "WHEN")]
    expires: String,
    /// Days that it goes on working afterwards
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    grace_days: u64,
    /// Most collections [default: no limit]
    #[arg(long, value_name = "NUMBER")]
    collections: Option<u64>,
    /// Most people, in all collections together [default: no limit]
    #[arg(long, value_name = "NUMBER")]
    people: Option<u64>,
    /// Optional part of the product; may be repeated
    #[arg(long = "feature", value_name = "NAME")]
    features: Vec<String>,
    /// Declare the device's record of the time void, because its clock was wrong once: for one that answers ClockRollback or
    /// expired too early
    #[arg(long)]
    clock_reset: bool,
    /// Date of issue, as for --expires [default: now]
    #[arg(long, value_name = "WHEN")]
    issued: Option<String>,
    /// The license's own number [default: made up]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// File to be made in place of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Device {
    /// What `recocomp license request` printed on the device; - for standard input
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The fingerprint that `recocomp device-id` shows, or the contents of its QR code
    #[arg(long, value_name = "ID")]
    device: Option<String>,
}

/// Show a license file, and whose signature it has
///
/// Exit code: 0 if the signature is of one of the keys, 1 if not. Whether it is for the right device and not expired is not judged.
#[derive(Args)]
struct Inspect {
    /// License file; - for standard input
    file: PathBuf,
    /// Public key to check against, or a file that keygen made; may be repeated [default: the keys that this build trusts]
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Keygen(arguments) => keygen(&arguments),
        Verb::Issue(arguments) => issue(*arguments),
        Verb::Inspect(arguments) => inspect(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("recocomp-license: {e}");
            ExitCode::FAILURE
        }
    }
}

fn keygen(arguments: &Keygen) -> Result<(), Failure> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret)?;
    let public = hex(SigningKey::from_bytes(&secret).verifying_key().as_bytes());
    let text = Zeroizing::new(hex(&*secret));
    let text = Zeroizing::new(format!("{KEY_LINE}\nsecret: {}\npublic: {public}\n", *text));
    write_new(&arguments.file, text.as_bytes(), 0o600)?;
    println!("{public}");
    Ok(())
}

fn issue(arguments: Issue) -> Result<(), Failure> {
    let key = read_key(&arguments.key)?;
    let (device, asked_by) = match (&arguments.device.device, &arguments.device.request) {
        (Some(device), _) => (
            request::parse_device(device).ok_or("--device is 64 hexadecimal digits")?,
            None,
        ),
        (None, Some(path)) => {
            let bytes = read(path)?;
            let request = match decode(&bytes) {
                // A mail program may have changed the letters of the customer's name, which is not what counts.
                Err(TextFileError::NotUtf8(_)) => request::parse(&String::from_utf8_lossy(&bytes))?,
                text => request::parse(text.map_err(|e| format!("{}: {e}", path.display()))?)?,
            };
            (request.device, request.customer)
        }
        (None, None) => return Err("--device or --request is missing".into()),
    };
    let now = u64::try_from(Timestamp::now().as_second())?;
    let issued = match arguments.issued.as_deref() {
        None => now,
        Some(text) => when(text, now)?.ok_or("--issued is no date")?,
    };
    let terms = Terms {
        id: arguments
            .id
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        device,
        customer: arguments
            .customer
            .or(asked_by)
            .ok_or("--customer is missing, and the request does not name one")?,
        issued,
        expires: when(&arguments.expires, issued)?,
        grace_days: arguments.grace_days,
        limits: Limits {
            collections: arguments.collections,
            people: arguments.people,
        },
        features: arguments.features,
        clock_reset: arguments.clock_reset,
    };
    let license = file::issue(&terms, &key)?;
    match &arguments.output {
        None => print!("{license}"),
        Some(path) => write_new(path, license.as_bytes(), 0o644)?,
    }
    Ok(())
}

fn inspect(arguments: &Inspect) -> Result<(), Failure> {
    let mut keys = Vec::new();
    for key in &arguments.key {
        let bytes = match from_hex(key) {
            Some(bytes) => bytes,
            None => read_key(Path::new(key))?.verifying_key().to_bytes(),
        };
        let name = "a key of the command line";
        keys.push(TrustedKey { name, bytes });
    }
    if keys.is_empty() {
        keys = trusted_keys();
    }
    if keys.is_empty() {
        return Err("this build trusts no key: give one with --key".into());
    }
    let file = read(&arguments.file)?;
    let checked = verify(&file, &keys).or_else(|e| match verify(&tidy(&file), &keys) {
        Ok(signed) => {
            eprintln!(
                "note: its line breaks were changed; `recocomp license install` puts them right"
            );
            Ok(signed)
        }
        Err(_) => Err(verify_or_explain(&file, &keys).err().unwrap_or(e)),
    });
    let (terms, key) = checked?;
    print!("{}", terms.render());
    println!("signed by: {} ({})", hex(&key.bytes), key.name);
    Ok(())
}

/// A moment, or `None` for never. `from` is what a number of days counts from.
fn when(text: &str, from: Seconds) -> Result<Option<Seconds>, Failure> {
    if text == "never" {
        return Ok(None);
    }
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    let moment = match days {
        Some(days) => Some(from + u64::from(days) * DAY),
        None => date::read(text).or_else(|| date::read(&format!("{text}T00:00:00Z"))),
    };
    match moment {
        Some(moment) => Ok(Some(moment)),
        None => Err(format!(
            "{text:?} is no date: write 2027-01-31, 2027-01-31T12:00:00Z, 365d or never"
        )
        .into()),
    }
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let wrong = |what: &str| -> Failure { format!("{}: {what}", path.display()).into() };
    let text = Zeroizing::new(read(path)?);
    let text = decode(&text).map_err(|e| wrong(&e.to_string()))?;
    let mut lines = text.lines();
    if lines.next() != Some(KEY_LINE) {
        return Err(wrong("this is no key file"));
    }
    let mut field = |name: &str| {
        let digits = lines.next()?.strip_prefix(name)?;
        from_hex::<32>(digits).map(Zeroizing::new)
    };
    let (secret, public) = (field("secret: "), field("public: "));
    let (Some(secret), Some(public)) = (secret, public) else {
        return Err(wrong("the key file is damaged"));
    };
    let key = SigningKey::from_bytes(&secret);
    if key.verifying_key().as_bytes() != &*public {
        return Err(wrong(
            "the key file is damaged: its two keys do not belong together",
        ));
    }
    // The development key lies in a repository, open to everyone as it is meant to be.
    let development = *public == recocomp::license::keys::DEVELOPMENT_KEY;
    let open = path.exists() && fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if open && !development {
        return Err(wrong("other users can read the secret key: chmod 600"));
    }
    Ok(key)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => {
            let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
            Box::new(file)
        }
    };
    let mut bytes = Vec::new();
    input.take(4 * MAX_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Never over an existing file.
fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(|e| format!("{}: {e}", path.display()).into())
}
