//! Named points at which a test kills the process for real. Empty unless the feature `failpoints` is on.

/// Every point, in the order in which a command passes them.
pub const POINTS: [&str; 13] = [
    "accepted",
    "claimed",
    "recorded",
    "before_create",
    "after_create",
    "noted",
    "settled",
    "next_partner",
    "finished",
    "before_callback",
    "after_callback",
    "told",
    "event_published",
];

/// Aborts here if `HOLDFAST_FAILPOINT` names this point: no destructor runs, no buffer is flushed.
#[cfg(feature = "failpoints")]
pub fn hit(point: &str) {
    debug_assert!(POINTS.contains(&point));
    abort_if_wanted(point);
}

/// The same for one command: `HOLDFAST_FAILPOINT` is `point=key`.
#[cfg(feature = "failpoints")]
pub fn hit_for(point: &str, key: &str) {
    hit(point);
    abort_if_wanted(&format!("{point}={key}"));
}

#[cfg(feature = "failpoints")]
#[expect(clippy::disallowed_methods, reason = "a test sets it for this process alone")]
fn abort_if_wanted(point: &str) {
    if std::env::var("HOLDFAST_FAILPOINT").is_ok_and(|wanted| wanted == point) {
        std::process::abort();
    }
}

/// Does nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub const fn hit(_point: &str) {}

/// Does nothing in this build.
#[cfg(not(feature = "failpoints"))]
pub const fn hit_for(_point: &str, _key: &str) {}
