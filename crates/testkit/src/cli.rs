//! The real `holdfast`, as clients and operators run it.

use crate::Stack;
use holdfast_devstack::binaries;
use serde_json::Value;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What a run of it came to.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Each line of what it printed.
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// All that it printed.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Stack {
    /// A client of the API has its address and a key, and nothing else.
    pub fn client_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env_remove("DATABASE_URL");
        command.env("HOLDFAST_URL", &self.api_url).env("HOLDFAST_API_KEY", &self.api_key);
        command
    }

    /// An operator has the configuration of the binaries.
    pub fn operator_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.envs(&self.environment);
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::path("holdfast").expect("it is built"));
        command.args(arguments).current_dir(&self.logs).kill_on_drop(true);
        command
    }

    pub async fn as_client(&self, arguments: &[&str], input: &str) -> Ran {
        run(self.client_command(arguments), input.to_owned()).await
    }

    pub async fn as_operator(&self, arguments: &[&str]) -> Ran {
        run(self.operator_command(arguments), String::new()).await
    }
}

/// Runs it to its end, with this as its standard input.
pub async fn run(mut command: Command, input: String) -> Ran {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("start it");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Who needs no input may have ended before it has read it.
    drop(stdin.write_all(input.as_bytes()).await);
    drop(stdin);
    let output = child.wait_with_output().await.expect("wait for it");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { status: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}
