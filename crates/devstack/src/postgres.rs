//! A private Postgres from the installed server binaries, on the loopback only.
//!
//! Postgres refuses to run as root: then it runs as the user `postgres`, with its data outside of the working tree,
//! which that user may not be able to reach. Its data survive a restart.

use crate::server;
use anyhow::{Context as _, bail, ensure};
use nix::unistd::{Gid, Uid, User, geteuid};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Only this machine can reach it, and only with this name and word.
const USER: &str = "holdfast";
const PASSWORD: &str = "holdfast";

const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = '256MB'
wal_compression = 'lz4'
max_wal_size = '2GB'
log_min_messages = 'warning'
log_min_error_statement = 'error'
";

pub struct Postgres {
    bin: PathBuf,
    data: PathBuf,
    owner: Option<(Uid, Gid)>,
    port: u16,
    settings: &'static str,
}

impl Postgres {
    /// Starts it, with its data in a folder that belongs to `home` alone, and on the port that is wanted, if it is free.
    pub async fn start(home: &Path, wanted: u16) -> anyhow::Result<Self> {
        Self::of(home)?.start_on(wanted).await
    }

    /// The same, without what earlier runs left behind.
    pub async fn start_fresh(home: &Path, wanted: u16) -> anyhow::Result<Self> {
        Self::start_fresh_with(home, wanted, "").await
    }

    /// With further lines of `postgresql.conf`.
    pub async fn start_fresh_with(home: &Path, wanted: u16, settings: &'static str) -> anyhow::Result<Self> {
        let postgres = Self { settings, ..Self::of(home)? };
        postgres.stop_earlier().await?;
        postgres.remove().context("remove the data of an earlier run")?;
        postgres.start_on(wanted).await
    }

    /// Ends it as a crash does: nothing is rolled back or written, the next start recovers.
    pub async fn crash(&self) -> anyhow::Result<()> {
        self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]).await
    }

    /// All that it has written. It must not run.
    pub fn remove(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.data) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("remove {}", self.data.display())),
        }
    }

    /// Starts it after a [`Self::crash`].
    pub async fn recover(&self) -> anyhow::Result<()> {
        self.start_server().await
    }

    fn of(home: &Path) -> anyhow::Result<Self> {
        let owner = owner()?;
        let data = match owner {
            None => home.join("postgres"),
            Some(_) => outside(home)?,
        };
        Ok(Self { bin: bin()?, data, owner, port: 0, settings: "" })
    }

    async fn start_on(mut self, wanted: u16) -> anyhow::Result<Self> {
        if !self.data.join("PG_VERSION").exists() {
            self.init().await.context("create the database cluster")?;
        }
        self.stop_earlier().await?;
        loop {
            self.port = server::free_port(wanted).await?;
            match self.start_server().await {
                Ok(()) => return Ok(self),
                // Somebody has taken it in between, and not itself: it may still be recovering.
                Err(_) if !self.is_running().await && server::free_port(self.port).await? != self.port => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_server(&self) -> anyhow::Result<()> {
        let settings = format!("port = {}\n{}", self.port, self.settings);
        fs::write(self.data.join("port.conf"), settings).context("write the settings of this run")?;
        let log = self.data.join("postgres.log");
        self.run("pg_ctl", &["-w", "-t", "60", "-l", &log.to_string_lossy(), "start"])
            .await
            .with_context(|| format!("start postgres (its log: {})", log.display()))
    }

    /// Left over from a devstack that was killed.
    async fn stop_earlier(&self) -> anyhow::Result<()> {
        match self.is_running().await {
            true => self.stop().await.context("stop the postgres of an earlier run"),
            false => Ok(()),
        }
    }

    /// Where it listens. `database` exists or is `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Lets transactions under way roll back, writes everything down, then ends. A checkpoint that is under way ends first.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.run("pg_ctl", &["-w", "-t", "300", "-m", "fast", "stop"]).await
    }

    async fn is_running(&self) -> bool {
        self.run("pg_ctl", &["status"]).await.is_ok()
    }

    async fn init(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.data).context("create its folder")?;
        let word = self.data.with_extension("password");
        fs::write(&word, PASSWORD).context("write the password file")?;
        if let Some((uid, gid)) = self.owner {
            chown(&self.data, Some(uid.as_raw()), Some(gid.as_raw())).context("hand over its folder")?;
            chown(&word, Some(uid.as_raw()), Some(gid.as_raw())).context("hand over the password file")?;
        }
        let word_path = word.to_string_lossy().into_owned();
        let arguments = ["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"];
        let created = self.run("initdb", &[&arguments[..], &["--pwfile", &word_path]].concat()).await;
        fs::remove_file(&word).context("remove the password file")?;
        created?;
        let config = self.data.join("postgresql.conf");
        let defaults = fs::read_to_string(&config).context("read postgresql.conf")?;
        fs::write(&config, format!("{defaults}\n{SETTINGS}include_if_exists = 'port.conf'\n")).context("configure it")
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.bin.join(program));
        command.arg("-D").arg(&self.data).args(arguments).current_dir("/");
        if let Some((uid, gid)) = self.owner {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        // pg_ctl hands its own output to the server it starts: read through a pipe, that would never end.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let status = command.status().await.with_context(|| format!("run {program}"))?;
        ensure!(status.success(), "{program} failed with {status}");
        Ok(())
    }
}

/// Who must own it, if we are root.
fn owner() -> anyhow::Result<Option<(Uid, Gid)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres").context("look for the user postgres")?;
    let user = user.context("postgres refuses to run as root, and there is no user `postgres`")?;
    Ok(Some((user.uid, user.gid)))
}

/// A folder that another user can reach, the same one for the same `home`, noted there for `make clean`.
fn outside(home: &Path) -> anyhow::Result<PathBuf> {
    let name = home.to_string_lossy().replace('/', "-");
    let folder = PathBuf::from(format!("/var/tmp/holdfast{name}"));
    fs::create_dir_all(&folder).context("create the folder of the database")?;
    fs::write(home.join("postgres.path"), folder.to_string_lossy().as_bytes()).context("note the folder")?;
    Ok(folder.join("data"))
}

/// The newest server binaries where Debian puts them, else what is on the path.
fn bin() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    versions.sort();
    if let Some((_, bin)) = versions.pop() {
        return Ok(bin);
    }
    #[expect(clippy::disallowed_methods, reason = "where programs are is no configuration of ours")]
    let path = std::env::var("PATH").unwrap_or_default();
    match std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()) {
        Some(bin) => Ok(bin),
        None => bail!("no postgres server binaries: install the package `postgresql`"),
    }
}
