//! Redrives under way: one letter after another, at a rate, in this process. Whatever ends it before its end, what was not
//! sent is still kept.

use crate::state::Console;
use holdfast_app::pause;
use holdfast_app::redrive::{self, Plan};
use holdfast_store::dead_letters::Kept;
use holdfast_store::letter_groups::{self, Group};
use holdfast_store::operator::Operator;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Redrives that are remembered.
const ROOM: usize = 50;

/// Letters that one redrive takes.
pub(crate) const MOST: i64 = 1_000;

/// Letters per second.
pub(crate) const MAX_RATE: u32 = 100;
pub(crate) const DEFAULT_RATE: u32 = 10;

/// What was asked for, after a dry run of the same.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) group: Group,
    /// No letter that came after the dry run.
    pub(crate) upto: i64,
    pub(crate) force: bool,
    pub(crate) rate: u32,
    pub(crate) by: String,
    pub(crate) why: String,
}

#[derive(Clone)]
pub(crate) struct Progress {
    pub(crate) no: u64,
    pub(crate) wanted: Wanted,
    pub(crate) total: usize,
    pub(crate) sent: usize,
    /// Left where they are: looping, or from nowhere.
    pub(crate) left: usize,
    /// Settled by somebody else meanwhile.
    pub(crate) gone: usize,
    pub(crate) end: Option<End>,
}

#[derive(Clone)]
pub(crate) enum End {
    Done,
    /// The rest is still kept.
    Failed(String),
}

#[derive(Clone, Default)]
pub(crate) struct Redrives(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    last: u64,
    redrives: VecDeque<Progress>,
}

impl Redrives {
    /// Begins one, and answers its number. `None`: one of the same letters is under way.
    pub(crate) fn start(&self, console: Console, wanted: Wanted) -> Option<u64> {
        let no = {
            let mut known = self.known();
            let is_same = |other: &Progress| other.end.is_none() && other.wanted.group == wanted.group;
            if known.redrives.iter().any(is_same) {
                return None;
            }
            known.last += 1;
            let no = known.last;
            let begun = Progress { no, wanted: wanted.clone(), total: 0, sent: 0, left: 0, gone: 0, end: None };
            known.redrives.push_front(begun);
            while known.redrives.len() > ROOM && known.redrives.back().is_some_and(|oldest| oldest.end.is_some()) {
                known.redrives.pop_back();
            }
            no
        };
        let redrives = self.clone();
        tokio::spawn(async move {
            let work = redrives.work(&console, no, &wanted);
            let end = match console.stop.run_until_cancelled(work).await {
                Some(Ok(())) => End::Done,
                Some(Err(error)) => {
                    tracing::warn!(error = format!("{error:#}"), "a redrive has ended early");
                    End::Failed(format!("{error:#}"))
                }
                None => End::Failed("this process was stopped".to_owned()),
            };
            redrives.change(no, |progress| progress.end = Some(end));
        });
        Some(no)
    }

    pub(crate) fn get(&self, no: u64) -> Option<Progress> {
        self.known().redrives.iter().find(|progress| progress.no == no).cloned()
    }

    /// The youngest first.
    pub(crate) fn list(&self) -> Vec<Progress> {
        self.known().redrives.iter().cloned().collect()
    }

    async fn work(&self, console: &Console, no: u64, wanted: &Wanted) -> anyhow::Result<()> {
        let app = &console.app;
        let letters = letter_groups::page(&app.pool, &wanted.group, 0, wanted.upto, MOST).await?;
        self.change(no, |progress| progress.total = letters.len());
        tracing::info!(operator.login = wanted.by, letters = letters.len(), "an operator redrives dead letters");
        for letter in letters {
            self.one(console, no, wanted, &letter).await?;
        }
        Ok(())
    }

    async fn one(&self, console: &Console, no: u64, wanted: &Wanted, letter: &Kept) -> anyhow::Result<()> {
        let Plan::SendTo(queue) = redrive::plan(&console.app, letter, wanted.force) else {
            self.change(no, |progress| progress.left += 1);
            return Ok(());
        };
        let operator = Operator { by: &wanted.by, why: &wanted.why };
        let was_ours = redrive::send(&console.app, queue, letter, operator).await?;
        self.change(no, |progress| if was_ours { progress.sent += 1 } else { progress.gone += 1 });
        pause(Duration::from_secs(1) / wanted.rate).await;
        Ok(())
    }

    fn change(&self, no: u64, change: impl FnOnce(&mut Progress)) {
        let mut known = self.known();
        if let Some(progress) = known.redrives.iter_mut().find(|progress| progress.no == no) {
            change(progress);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
