//! How the sandbox behaves, by the last two digits of an amount (README, "Sandbox").

/// What an amount asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// 201, completed.
    Complete,
    /// 201, pending, completed after a second.
    CompleteShortly,
    /// 503 once, then 201.
    UnavailableOnce,
    /// 504, but created.
    LostAnswer,
    /// 504 once and not created, then 201.
    LostRequestOnce,
    /// 422.
    Reject,
    /// 201, pending until a webhook says completed.
    CompleteByWebhook,
    /// 201 after three seconds.
    Slow,
    /// 201, pending; then failed.
    FailShortly,
    /// 503 always.
    Unavailable,
}

impl Behaviour {
    pub(super) fn of(amount: &str) -> Self {
        match amount.rsplit('.').next() {
            Some("02") => Self::CompleteShortly,
            Some("03") => Self::UnavailableOnce,
            Some("04") => Self::LostAnswer,
            Some("05") => Self::LostRequestOnce,
            Some("06") => Self::Reject,
            Some("07") => Self::CompleteByWebhook,
            Some("08") => Self::Slow,
            Some("09") => Self::FailShortly,
            Some("13") => Self::Unavailable,
            _ => Self::Complete,
        }
    }
}
