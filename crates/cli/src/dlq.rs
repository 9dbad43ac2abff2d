//! `holdfast dlq`.

use crate::{By, Find, say};
use anyhow::{Context as _, ensure};
use clap::Subcommand;
use holdfast_app::{App, pause};
use holdfast_queue::{Outgoing, Sent};
use holdfast_store::dead_letters::{self, Filter, Kept, Settled};
use std::time::Duration;

/// A body that came back this often is not sent again unless it is forced.
const LOOP_GUARD: i64 = 3;

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

pub(crate) async fn run(app: &App, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { which, settled } => {
            for letter in find(app, which.filter(settled)).await? {
                say(line(&letter));
            }
            Ok(())
        }
        Command::Show { no } => show(app, no).await,
        Command::Redrive { which, by, rate, force, dry_run } => {
            ensure!(which.is_narrow(), "name letters, or narrow them down: --kind, --cause, --older-than-s");
            ensure!(rate > 0, "--rate must not be zero");
            let letters = find(app, which.filter(false)).await?;
            let (again, looping): (Vec<_>, Vec<_>) =
                letters.into_iter().partition(|letter| force || letter.redrives < LOOP_GUARD);
            for letter in &looping {
                say(format_args!("left, it came back {} times (--force): {}", letter.redrives, line(letter)));
            }
            redrive(app, again, &by, rate, dry_run).await
        }
        Command::Discard { which, by, force, dry_run } => {
            ensure!(which.is_narrow(), "name letters, or narrow them down: --kind, --cause, --older-than-s");
            let journal = app.queues.journal().name();
            let (letters, only_traces): (Vec<_>, Vec<_>) =
                find(app, which.filter(false)).await?.into_iter().partition(|letter| force || letter.queue != journal);
            for letter in &only_traces {
                say(format_args!("left, it may be the only trace of its command (--force): {}", line(letter)));
            }
            if dry_run {
                letters.iter().for_each(|letter| say(format_args!("would discard {}", line(letter))));
                return Ok(());
            }
            let nos: Vec<_> = letters.iter().map(|letter| letter.no).collect();
            let count =
                dead_letters::settle(&app.pool, &nos, Settled::Discarded, by.operator()).await.context("discard")?;
            say(format_args!("{count} discarded"));
            Ok(())
        }
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

async fn show(app: &App, no: i64) -> anyhow::Result<()> {
    let filter = Filter { nos: Some(vec![no]), settled: true, limit: 1, ..Filter::default() };
    let letter = find(app, filter).await?.pop().with_context(|| format!("there is no letter {no}"))?;
    say(line(&letter));
    if let (Some(by), Some(why)) = (&letter.settled_by, &letter.settled_why) {
        say(format_args!("settled by {by}: {why}"));
    }
    say(letter.body);
    Ok(())
}

/// Sent, then marked: killed in between, it is sent twice, which a message without a power of its own bears.
async fn redrive(app: &App, letters: Vec<Kept>, by: &By, rate: u32, dry_run: bool) -> anyhow::Result<()> {
    let mut count = 0;
    for letter in letters {
        let journal = app.queues.journal();
        let queue = match letter.kind {
            _ if letter.queue == journal.name() => journal,
            Some(kind) => app.queues.of(kind),
            None => {
                say(format_args!("left, its queue is not known: {}", line(&letter)));
                continue;
            }
        };
        if dry_run {
            say(format_args!("would send to {}: {}", queue.name(), line(&letter)));
            continue;
        }
        let outgoing = Outgoing { body: letter.body, traceparent: None };
        ensure!(queue.send(&[outgoing]).await == [Sent::Stored], "sqs did not take letter {}", letter.no);
        let settled = dead_letters::settle(&app.pool, &[letter.no], Settled::Redriven, by.operator()).await;
        count += settled.context("mark the letter")?;
        pause(Duration::from_secs(1) / rate).await;
    }
    say(format_args!("{count} redriven"));
    Ok(())
}
