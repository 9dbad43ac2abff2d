//! The one place that sleeps. Waits here are cut short by dropping the future; nothing is held across them.

use std::time::Duration;

/// Doubling waits with a cap, for something that keeps failing.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, next: first }
    }

    /// Waits, longer each time.
    pub async fn wait(&mut self) {
        let wait = self.next;
        self.next = (wait * 2).min(self.cap);
        sleep(wait).await;
    }

    /// It works again.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Sleeps. Everybody else calls this, so that there is one place to look for waits.
#[expect(clippy::disallowed_methods, reason = "this is the home of sleeping")]
pub async fn sleep(wait: Duration) {
    tokio::time::sleep(wait).await;
}
