//! Sending by the queue of a track. An overflow queue that is missing, or may not be written to, holds nothing up: what it
//! does not take goes by the queue of the kind.

use crate::App;
use crate::track::Track;
use holdfast_domain::Kind;
use holdfast_queue::{Outgoing, Queue, Sent};
use std::time::Instant;

impl App {
    /// What became of each, in their order. `by` is who sends, for metrics.
    pub(crate) async fn send(
        &self,
        (kind, track): (Kind, Track),
        by: &'static str,
        messages: &[Outgoing],
    ) -> Vec<Sent> {
        let mut sent = self.send_by(self.queues.on(kind, track), by, messages).await;
        let unsent: Vec<_> = (0..sent.len()).filter(|at| sent[*at] == Sent::Failed).collect();
        if track == Track::Share || unsent.is_empty() {
            return sent;
        }
        let (overflow, count) = (self.queues.on(kind, track).name(), unsent.len());
        tracing::warn!(
            queue.name = overflow,
            count,
            "an overflow queue did not take messages, they go by their kind's own"
        );
        let again: Vec<_> = unsent.iter().map(|at| messages[*at].clone()).collect();
        let sent_again = self.send_by(self.queues.of(kind), by, &again).await;
        unsent.into_iter().zip(sent_again).for_each(|(at, of_it)| sent[at] = of_it);
        sent
    }

    async fn send_by(&self, queue: &Queue, by: &'static str, messages: &[Outgoing]) -> Vec<Sent> {
        let started = Instant::now();
        let sent = queue.send(messages).await;
        self.metrics.statements.published(queue, by, &sent, started.elapsed());
        sent
    }
}
