//! What of a batch goes to a sink: the events of the kinds that it wants, but for what somebody has decided to leave out, up
//! to the first that this version cannot read. A newer one has written that, and reads it; to pass it by would lose it.

use holdfast_domain::event::{self, Event};
use holdfast_domain::{CommandNo, Kind};
use holdfast_store::outbox::{Batch, Found, Position, Written};
use std::collections::HashMap;

pub(super) struct Portion {
    pub(super) events: Vec<Event>,
    /// Where the sink's place is when it has them. `None`: nothing comes before what cannot be read.
    pub(super) end: Option<Position>,
    /// What somebody has decided to leave out is up to there.
    pub(super) skipped: bool,
    /// The event that cannot be read.
    pub(super) unreadable: Option<String>,
}

/// `wants` is asked for a kind, or for one that is not known.
pub(super) fn portion(batch: &Batch, wants: impl Fn(Option<Kind>) -> bool, skip: Option<&str>) -> Portion {
    let is_left_out = |row: &Found| skip.is_some_and(|skip| skip == id(row));
    let left_out = batch.rows.iter().find(|row| is_left_out(row)).and_then(|row| row.position);
    let reached = batch.rows.iter().filter_map(|row| row.position).collect::<Vec<_>>();
    let rows: Vec<&Found> = batch.rows.iter().filter(|row| wants(row.kind) && !is_left_out(row)).collect();
    let obstacle = obstacle(&rows);
    let end = match &obstacle {
        Some((at, _)) => reached.into_iter().filter(|position| position < at).max(),
        None => batch.end,
    };
    let upto = last_of_each(&rows, end);
    let goes = |row: &Found| upto.get(&row.no).is_some_and(|last| row.sequence <= *last);
    let written = rows.into_iter().filter(|row| goes(row)).filter_map(|row| row.written.clone());
    Portion {
        events: written.filter_map(told).collect(),
        end,
        skipped: left_out.is_some_and(|at| end.is_some_and(|end| at <= end)),
        unreadable: obstacle.map(|(_, id)| id),
    }
}

/// The event of a row. `None`: its command was archived, and there is nothing left to tell.
pub(super) fn told(written: Written) -> Option<Event> {
    written.content.is_some().then(|| super::event(written))
}

pub(super) fn id(row: &Found) -> String {
    event::id(row.id, row.sequence)
}

/// The first place on the way of the cursor whose row cannot go: nothing of a command goes behind what cannot be read.
fn obstacle(rows: &[&Found]) -> Option<(Position, String)> {
    let mut first: HashMap<CommandNo, &Found> = HashMap::new();
    for row in rows.iter().filter(|row| row.written.is_none()) {
        first.entry(row.no).or_insert(row);
    }
    let held_up = rows.iter().filter_map(|row| {
        let unreadable = first.get(&row.no).filter(|first| first.sequence <= row.sequence)?;
        Some((row.position?, *unreadable))
    });
    held_up.min_by_key(|(position, _)| *position).map(|(position, unreadable)| (position, id(unreadable)))
}

/// Of each command the last sequence up to this place: what is before it in its trail comes along, wherever it is.
fn last_of_each(rows: &[&Found], end: Option<Position>) -> HashMap<CommandNo, i32> {
    let mut last = HashMap::new();
    for row in rows.iter().filter(|row| row.position.is_some_and(|at| end.is_some_and(|end| at <= end))) {
        last.insert(row.no, row.sequence);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::CommandId;
    use holdfast_store::commands::content;
    use uuid::Uuid;

    /// The row of this sequence of the nth command, at this transaction; 0: the cursor has yet to reach it.
    fn row(no: i64, sequence: i32, xid: i64) -> Found {
        let id = CommandId(Uuid::from_u128(no.unsigned_abs().into()));
        let at = chrono::DateTime::UNIX_EPOCH;
        let body = r#"{"amount": "1.00", "currency": "EUR"}"#;
        let written = Written {
            sequence,
            id,
            client: "shop".to_owned(),
            kind: Kind::Transaction,
            key: no.to_string(),
            content: Some(content(Kind::Transaction, body).expect("it is valid")),
            traceparent: None,
            accepted_at: at,
            at,
            entries: Vec::new(),
            before: None,
            refund: None,
        };
        Found {
            no: CommandNo(no),
            sequence,
            id,
            kind: Some(Kind::Transaction),
            position: (xid > 0).then_some(Position { xid, no, sequence }),
            written: Some(written),
        }
    }

    fn unreadable(row: Found) -> Found {
        Found { written: None, ..row }
    }

    fn hollow(mut row: Found) -> Found {
        row.written.as_mut().expect("it is readable").content = None;
        row
    }

    fn of(rows: Vec<Found>, skip: Option<&str>) -> Portion {
        let end = rows.iter().filter_map(|row| row.position).max();
        portion(&Batch { rows, end, is_full: false, size: 0, timeline: Some(1) }, |_| true, skip)
    }

    fn told(portion: &Portion) -> Vec<String> {
        let told = |event: &Event| format!("{}/{}", event.data.key, event.sequence.as_deref().expect("a sequence"));
        portion.events.iter().map(told).collect()
    }

    #[test]
    fn what_can_be_read_goes_as_a_whole() {
        let portion = of(vec![row(1, 0, 10), row(1, 1, 30), row(2, 0, 20)], None);
        assert_eq!(told(&portion), ["1/0", "1/1", "2/0"]);
        assert_eq!((portion.end.map(|end| end.xid), portion.unreadable, portion.skipped), (Some(30), None, false));
    }

    #[test]
    fn what_is_before_a_row_that_cannot_be_read_goes_and_nothing_behind_it() {
        let portion =
            of(vec![row(1, 0, 10), unreadable(row(1, 1, 20)), row(1, 2, 40), row(2, 0, 15), row(3, 0, 30)], None);
        assert_eq!(told(&portion), ["1/0", "2/0"]);
        assert_eq!(portion.end.map(|end| end.xid), Some(15));
        assert_eq!(portion.unreadable, Some(id(&row(1, 1, 20))));
        let first = of(vec![unreadable(row(1, 0, 10)), row(2, 0, 20)], None);
        assert!(first.events.is_empty() && first.end.is_none() && first.unreadable.is_some());
    }

    #[test]
    fn nothing_goes_before_what_cannot_be_read_and_comes_first_in_its_trail() {
        let portion = of(vec![unreadable(row(1, 1, 0)), row(1, 2, 20), row(2, 0, 10), row(3, 0, 30)], None);
        assert_eq!(told(&portion), ["2/0"]);
        assert_eq!((portion.end.map(|end| end.xid), portion.unreadable), (Some(10), Some(id(&row(1, 1, 0)))));
    }

    #[test]
    fn what_comes_along_comes_also_from_behind_the_end() {
        let portion = of(vec![row(1, 1, 30), row(1, 2, 10), unreadable(row(2, 0, 20))], None);
        assert_eq!(told(&portion), ["1/1", "1/2"]);
        assert_eq!(portion.end.map(|end| end.xid), Some(10));
    }

    #[test]
    fn what_somebody_leaves_out_is_passed_by_whether_it_can_be_read_or_not() {
        let skip = id(&row(1, 0, 10));
        for left_out in [row(1, 0, 10), unreadable(row(1, 0, 10))] {
            let portion = of(vec![left_out, row(2, 0, 20)], Some(&skip));
            assert_eq!(told(&portion), ["2/0"]);
            assert_eq!((portion.end.map(|end| end.xid), portion.skipped), (Some(20), true));
        }
        let early = of(vec![row(1, 0, 0), row(1, 1, 20)], Some(&skip));
        assert_eq!(told(&early), ["1/1"]);
        assert!(!early.skipped, "the cursor has yet to get there");
        let behind = of(vec![row(1, 0, 20), unreadable(row(2, 0, 10)), row(3, 0, 5)], Some(&skip));
        assert_eq!(told(&behind), ["3/0"]);
        assert!(!behind.skipped);
    }

    #[test]
    fn of_an_archived_command_nothing_is_told_and_the_place_moves() {
        let portion = of(vec![row(1, 0, 10), hollow(row(2, 0, 20))], None);
        assert_eq!(told(&portion), ["1/0"]);
        assert_eq!((portion.end.map(|end| end.xid), portion.unreadable), (Some(20), None));
    }

    #[test]
    fn what_a_sink_does_not_want_holds_it_up_neither() {
        let unknown = Found { kind: None, ..unreadable(row(1, 0, 10)) };
        let batch = Batch {
            rows: vec![unknown, row(2, 0, 20)],
            end: row(2, 0, 20).position,
            is_full: false,
            size: 0,
            timeline: Some(1),
        };
        let portion = portion(&batch, |kind| kind == Some(Kind::Transaction), None);
        assert_eq!(told(&portion), ["2/0"]);
        assert_eq!((portion.end.map(|end| end.xid), portion.unreadable), (Some(20), None));
    }
}
