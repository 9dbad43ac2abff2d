//! `holdfast doctor`: looks at everything that Holdfast stands on, and says what to do. Changes nothing.

mod database;
mod finding;
mod partners;
mod queues;
mod secrets;
mod work;

use crate::output::Format;
use clap::{Args, ValueEnum};
use finding::{Finding, Findings};
use holdfast_app::{App, config};
use std::path::Path;

#[derive(Args)]
pub(crate) struct Doctor {
    /// What is not looked at, such as partners that this machine cannot reach. May be given several times.
    #[arg(long, value_enum)]
    skip: Vec<Area>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Area {
    Database,
    Queues,
    Partners,
    Work,
}

/// Reads the configuration itself: that it can be read is the first thing to be found.
pub(crate) async fn run(file: &Path, format: Format, doctor: Doctor) -> anyhow::Result<()> {
    let mut findings = Findings::new(format);
    match app(file).await {
        Ok(app) => {
            findings.add(configuration(&app));
            examine(&app, &doctor, &mut findings).await;
        }
        Err(error) => findings.add([Finding::fail("configuration", format!("{error:#}"))
            .so("see the table of keys in the README, under Configuration")]),
    }
    findings.end()
}

async fn app(file: &Path) -> anyhow::Result<App> {
    App::new(config::load(file)?, "holdfast").await
}

fn configuration(app: &App) -> [Finding; 1] {
    [match app.config.validate_partners() {
        Ok(()) => Finding::ok("configuration", "can be read, and names every partner that a kind needs"),
        Err(error) => Finding::fail("configuration", format!("{error:#}")).so("add a section partners.NAME"),
    }]
}

/// Without the database nothing can be said of what lies in it.
async fn examine(app: &App, doctor: &Doctor, findings: &mut Findings) {
    let looks_at = |area| !doctor.skip.contains(&area);
    let mut has_schema = looks_at(Area::Work);
    if looks_at(Area::Database) {
        let found = database::examine(app).await;
        let can_be_read = found.iter().all(|finding| !finding.is_in_the_way);
        has_schema &= can_be_read;
        findings.add(found);
        if can_be_read {
            findings.add(secrets::examine(app).await);
        }
    }
    if looks_at(Area::Queues) {
        findings.add(queues::examine(app).await);
    }
    if looks_at(Area::Partners) {
        findings.add(partners::examine(app).await);
    }
    if has_schema {
        findings.add(work::examine(app).await);
    }
}
