//! The real binaries of a stack, kept running.

use crate::{binaries, say};
use anyhow::Context as _;
use holdfast_queue::backoff;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// How long one may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Children {
    home: PathBuf,
    running: Vec<Running>,
}

struct Running {
    binary: &'static str,
    /// Of its log, and what is said of it.
    name: &'static str,
    environment: BTreeMap<String, String>,
    child: Child,
}

impl Children {
    pub(crate) fn new(home: &Path) -> Self {
        Self { home: home.to_owned(), running: Vec::new() }
    }

    pub(crate) fn start(
        &mut self,
        binary: &'static str,
        name: &'static str,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let child = binaries::start(binary, environment, &self.log(name))?;
        self.running.push(Running { binary, name, environment: environment.clone(), child });
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        self.home.join(format!("{name}.log"))
    }

    /// Starts again what has died, so that killing one shows what the others make of it.
    pub(crate) async fn keep_running(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            for at in 0..self.running.len() {
                let Running { binary, name, .. } = self.running[at];
                if let Some(status) = self.running[at].child.try_wait().context("look after a child")? {
                    say(format_args!("{name} ended ({status}), starting it again"));
                    let log = self.log(name);
                    self.running[at].child = binaries::start(binary, &self.running[at].environment, &log)?;
                }
            }
            stop.run_until_cancelled(backoff::sleep(Duration::from_millis(500))).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for running in &mut self.running {
            binaries::stop(&mut running.child, PATIENCE).await?;
        }
        Ok(())
    }
}
