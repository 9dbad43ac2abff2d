//! The step `record` of each kind: its business row, batched like every write of the worker.

use crate::App;
use crate::batch::{Batcher, Pace, Shared};
use crate::statements::{persist, refs};
use holdfast_store::orders::{self, NewOrder};
use holdfast_store::refunds::{self, NewRefund, Reserved};
use holdfast_store::transactions::{self, NewTransaction};
use holdfast_store::wakeups::Hold;
use holdfast_store::{Pool, Result};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One batcher for each kind. Every answer is `None` if the claim is lost.
pub struct Records {
    /// Answers the partner that the row names.
    pub transactions: Record<NewTransaction, String>,
    /// Answers what the row reserves, `None` inside if too little is left of the transaction.
    pub refunds: Record<NewRefund, Option<Reserved>>,
    /// Answers the row.
    pub orders: Record<NewOrder, orders::Recorded>,
}

pub struct Record<I, O>(Batcher<I, Option<O>>);

impl<I: Send + Sync + 'static, O: Send + 'static> Record<I, O> {
    fn start<F>(app: &App, pace: &Pace, statement: fn(Pool, Arc<Vec<I>>) -> F, hold: fn(&I) -> Hold) -> Self
    where
        F: Future<Output = Result<Vec<(Hold, O)>>> + Send + 'static,
    {
        let (pool, meter) = (app.pool.clone(), app.metrics.statements.meter("record"));
        Self(Batcher::paced(pace, meter, move |rows: Arc<Vec<I>>| {
            let pool = pool.clone();
            async move {
                let (recorded, repeated) = persist(|| statement(pool.clone(), Arc::clone(&rows))).await?;
                let mut recorded: HashMap<_, _> = recorded.into_iter().collect();
                if repeated && recorded.len() < rows.len() {
                    // The first one, of which there was no answer, may have ended beside the second, which could not see
                    // what it wrote.
                    recorded.extend(persist(|| statement(pool.clone(), Arc::clone(&rows))).await?.0);
                }
                Ok(rows.iter().map(|row| recorded.remove(&hold(row))).collect())
            }
        }))
    }

    pub async fn call(&self, row: I) -> std::result::Result<Option<O>, Shared> {
        self.0.call(row).await
    }
}

impl Records {
    pub fn start(app: &App, pace: &Pace) -> Self {
        Self {
            transactions: Record::start(app, pace, record_transactions, |row| row.hold),
            refunds: Record::start(app, pace, record_refunds, |row| row.hold),
            orders: Record::start(app, pace, record_orders, |row| row.hold),
        }
    }
}

async fn record_transactions(pool: Pool, rows: Arc<Vec<NewTransaction>>) -> Result<Vec<(Hold, String)>> {
    transactions::record(&pool, &rows).await
}

async fn record_orders(pool: Pool, rows: Arc<Vec<NewOrder>>) -> Result<Vec<(Hold, orders::Recorded)>> {
    let recorded = orders::record(&pool, &rows).await?;
    Ok(recorded.into_iter().map(|row| (row.hold, row)).collect())
}

/// One statement for each refund of the same transaction: one statement could only apply one of them.
async fn record_refunds(pool: Pool, rows: Arc<Vec<NewRefund>>) -> Result<Vec<(Hold, Option<Reserved>)>> {
    let mut recorded = Vec::with_capacity(rows.len());
    let mut left = refs(&rows);
    while !left.is_empty() {
        let mut taken = HashSet::new();
        let (round, later): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|row| row.transaction.is_none_or(|no| taken.insert(no)));
        let answered = refunds::record(&pool, &round).await?;
        let refused: HashSet<_> =
            answered.iter().filter(|(_, reserved)| reserved.is_none()).map(|(hold, _)| *hold).collect();
        recorded.extend(answered.into_iter().filter(|(hold, _)| !refused.contains(hold)));
        // A refusal is believed when it is said twice: a first execution of the same statement, whose answer was lost, may
        // have reserved the sum while this one waited for it, with an older view of the rows.
        let again: Vec<_> = round.into_iter().filter(|row| refused.contains(&row.hold)).collect();
        if !again.is_empty() {
            recorded.extend(refunds::record(&pool, &again).await?);
        }
        left = later;
    }
    Ok(recorded)
}
