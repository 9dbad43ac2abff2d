//! A private Redis from the installed server binary, on the loopback only. What it has answered for survives its death:
//! every write is in its file before the answer.

use anyhow::{Context as _, bail, ensure};
use holdfast_queue::backoff;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long it may take to read its file, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Debian calls the same program in the package that starts no server. It goes by the name that it is called with.
const UNDER_ANOTHER_NAME: &str = "redis-check-rdb";

pub struct Redis {
    data: PathBuf,
    port: u16,
    child: Child,
}

impl Redis {
    /// Starts it, with its data in a folder that belongs to `home` alone.
    pub async fn start(home: &Path, port: u16) -> anyhow::Result<Self> {
        let data = home.join("redis");
        fs::create_dir_all(&data).context("create its folder")?;
        end_leftover(&data).await.context("end the redis of an earlier run")?;
        let mut redis = Self { child: spawn(&data, port)?, data, port };
        redis.await_ready().await?;
        Ok(redis)
    }

    /// The same, without what earlier runs left behind.
    pub async fn start_fresh(home: &Path, port: u16) -> anyhow::Result<Self> {
        let data = home.join("redis");
        if data.exists() {
            end_leftover(&data).await.context("end the redis of an earlier run")?;
            fs::remove_dir_all(&data).context("remove the data of an earlier run")?;
        }
        Self::start(home, port).await
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it as a crash does.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill redis")
    }

    /// Starts it after a [`Self::crash`], where it was, with what it had.
    pub async fn recover(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.data, self.port)?;
        self.await_ready().await
    }

    pub async fn stop(&mut self) -> anyhow::Result<()> {
        crate::binaries::stop(&mut self.child, PATIENCE).await.map(drop)
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().context("look after redis")? {
                bail!("redis ended ({status}), its log: {}", self.data.join("redis.log").display());
            }
            if is_ready(self.port).await {
                return Ok(());
            }
            backoff::sleep(Duration::from_millis(20)).await;
        }
        bail!("redis was not ready in time")
    }
}

fn spawn(data: &Path, port: u16) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(data.join("redis.log")).context("open its log")?;
    let mut command = Command::new(program()?);
    command.arg0("redis-server").args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.arg("--dir").arg(data).arg("--pidfile").arg(data.join("redis.pid"));
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().context("share the log")?).stderr(log);
    // A Ctrl-C in the terminal is for us alone.
    command.process_group(0).kill_on_drop(true).spawn().context("start redis")
}

/// Answers to a PING, and not that it is still reading its file.
async fn is_ready(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let asked = tokio::time::timeout(Duration::from_secs(1), ask).await;
    matches!(asked, Ok(Ok(answer)) if &answer == b"+PONG")
}

/// Of a stack that was killed: two servers must not write one file.
async fn end_leftover(data: &Path) -> anyhow::Result<()> {
    let noted = fs::read_to_string(data.join("redis.pid")).unwrap_or_default();
    let Ok(pid) = noted.trim().parse::<i32>() else { return Ok(()) };
    let started = Instant::now();
    while is_redis(pid) {
        ensure!(started.elapsed() < PATIENCE, "process {pid} does not end");
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        backoff::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The number may be another process's by now.
fn is_redis(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"redis-server"))
}

#[expect(clippy::disallowed_methods, reason = "where programs are is no configuration of ours")]
fn program() -> anyhow::Result<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(["/usr/bin".into()]).collect();
    let names = ["redis-server", UNDER_ANOTHER_NAME];
    let mut found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    match found.find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("no redis server: install the package `redis-tools` or `redis-server`"),
    }
}
