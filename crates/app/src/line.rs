//! Where items wait until they go on together, at a pace.

use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often everybody else may run before a batch goes.
const ROUNDS: usize = 2;

pub(crate) struct Line<T> {
    items: mpsc::Receiver<T>,
    /// When the last batch went.
    gone: Option<Instant>,
}

impl<T> Line<T> {
    pub(crate) const fn new(items: mpsc::Receiver<T>) -> Self {
        Self { items, gone: None }
    }

    /// What has arrived, and what those bring along who can run at this moment: under load that is several times as much,
    /// alone it costs nothing. Not before `pace` has passed since the last batch, unless it is full. Empty at the end.
    pub(crate) async fn gather(&mut self, max: usize, pace: Duration) -> Vec<T> {
        let mut batch = Vec::new();
        self.items.recv_many(&mut batch, max).await;
        let early = self.gone.map_or(Duration::ZERO, |gone| pace.saturating_sub(gone.elapsed()));
        if !batch.is_empty() && !early.is_zero() {
            let rest = async {
                while batch.len() < max
                    && let Some(item) = self.items.recv().await
                {
                    batch.push(item);
                }
            };
            drop(tokio::time::timeout(early, rest).await);
        }
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
            while batch.len() < max
                && let Ok(item) = self.items.try_recv()
            {
                batch.push(item);
            }
        }
        self.gone = Some(Instant::now());
        batch
    }
}
