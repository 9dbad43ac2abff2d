//! `holdfast dlq`.

use crate::exit;
use crate::filter::{By, Find};
use crate::locked::{is_locked, none_left};
use crate::output::{Format, Table, note, say};
use crate::progress;
use anyhow::Context as _;
use clap::Subcommand;
use holdfast_app::redrive::{self, Plan};
use holdfast_app::vouch::vouch_for;
use holdfast_app::{App, pause};
use holdfast_queue::Queue;
use holdfast_store::dead_letters::{self, Filter, Kept, Settled};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists letters that nobody has settled, oldest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Those that are settled too.
        #[arg(long)]
        settled: bool,
    },
    /// Shows everything about one letter.
    Show { no: i64 },
    /// Sends letters to their queues again.
    Redrive {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        by: By,
        /// Letters per second.
        #[arg(long, default_value_t = 10)]
        rate: u32,
        /// Those too that came back three times.
        #[arg(long)]
        force: bool,
        /// Vouches for what they say: a message that was not believed is sent with a MAC. Read it first (`dlq show`).
        #[arg(long)]
        vouch: bool,
        /// Says what would be done, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Puts letters aside for good.
    Discard {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        by: By,
        /// Entries of the journal too: of what was accepted there may be no other trace.
        #[arg(long)]
        force: bool,
        /// Says what would be done, and does nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// Numbers of letters.
    nos: Vec<i64>,
    #[command(flatten)]
    find: Find,
    /// A part of the cause.
    #[arg(long)]
    cause: Option<String>,
}

impl Which {
    fn is_narrow(&self) -> bool {
        !self.nos.is_empty() || self.find.is_narrow() || self.cause.is_some()
    }

    fn filter(self, settled: bool) -> Filter {
        let Self { nos, find, cause } = self;
        let nos = (!nos.is_empty()).then_some(nos);
        Filter { nos, kind: find.kind, cause, older_than: find.older_than(), settled, limit: find.limit }
    }
}

pub(crate) async fn run(app: &App, format: Format, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { which, settled } => list(app, format, which.filter(settled)).await,
        Command::Show { no } => show(app, format, no).await,
        Command::Redrive { which, by, rate, force, vouch, dry_run } => {
            must_be_narrow(&which)?;
            if rate == 0 {
                return Err(exit::usage("--rate must not be zero"));
            }
            let letters = find(app, which.filter(false)).await?;
            match dry_run {
                true => plan_redrive(app, format, &letters, force),
                false => redrive(app, format, &letters, &by, How { rate, force, vouch }).await,
            }
        }
        Command::Discard { which, by, force, dry_run } => {
            must_be_narrow(&which)?;
            let journal = app.queues.journal().name();
            let (letters, only_traces): (Vec<_>, Vec<_>) =
                find(app, which.filter(false)).await?.into_iter().partition(|letter| force || letter.queue != journal);
            for letter in &only_traces {
                leave(format, letter, "it may be the only trace of its command (--force)");
            }
            match dry_run {
                true => {
                    letters.iter().for_each(|letter| did(format, letter, "nothing", "would discard"));
                    Ok(())
                }
                false => discard(app, format, &letters, &by).await,
            }
        }
    }
}

fn must_be_narrow(which: &Which) -> anyhow::Result<()> {
    match which.is_narrow() {
        true => Ok(()),
        false => Err(exit::usage("name letters, or narrow them down: --kind, --cause, --older-than-s")),
    }
}

async fn find(app: &App, filter: Filter) -> anyhow::Result<Vec<Kept>> {
    dead_letters::find(&app.pool, &filter).await.context("find the letters")
}

fn line(letter: &Kept) -> String {
    let Kept { no, queue, cause, command, receive_count, redrives, state, received_at, .. } = letter;
    let command = command.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let at = received_at.to_rfc3339();
    format!("{no}  {state}  {queue}  {command}  {at}  received {receive_count}, redriven {redrives}: {cause}")
}

fn value(letter: &Kept) -> Value {
    json!({
        "no": letter.no,
        "state": letter.state,
        "queue": letter.queue,
        "kind": letter.kind,
        "id": letter.command,
        "receivedAt": letter.received_at,
        "receiveCount": letter.receive_count,
        "redrives": letter.redrives,
        "cause": letter.cause,
        "settledBy": letter.settled_by,
        "settledWhy": letter.settled_why,
    })
}

/// What became of one letter.
fn did(format: Format, letter: &Kept, done: &str, said: &str) {
    format.each(format_args!("{said} {}", line(letter)), &json!({ "no": letter.no, "done": done }));
}

fn leave(format: Format, letter: &Kept, why: &str) {
    let value = json!({ "no": letter.no, "done": "left", "why": why });
    format.each(format_args!("left, {why}: {}", line(letter)), &value);
}

async fn list(app: &App, format: Format, filter: Filter) -> anyhow::Result<()> {
    let mut table = Table::new(&["no", "state", "queue", "command", "received at", "receives", "redrives", "cause"]);
    for letter in find(app, filter).await? {
        let cells = [
            letter.no.to_string(),
            letter.state.clone(),
            letter.queue.clone(),
            letter.command.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            letter.received_at.to_rfc3339(),
            letter.receive_count.to_string(),
            letter.redrives.to_string(),
            letter.cause.clone(),
        ];
        table.push(cells, value(&letter));
    }
    format.list(table);
    Ok(())
}

/// The body as it came, byte for byte.
async fn show(app: &App, format: Format, no: i64) -> anyhow::Result<()> {
    let filter = Filter { nos: Some(vec![no]), settled: true, limit: 1, ..Filter::default() };
    let letter = find(app, filter).await?.pop();
    let letter = letter.ok_or_else(|| exit::not_found(format!("there is no letter {no}")))?;
    if format.is_json() {
        let mut value = value(&letter);
        value["body"] = letter.body.into();
        format.one(&value);
        return Ok(());
    }
    say(line(&letter));
    if let (Some(by), Some(why)) = (&letter.settled_by, &letter.settled_why) {
        say(format_args!("settled by {by}: {why}"));
    }
    say(letter.body);
    Ok(())
}

/// The queue to send it to, or why that is not done.
fn home<'a>(app: &'a App, letter: &Kept, force: bool) -> Result<&'a Queue, String> {
    match redrive::plan(app, letter, force) {
        Plan::SendTo(queue) => Ok(queue),
        Plan::Looping => Err(format!("it came back {} times (--force)", letter.redrives)),
        Plan::Homeless => Err("its queue is not known".to_owned()),
    }
}

fn plan_redrive(app: &App, format: Format, letters: &[Kept], force: bool) -> anyhow::Result<()> {
    for letter in letters {
        match home(app, letter, force) {
            Ok(queue) => did(format, letter, "nothing", &format!("would send to {}:", queue.name())),
            Err(why) => leave(format, letter, &why),
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct How {
    rate: u32,
    force: bool,
    vouch: bool,
}

/// The letter as it is to be sent.
fn vouched(app: &App, letter: &Kept) -> anyhow::Result<Kept> {
    let body = vouch_for(&app.server_key, &letter.body)?.unwrap_or_else(|| letter.body.clone());
    Ok(Kept { body, ..letter.clone() })
}

async fn redrive(app: &App, format: Format, letters: &[Kept], by: &By, how: How) -> anyhow::Result<()> {
    let How { rate, force, vouch } = how;
    let bar = progress::bar("redriven", letters.len());
    let (mut count, mut locked) = (0, 0);
    for letter in letters {
        bar.inc(1);
        let queue = match home(app, letter, force) {
            Ok(queue) => queue,
            Err(why) => {
                bar.suspend(|| leave(format, letter, &why));
                continue;
            }
        };
        let vouched = match vouch.then(|| vouched(app, letter)).transpose() {
            Ok(vouched) => vouched,
            Err(error) => {
                bar.suspend(|| leave(format, letter, &format!("nobody can vouch for it: {error:#}")));
                continue;
            }
        };
        match redrive::send(app, queue, vouched.as_ref().unwrap_or(letter), by.operator()).await {
            Ok(marked) => {
                count += u64::from(marked);
                if format.is_json() {
                    bar.suspend(|| did(format, letter, "redriven", ""));
                }
            }
            Err(error) if is_locked(&error) => {
                locked += 1;
                bar.suspend(|| leave(format, letter, "it was sent, but its row is locked by somebody else"));
            }
            Err(error) => return Err(error.context(format!("{count} redriven, then letter {}", letter.no))),
        }
        pause(Duration::from_secs(1) / rate).await;
    }
    bar.finish_and_clear();
    format.summary(format_args!("{count} redriven"));
    none_left(locked)
}

/// All at once, and one by one where that cannot be.
async fn discard(app: &App, format: Format, letters: &[Kept], by: &By) -> anyhow::Result<()> {
    let nos: Vec<_> = letters.iter().map(|letter| letter.no).collect();
    let (mut count, mut locked) = (0, 0);
    match settle(app, &nos, Settled::Discarded, by).await {
        Ok(settled) => count = settled,
        Err(error) if is_locked(&error) => {
            note("a row is locked by somebody else, going on one by one");
            for letter in letters {
                match settle(app, &[letter.no], Settled::Discarded, by).await {
                    Ok(settled) => count += settled,
                    Err(error) if is_locked(&error) => {
                        locked += 1;
                        leave(format, letter, "its row is locked by somebody else");
                    }
                    Err(error) => return Err(error.context(format!("{count} discarded, then letter {}", letter.no))),
                }
            }
        }
        Err(error) => return Err(error),
    }
    format.each(format_args!("{count} discarded"), &json!({ "discarded": count }));
    none_left(locked)
}

async fn settle(app: &App, nos: &[i64], settled: Settled, by: &By) -> anyhow::Result<u64> {
    dead_letters::settle(&app.pool, nos, settled, by.operator()).await.context("settle the letters")
}
