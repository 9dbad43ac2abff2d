//! Sending at the same time what need not come one after the other.

use holdfast_domain::event::Event;
use std::collections::HashMap;
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

/// The first events of all subjects, then their second ones, and so on: each subject's stay in their order, and what is next
/// to each other is of different subjects where that can be.
pub(crate) fn interleave(mut lane: Vec<&Event>) -> Vec<&Event> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    lane.sort_by_cached_key(|event| {
        let count = seen.entry(&event.subject).or_default();
        *count += 1;
        *count
    });
    lane
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
    fn subjects_take_turns_and_keep_their_order() {
        let events = [(1, 0), (1, 1), (1, 2), (2, 5), (3, 0), (3, 1)].map(|(n, sequence)| event(n, sequence));
        let keys = |event: &&Event| (event.data.key.clone(), event.sequence.clone().expect("a sequence"));
        let turns: Vec<_> = interleave(events.iter().collect()).iter().map(keys).collect();
        let expected = [("1", "0"), ("2", "5"), ("3", "0"), ("1", "1"), ("3", "1"), ("1", "2")];
        assert_eq!(turns, expected.map(|(key, sequence)| (key.to_owned(), sequence.to_owned())));
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
