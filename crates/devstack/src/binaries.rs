//! The real binaries as child processes.

use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Where cargo put the binaries: beside this program, or one folder up if this is a test.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("find this program")?;
    let beside = this.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    match beside.into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{name} is not beside {}: build the workspace first", this.display()),
    }
}

/// Starts a binary with its output appended to `log`. It is killed when the handle is dropped.
pub fn start(name: &str, environment: &BTreeMap<String, String>, log: &Path) -> anyhow::Result<Child> {
    let file =
        File::options().create(true).append(true).open(log).with_context(|| format!("open {}", log.display()))?;
    Command::new(path(name)?)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("share the log")?)
        .stderr(file)
        // A Ctrl-C in the terminal is for us alone: we end the children in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {name}"))
}

/// Asks a child to end, waits for it, and kills it after that. Answers whether it ended by itself.
pub async fn stop(child: &mut Child, patience: Duration) -> anyhow::Result<bool> {
    if let Some(pid) = child.id() {
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).context("send SIGTERM")?;
    }
    match tokio::time::timeout(patience, child.wait()).await {
        Ok(ended) => ended.map(|_status| true).context("wait for a child"),
        Err(_elapsed) => child.kill().await.map(|()| false).context("kill a child"),
    }
}

/// Runs `holdfast` and answers what it prints.
pub async fn cli(environment: &BTreeMap<String, String>, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(path("holdfast")?).envs(environment).args(arguments).output().await;
    let output = output.context("run holdfast")?;
    let arguments = arguments.join(" ");
    ensure!(output.status.success(), "holdfast {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
