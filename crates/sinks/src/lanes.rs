//! Sending at the same time what need not come one after the other.

use holdfast_domain::event::Event;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Divides events into at most `count` lanes, each with all events of its subjects in their order.
pub(crate) fn divide(events: &[Event], count: usize) -> Vec<Vec<&Event>> {
    let mut lanes = vec![Vec::new(); count.max(1)];
    for event in events {
        let mut hasher = DefaultHasher::new();
        event.subject.hash(&mut hasher);
        let lane = (hasher.finish() % lanes.len() as u64) as usize;
        lanes[lane].push(event);
    }
    lanes.retain(|lane| !lane.is_empty());
    lanes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use holdfast_domain::event::{self, Subject, Write};
    use holdfast_domain::{CommandId, Kind};
    use uuid::Uuid;

    /// The event of this sequence of the nth command.
    pub(crate) fn event(n: u128, sequence: i32) -> Event {
        let at = chrono::DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        let subject = Subject {
            id: CommandId(Uuid::from_u128(n)),
            client: "shop".to_owned(),
            kind: Kind::Order,
            key: n.to_string(),
            content: None,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            accepted_at: at,
        };
        match sequence {
            0 => event::accepted(subject),
            _ => event::changed(subject, Write { sequence, at, entries: &[], before: None, amount: None }),
        }
    }

    #[test]
    fn a_lane_has_all_events_of_its_subjects_in_their_order() {
        let events: Vec<Event> = (0..20).flat_map(|n| (0..3).map(move |sequence| event(n, sequence))).collect();
        let lanes = divide(&events, 4);
        assert!((2..=4).contains(&lanes.len()), "{}", lanes.len());
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), events.len());
        for event in &events {
            let holding: Vec<_> =
                lanes.iter().filter(|lane| lane.iter().any(|other| other.subject == event.subject)).collect();
            assert_eq!(holding.len(), 1);
            let of_subject = holding[0].iter().filter(|other| other.subject == event.subject);
            assert_eq!(
                of_subject.map(|event| event.sequence.as_deref()).collect::<Vec<_>>(),
                [Some("0"), Some("1"), Some("2")]
            );
        }
    }
}
