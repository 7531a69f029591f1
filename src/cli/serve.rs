//! `recocomp serve`

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use clap::Args;
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::{Failure, serve_audit, while_doing};
use crate::config::Config;
use crate::door::Door;
use crate::engine::{Access, Engine, EngineOptions};
use crate::license::License;
use crate::shown::Shown;
use crate::telemetry::service::{self, Watchdog};
use crate::{http, inference, regular_file, telemetry};

/// Bound within which removed faces are gone from the disk.
const ERASURE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a daemon whose engine does not start looks after the exit button before it ends and is started anew.
const BUTTON_ONLY: Duration = Duration::from_secs(60);

/// Longer than the gallery takes to stop what it does in the background.
const GALLERY_STOPS: Duration = Duration::from_secs(30);

/// Serve the HTTP API until SIGTERM or Ctrl-C
///
/// As a service of systemd it takes the socket that it is given in place of the configuration's address, tells when it is ready, and
/// feeds the watchdog as long as it works.
#[derive(Args)]
pub struct Arguments {
    /// Address and port to listen on, in place of the configuration's; localhost and the device's own name are understood
    #[arg(long, value_name = "ADDR:PORT", value_parser = http::listen_address)]
    listen: Option<SocketAddr>,
    /// Folder of everything the daemon keeps, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file [default: /etc/recocomp/recocomp.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// License this device with the development key (development builds only)
    #[arg(long)]
    development: bool,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    telemetry::start();
    telemetry::log_panics();
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(listen) = arguments.listen {
        config.server.listen = listen;
    }
    if let Some(data) = arguments.data {
        config.storage.data = data;
    }
    // The exit button comes before everything that may fail or take time.
    let door = OpenDoor(match config.door.enabled {
        true => Some(Arc::new(Door::start(&config.door, &config.storage.data)?)),
        false => {
            Door::forget(&config.storage.data);
            None
        }
    });
    inference::bound_allocator();
    let license = license(arguments.development, &config.storage.data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // It only moves bytes; recognition has threads of its own.
        .worker_threads(2)
        // For the disk. What exceeds it waits; a thread for each request would cost memory.
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(while_doing("cannot start the runtime"))?;
    match runtime.block_on(serve(&config, license, &door))? {
        Ended::Served => Ok(ExitCode::SUCCESS),
        Ended::WhileStarting => {
            drop(door);
            leave()
        }
    }
}

/// How serving came to its end without an error.
enum Ended {
    Served,
    /// Told to stop while another thread still opens the gallery or prepares the networks.
    WhileStarting,
}

/// Ends the process at once, without running what libraries do at its end: another thread is in the middle of using them. To the
/// files it is as a kill, which an opening gallery withstands.
fn leave() -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(0) }
}

async fn serve(config: &Config, license: License, door: &OpenDoor) -> Result<Ended, Failure> {
    // Before anything slow, so that a SIGTERM during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut stop = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "interrupted",
        }
    };
    let prepared = tokio::select! {
        prepared = prepare(config, license, door) => prepared,
        signal = stop() => {
            tracing::info!("{signal} during the start: stopped");
            return Ok(Ended::WhileStarting);
        }
    };
    let (listener, engine) = match prepared {
        Ok(prepared) => prepared,
        Err(e) if door.0.is_some() => {
            tracing::error!("{e}; until the next attempt the exit button goes on working");
            tokio::select! {
                _ = stop() => {}
                () = tokio::time::sleep(BUTTON_ONLY) => {}
            }
            return Err(e);
        }
        Err(e) => return Err(e),
    };
    let address = listener.local_addr()?;
    let engine = Arc::new(engine);
    for warning in engine.gallery_warnings() {
        tracing::warn!("gallery: {warning}");
    }
    if config.threads() < config.recognition.threads {
        tracing::warn!(
            "recognition.threads is {}, taken as {}: more than the cores that {} workers leave",
            config.recognition.threads,
            config.threads(),
            config.workers()
        );
    }
    tracing::info!(
        version = crate::VERSION,
        data = %config.storage.data.shown(),
        workers = config.workers(),
        fusion = ?config.recognition.fusion,
        license = %engine.license().state(),
        door = door.0.as_ref().map(|door| door.board().to_string()),
        "ready: {}", engine.license().detail()
    );
    if let Some(exposure) = config.door.exposure() {
        tracing::warn!("door: {}; {}", exposure.found, exposure.advice);
    }
    tracing::info!("memory: {}", config.budget());
    serve_audit::start(config);
    let (eraser, of_trimming) = (engine.clone(), config.clone());
    tokio::spawn(async move {
        let mut daily = tokio::time::interval(ERASURE_INTERVAL);
        loop {
            daily.tick().await;
            eraser.erase_removed().await;
            let config = of_trimming.clone();
            // Nobody waits for it.
            let _ = tokio::task::spawn_blocking(move || serve_audit::trim(&config)).await;
        }
    });
    let address_file = AddressFile::write(&config.storage.data, address);
    announce(address);
    service::ready(&status(address, &engine));
    let watchdog = watch(address, engine.clone(), door.0.clone())?;
    let told = Arc::new(Notify::new());
    let shutdown = {
        let told = told.clone();
        async move { told.notified().await }
    };
    let signals = async {
        // Never inside the macro: with a filter that leaves the line out, it would not wait.
        let signal = stop().await;
        tracing::info!("{signal}: running requests may end");
        service::stopping(Duration::from_secs(config.server.drain_timeout_s) + GALLERY_STOPS);
        told.notify_one();
        let signal = stop().await;
        tracing::warn!("{signal} again: running requests are cut off");
    };
    let served = async {
        http::run(listener, engine.clone(), config.server_options(), shutdown).await?;
        engine.finish_erasures().await;
        Ok::<(), Failure>(())
    };
    tokio::select! {
        served = served => served?,
        () = signals => {}
    }
    drop((watchdog, address_file));
    tracing::info!("stopped");
    Ok(Ended::Served)
}

/// Everything that an exit button can do without.
async fn prepare(
    config: &Config,
    license: License,
    door: &OpenDoor,
) -> Result<(TcpListener, Engine), Failure> {
    let listener = listen(config.server.listen).await?;
    service::starting("opening the gallery, preparing the networks");
    let access = match &door.0 {
        Some(door) => Some(Access::new(
            &config.door,
            door.clone(),
            &config.storage.data,
        )?),
        None => None,
    };
    let mut engine = started(config.engine_options(), license).await?;
    if let Some(access) = access {
        engine.attach_door(access);
    }
    Ok((listener, engine))
}

/// [`Engine::start`], on a thread of its own: it may take minutes, and a signal is obeyed meanwhile.
async fn started(options: EngineOptions, license: License) -> Result<Engine, Failure> {
    let (done, starting) = tokio::sync::oneshot::channel();
    let start = move || done.send(Engine::start(options, license)).is_ok();
    std::thread::Builder::new()
        .name("start".into())
        .spawn(start)
        .map_err(while_doing("cannot start a thread"))?;
    let engine = starting.await.map_err(|_| "the start has panicked")?;
    Ok(engine?)
}

/// The door, released at the end whoever else still refers to it.
struct OpenDoor(Option<Arc<Door>>);

impl Drop for OpenDoor {
    fn drop(&mut self) {
        if let Some(door) = &self.0 {
            door.stop();
        }
    }
}

/// The socket that the service manager holds ready, or one of our own.
async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let mut given = ListenFd::from_env();
    match given.len() {
        0 => TcpListener::bind(address)
            .await
            .map_err(while_doing(format!("cannot listen on {address}"))),
        1 => {
            let wrong = || while_doing("the socket of the service manager cannot be used");
            let listener = (given.take_tcp_listener(0).map_err(wrong())?)
                .ok_or("the service manager's socket is gone")?;
            listener.set_nonblocking(true).map_err(wrong())?;
            TcpListener::from_std(listener).map_err(wrong())
        }
        several => Err(format!(
            "the service manager holds {several} sockets ready, one is expected: a single ListenStream= in recocomp.socket"
        )
        .into()),
    }
}

/// How things are, for `systemctl status`.
fn status(address: SocketAddr, engine: &Engine) -> String {
    let metrics = engine.metrics();
    let mut said = (engine.door_health()).map_or(Vec::new(), |door| door.ailments());
    let exposure = engine.access().and_then(Access::exposure);
    said.extend(exposure.map(|exposure| exposure.short.to_owned()));
    let door = (!said.is_empty()).then(|| said.join(", "));
    format!(
        "serving {} people in {} collections on {address}, license {}{}",
        metrics.people(),
        metrics.collections(),
        engine.license().state(),
        (door.map(|said| format!("; door: {said}"))).unwrap_or_default()
    )
}

/// Feeds the service manager's watchdog as long as the runtime turns, the engine answers and the door's thread lives. Pins that cannot be
/// used do not count: with a new start there would be no API either.
fn watch(
    address: SocketAddr,
    engine: Arc<Engine>,
    door: Option<Arc<Door>>,
) -> Result<Watchdog, Failure> {
    let runtime = Handle::current();
    let probe = move |limit: Duration| {
        let (answer, answered) = mpsc::channel();
        runtime.spawn(async move { answer.send(()) });
        (answered.recv_timeout(limit / 2)).map_err(|_| "no request would be taken")?;
        if door.as_ref().is_some_and(|door| !door.is_alive()) {
            return Err("the door's thread stands still".into());
        }
        engine.probe(limit).map_err(|ailment| ailment.to_string())?;
        Ok(status(address, &engine))
    };
    Watchdog::start(probe).map_err(while_doing("cannot start the watchdog's thread"))
}

/// Where the daemon on a data folder listens, for the other verbs; removed when it stops. After a
/// crash it is stale, so it counts only while the gallery is locked.
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    const NAME: &str = "daemon.address";

    fn write(data: &Path, mut address: SocketAddr) -> AddressFile {
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let path = data.join(Self::NAME);
        // Not worth refusing to serve for: a disk may be full.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let written = regular_file::open_own(&mut options, &path)
            .and_then(|mut file| file.write_all(address.to_string().as_bytes()));
        if let Err(e) = written {
            tracing::warn!("cannot write {}: {e}", path.shown());
        }
        AddressFile(path)
    }

    /// The address that the daemon on `data` left.
    pub(super) fn read(data: &Path) -> Option<SocketAddr> {
        let text = regular_file::read_to_string(&data.join(Self::NAME)).ok()?;
        text.parse().ok()
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Tells on stdout where the daemon is. Nobody may be reading it.
fn announce(address: SocketAddr) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "listening on http://{address}");
    let _ = writeln!(
        out,
        "try: curl -s http://{address}{prefix}/collection/status -d '{{\"collection_name\": []}}'",
        prefix = http::PREFIX
    );
    let _ = out.flush();
}

#[cfg(feature = "development-key")]
fn license(development: bool, data: &Path) -> Result<License, Failure> {
    Ok(match development {
        true => License::development(),
        false => License::watch(data),
    })
}

#[cfg(not(feature = "development-key"))]
fn license(development: bool, data: &Path) -> Result<License, Failure> {
    match development {
        true => Err("--development is for development builds, this is a release".into()),
        false => Ok(License::watch(data)),
    }
}
