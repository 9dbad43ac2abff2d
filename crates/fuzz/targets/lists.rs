//! Queries of lists, their cursors, and the ids in paths.

use chrono::{DateTime, Utc};
use holdfast_api::fuzzing;
use holdfast_app::query::Place;
use holdfast_domain::{ClientNo, Kind};
use http::Uri;
use uuid::Uuid;

const CLIENT: ClientNo = ClientNo(7);

pub(crate) fn query(input: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", input].concat()) else { return };
    let Ok((wanted, _key)) = fuzzing::list(CLIENT, Kind::Refund, &uri) else { return };
    // Nothing that a query says leads to anybody else's commands.
    assert_eq!((wanted.client, wanted.kind), (CLIENT, Kind::Refund));
    assert!((1..=200).contains(&wanted.limit));
    wanted.created_from.into_iter().chain(wanted.created_before).for_each(postgres_has);
    wanted.after.into_iter().for_each(is_a_place);
}

/// A cursor is no secret and is not signed: any place that it can name must be harmless.
pub(crate) fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    fuzzing::place(text).into_iter().for_each(is_a_place);
}

fn is_a_place(place: Place) {
    postgres_has(place.created_at);
    assert_eq!(fuzzing::place(&fuzzing::cursor(place)), Some(place));
}

/// Years that a `timestamptz` has, and a query may compare with.
fn postgres_has(time: DateTime<Utc>) {
    let years = DateTime::UNIX_EPOCH..DateTime::from_timestamp(253_402_387_200, 0).expect("a day after the year 9999");
    assert!(years.contains(&time), "{time}");
}

/// Only the one form of a UUID that we give out names anything: in upper case it is the same id.
pub(crate) fn command_id(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let is_ours = text.parse::<Uuid>().is_ok_and(|id| id.hyphenated().to_string() == text.to_ascii_lowercase());
    assert_eq!(fuzzing::command_id(text), is_ours, "{text:?}");
}
