//! The picture above the rows: who was at work when, and where it waited.

use super::axis::Axis;
use super::{Lane, Row, Shape};
use crate::text;
use chrono::{DateTime, Utc};
use maud::{Markup, html};

const WIDTH: f64 = 1_040.0;

/// For the names of the lanes.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 8.0;
const LANE: f64 = 26.0;
const BAR: f64 = 12.0;

/// For the times below.
const FOOT: f64 = 22.0;

/// Between two times, as a part of the width.
const APART: f64 = 0.085;

pub(crate) fn draw(rows: &[Row]) -> Markup {
    let lanes = lanes(rows);
    let axis = Axis::over(rows.iter().flat_map(|row| [row.from, row.to]));
    let start = rows.iter().map(|row| row.from).min();
    let bottom = TOP + LANE * lanes.len() as f64;
    let x = |moment: DateTime<Utc>| LEFT + axis.place(moment) * (WIDTH - LEFT - RIGHT);
    html! {
        svg.timeline viewBox={ "0 0 " (WIDTH) " " (bottom + FOOT) } role="img"
            aria-label="When who was at work; the table below says the same" {
            @for (at, lane) in lanes.iter().enumerate() {
                @let y = TOP + LANE * (at as f64 + 0.5);
                line.lane x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text.name x=(LEFT - 12.0) y=(y + 4.0) text-anchor="end" {
                    (text::short(lane.name(), 15))
                }
            }
            @for (moment, place) in axis.ticks(APART) {
                @let x = px(LEFT + place * (WIDTH - LEFT - RIGHT));
                line.tick x1=(x) x2=(x) y1=(TOP) y2=(bottom + 4.0) {}
                @if let Some(start) = start {
                    text.time x=(x) y=(bottom + 17.0) text-anchor="middle" {
                        "+" (text::between(start, moment))
                    }
                }
            }
            @for row in rows {
                @let lane = lanes.iter().position(|lane| *lane == row.lane).unwrap_or_default();
                (mark(row, x(row.from), x(row.to), TOP + LANE * (lane as f64 + 0.5)))
            }
        }
    }
}

fn mark(row: &Row, from: f64, to: f64, y: f64) -> Markup {
    let told = told(row);
    let expected = if row.is_expected { " expected" } else { "" };
    let class = format!("{}{expected}", row.tone().class());
    html! {
        @match row.shape {
            Shape::Wait => {
                line class={ "wait " (class) } x1=(px(from)) x2=(px(to)) y1=(px(y)) y2=(px(y)) { title { (told) } }
            }
            Shape::Act if row.from == row.to => {
                circle class={ "act " (class) } cx=(px(from)) cy=(px(y)) r="4.5" { title { (told) } }
            }
            Shape::Act => {
                rect class={ "act " (class) } x=(px(from)) y=(px(y - BAR / 2.0)) width=(px((to - from).max(3.0)))
                    height=(px(BAR)) rx="3" { title { (told) } }
            }
        }
    }
}

fn told(row: &Row) -> String {
    let outcome = row.outcome.as_ref().map_or_else(String::new, |(_, outcome)| format!(": {outcome}"));
    format!("{} {}{outcome}", row.lane.name(), row.what)
}

/// Holdfast first, the client and operators last, partners in the order in which they were asked.
fn lanes(rows: &[Row]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for row in rows {
        if !lanes.contains(&row.lane) {
            lanes.push(row.lane.clone());
        }
    }
    lanes.sort_by_key(|lane| match lane {
        Lane::Run => 0,
        Lane::Partner(_) => 1,
        Lane::Client => 2,
        Lane::Operator => 3,
    });
    lanes
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
