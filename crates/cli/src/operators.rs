//! `holdfast operators`.

use crate::exit;
use crate::output::{Format, Table, say};
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use holdfast_app::{App, operators};
use serde_json::json;
use std::io::{IsTerminal as _, Read as _};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lets somebody into the console. Prints the generated password once, unless there is one on stdin.
    Create {
        login: String,
        #[command(flatten)]
        password: Given,
    },
    /// Gives an operator another password, and signs them out everywhere.
    Password {
        login: String,
        #[command(flatten)]
        password: Given,
    },
    /// Signs an operator out everywhere, and lets them in no more.
    Disable { login: String },
    /// Takes that back.
    Enable { login: String },
    /// Lists operators, and whether they are signed in.
    List,
}

#[derive(Args)]
pub(crate) struct Given {
    /// Reads the password from stdin, its first line.
    #[arg(long)]
    password_stdin: bool,
}

impl Given {
    /// The password, and whether its owner has yet to learn it.
    fn take(&self) -> anyhow::Result<(String, bool)> {
        if !self.password_stdin {
            return Ok((operators::generate_password()?, true));
        }
        let mut input = std::io::stdin();
        ensure!(!input.is_terminal(), "what is typed here would be seen: pipe the password in");
        let mut text = String::new();
        input.read_to_string(&mut text).context("read the password")?;
        Ok((text.lines().next().unwrap_or_default().to_owned(), false))
    }
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create { login, password } => {
            let (password, is_new) = password.take()?;
            ensure!(operators::create(app, &login, &password).await?, "there is an operator {login} already");
            show(&login, is_new.then_some(password))
        }
        Command::Password { login, password } => {
            let (password, is_new) = password.take()?;
            if !operators::set_password(app, &login, &password).await? {
                return Err(nobody(&login));
            }
            show(&login, is_new.then_some(password))
        }
        Command::Disable { login } => set_disabled(app, format, &login, true).await,
        Command::Enable { login } => set_disabled(app, format, &login, false).await,
        Command::List => list(app, format).await,
    }
}

/// Prints JSON in any case: whoever made it has to hand it on.
fn show(login: &str, password: Option<String>) -> anyhow::Result<()> {
    let shown = match password {
        Some(password) => json!({ "login": login, "password": password }),
        None => json!({ "login": login }),
    };
    say(serde_json::to_string_pretty(&shown)?);
    Ok(())
}

fn nobody(login: &str) -> anyhow::Error {
    exit::not_found(format!("there is no operator {login}"))
}

const fn state(disabled: bool) -> &'static str {
    if disabled { "disabled" } else { "active" }
}

async fn set_disabled(app: &App, format: Format, login: &str, disabled: bool) -> anyhow::Result<()> {
    if !operators::set_disabled(&app.pool, login, disabled).await.context("change the operator")? {
        return Err(nobody(login));
    }
    let state = state(disabled);
    format.each(format_args!("{login} is {state}"), &json!({ "login": login, "state": state }));
    Ok(())
}

async fn list(app: &App, format: Format) -> anyhow::Result<()> {
    let mut table = Table::new(&["login", "state", "sessions", "last seen"]);
    for operator in operators::list(&app.pool).await.context("list operators")? {
        let state = state(operator.disabled);
        let value = json!({
            "login": operator.login,
            "state": state,
            "sessions": operator.sessions,
            "lastSeen": operator.last_seen,
            "createdAt": operator.created_at,
        });
        let seen = operator.last_seen.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339());
        table.push([operator.login, state.to_owned(), operator.sessions.to_string(), seen], value);
    }
    format.list(table);
    Ok(())
}
