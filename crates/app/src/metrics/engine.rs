//! How busy a worker is, and what it makes of its partners.

use super::{Value, gauge, one};
use crate::engine::Engine;
use std::sync::Arc;

/// Asked on every scrape, from now on.
pub fn watch(engine: &Engine) {
    let lanes = [
        ("run", &engine.run_slots),
        ("overflow", engine.overflow.all()),
        ("tell", &engine.tell_slots),
        ("tell_again", &engine.tell_again_slots),
    ];
    let slots = lanes.map(|(lane, slots)| (lane, slots.clone()));
    let circuits = engine.partnerships().map(|partnership| (partnership.name.clone(), partnership.circuit.clone()));
    let (circuits, open) = (circuits.collect::<Vec<_>>(), engine.intake.opening());
    let value = |name, label: &str, value| Value { labels: vec![(name, label.to_owned())], value };
    let one_if = |is: bool| f64::from(u8::from(is));
    let overflow = Arc::clone(&engine.overflow);
    engine.app.metrics.sample(move || {
        let free = slots.iter().map(|(lane, slots)| value("lane", lane, slots.free() as f64));
        let breakers = circuits.iter().map(|(name, circuit)| value("partner", name, one_if(circuit.is_open())));
        vec![
            gauge("holdfast_slots_free", "Slots for commands and callbacks that nobody has taken", free),
            one(
                "holdfast_overflow_limit",
                "Commands of a kind beyond shares that may be in hand at once",
                overflow.now() as f64,
            ),
            gauge("holdfast_partner_breaker_open", "1: the partner is down, and only probes ask it", breakers),
            one("holdfast_intake_open", "1: this worker takes commands on", one_if(*open.borrow())),
        ]
    });
}
