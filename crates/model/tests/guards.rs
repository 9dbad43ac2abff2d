//! With every guard nothing is broken; without any one of them something is.

use holdfast_model::{Faults, Found, Guards, Protocol, check};

const NONE: Faults = Faults {
    crash: 0,
    duplicate: 0,
    false_alarm: 0,
    lost_answer: 0,
    unknown: 0,
    unavailable: 0,
    rejected: 0,
    cancel: 0,
    failover: 0,
    outage: 0,
    dead_letter: 0,
};

fn search(guards: Guards, faults: Faults) -> Found {
    check(&Protocol { guards, faults })
}

#[test]
fn with_every_guard_nothing_is_broken() {
    let scenarios = [
        Faults { crash: 2, duplicate: 1, ..NONE },
        Faults { unknown: 1, crash: 1, ..NONE },
        Faults { unknown: 1, rejected: 1, ..NONE },
        Faults { unknown: 1, false_alarm: 1, ..NONE },
        Faults { unavailable: 1, duplicate: 1, ..NONE },
        Faults { false_alarm: 1, duplicate: 1, ..NONE },
        Faults { lost_answer: 1, crash: 1, ..NONE },
        Faults { cancel: 1, crash: 1, ..NONE },
        Faults { outage: 1, crash: 1, duplicate: 1, ..NONE },
        Faults { failover: 1, duplicate: 1, ..NONE },
        Faults { dead_letter: 1, crash: 1, ..NONE },
        Faults { dead_letter: 1, failover: 1, ..NONE },
    ];
    for faults in scenarios {
        let found = search(Guards::ON, faults);
        assert!(found.states > 100, "{faults:?}: {} states", found.states);
        assert!(found.is_nothing(), "{faults:?}: {found:#?}");
    }
}

/// Each guard with faults under which it is missed.
#[test]
fn without_any_one_guard_something_is_broken() {
    let on = Guards::ON;
    let kill = Faults { crash: 1, ..NONE };
    let without: [(&str, Guards, Faults); 17] = [
        ("mark_compares", Guards { mark_compares: false, ..on }, Faults { unavailable: 1, ..NONE }),
        ("relay_puts_off_shortly", Guards { relay_puts_off_shortly: false, ..on }, kill),
        ("lease_is_apart", Guards { lease_is_apart: false, ..on }, Faults { duplicate: 1, ..NONE }),
        ("wait_counts_nudges", Guards { wait_counts_nudges: false, ..on }, NONE),
        ("wait_is_kept", Guards { wait_is_kept: false, ..on }, Faults { unavailable: 1, duplicate: 1, ..NONE }),
        (
            "tokens_are_unique",
            Guards { tokens_are_unique: false, ..on },
            Faults { failover: 1, false_alarm: 1, ..NONE },
        ),
        (
            "writes_are_fenced",
            Guards { writes_are_fenced: false, ..on },
            Faults { unavailable: 1, false_alarm: 1, duplicate: 1, ..NONE },
        ),
        ("missing_row_is_put_back", Guards { missing_row_is_put_back: false, ..on }, Faults { failover: 1, ..NONE }),
        (
            "takeover_is_doubt",
            Guards { takeover_is_doubt: false, partner_knows_keys: false, ..on },
            Faults { crash: 1, ..NONE },
        ),
        (
            "unknown_is_looked_up",
            Guards { unknown_is_looked_up: false, partner_knows_keys: false, ..on },
            Faults { unknown: 1, ..NONE },
        ),
        (
            "rejection_is_looked_up",
            Guards { rejection_is_looked_up: false, ..on },
            Faults { unknown: 1, rejected: 1, ..NONE },
        ),
        ("claim_has_deadline", Guards { claim_has_deadline: false, ..on }, Faults { lost_answer: 1, ..NONE }),
        ("cancel_needs_unclaimed", Guards { cancel_needs_unclaimed: false, ..on }, Faults { cancel: 1, ..NONE }),
        ("end_owes_callback", Guards { end_owes_callback: false, ..on }, kill),
        (
            "journal_waits_for_row",
            Guards { journal_waits_for_row: false, ..on },
            Faults { outage: 1, crash: 1, ..NONE },
        ),
        (
            "dead_letters_are_drained",
            Guards { dead_letters_are_drained: false, ..on },
            Faults { dead_letter: 1, failover: 1, ..NONE },
        ),
        ("partner_knows_keys", Guards { partner_knows_keys: false, ..on }, Faults { unknown: 1, ..NONE }),
    ];
    for (name, guards, faults) in without {
        let found = search(guards, faults);
        assert!(!found.is_nothing(), "{name}: {} states, and nothing is broken", found.states);
    }
}
