//! Do the sinks get what others are to be told?

use super::finding::Finding;
use crate::sinks::wrong;
use holdfast_app::App;
use holdfast_store::event_sinks::{self, Standing};
use std::time::Duration;

/// What waits for longer is not being published.
const LATE: Duration = Duration::from_secs(60);

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    let configured = &app.config.events.sinks;
    if configured.is_empty() {
        return Vec::new();
    }
    let standing = match event_sinks::standing(&app.pool, 10_000).await {
        Ok(standing) => standing,
        Err(error) => return vec![Finding::fail("events", format!("{:#}", anyhow::Error::new(error)))],
    };
    let find = |name: &String| standing.iter().find(|standing| standing.name == *name);
    configured.keys().map(|name| judge(name, find(name))).collect()
}

fn judge(name: &str, standing: Option<&Standing>) -> Finding {
    let about = format!("events to {name}");
    let Some(standing) = standing else {
        return Finding::warn(about, "no worker has published there yet")
            .so("start a holdfast-worker that has `events` among its queues, with this configuration");
    };
    let (lag, age) = (standing.lag, standing.oldest.as_secs());
    let waits = format!("{lag} wait, the oldest for {age} s");
    match wrong(standing) {
        Some(why) if standing.is_ahead => Finding::fail(about, why).so("nothing will be published there by itself"),
        Some(why) => match &standing.refused {
            Some(id) => Finding::fail(about, format!("{why}; {waits}"))
                .so(format!("mend the sink, or `holdfast events skip {name} {id} --why …`")),
            None => Finding::warn(about, format!("{why}; {waits}")).so("nothing is lost: it is tried again"),
        },
        None if !standing.is_held && lag > 0 => Finding::warn(about, format!("nobody publishes; {waits}"))
            .so("does a holdfast-worker live that has `events` among its queues?"),
        None if standing.oldest >= LATE => Finding::warn(about, waits)
            .so("is a transaction open for long? Nothing that is newer than it can be published"),
        None => Finding::ok(about, if lag == 0 { "all are published".to_owned() } else { waits }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use holdfast_store::outbox::Position;

    fn standing() -> Standing {
        Standing {
            name: "a".to_owned(),
            position: Position { xid: 1, no: 0, sequence: 0 },
            is_ahead: false,
            is_held: true,
            is_in_use: true,
            lag: 0,
            oldest: Duration::ZERO,
            started_at: chrono::DateTime::UNIX_EPOCH,
            published_at: None,
            failures: 0,
            error: None,
            failed_at: None,
            refused: None,
            skipped: 0,
        }
    }

    #[test]
    fn a_sink_that_is_held_up_fails_and_one_that_is_late_warns() {
        let level = |standing: Standing| judge("a", Some(&standing)).level;
        assert_eq!(level(standing()), Level::Ok);
        assert_eq!(level(Standing { lag: 3, ..standing() }), Level::Ok);
        assert_eq!(level(Standing { lag: 3, is_held: false, ..standing() }), Level::Warn);
        assert_eq!(level(Standing { lag: 3, oldest: LATE, ..standing() }), Level::Warn);
        let failing = || Standing { failures: 1, error: Some("HTTP 500".to_owned()), ..standing() };
        assert_eq!(level(failing()), Level::Warn);
        assert_eq!(level(Standing { refused: Some("x/0".to_owned()), ..failing() }), Level::Fail);
        assert_eq!(level(Standing { is_ahead: true, ..standing() }), Level::Fail);
        assert_eq!(judge("a", None).level, Level::Warn);
    }
}
