//! `holdfast doctor`: looks at everything that Holdfast stands on, and says what to do. Changes nothing.

mod database;
mod events;
mod finding;
mod partners;
mod queues;
mod secrets;
mod work;

use crate::output::Format;
use clap::{Args, ValueEnum};
use finding::{Finding, Findings};
use holdfast_app::App;
use holdfast_app::config::{self, Config};
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
            findings.add([callbacks(&app.config)]);
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

/// Where clients are told. Whoever has an SQS of their own develops.
fn callbacks(config: &Config) -> Finding {
    let (callbacks, ports) = (&config.callbacks, config.callbacks.ports.as_slice().join(", "));
    let http = if callbacks.allow_http { " and http" } else { "" };
    let more = match callbacks.allow.as_slice() {
        [] => String::new(),
        allow => format!(", and to {}", allow.join(", ")),
    };
    let found = format!("go by https{http} to ports {ports} of public addresses{more}");
    let is_strict = !callbacks.allow_http && callbacks.allow.as_slice().is_empty();
    match is_strict || config.sqs.endpoint_url.is_some() {
        true => Finding::ok("callbacks", found),
        false => Finding::warn("callbacks", found)
            .so("clients choose where they go: see callbacks.allow_http and callbacks.allow, and docs/operations.md"),
    }
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
        findings.add(events::examine(app).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use finding::Level;

    #[test]
    fn what_is_for_development_is_warned_of_where_the_queues_are_awss_own() {
        let level = |settings: &[(&str, &str)]| {
            let required = [("DATABASE_URL", "postgres://host/db"), ("HOLDFAST__SERVER_KEY", "key")];
            let pairs = required.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            callbacks(&config::from_pairs(pairs.collect()).expect("valid")).level
        };
        let (sqs, http) =
            (("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566"), ("HOLDFAST__CALLBACKS__ALLOW_HTTP", "true"));
        let allow = ("HOLDFAST__CALLBACKS__ALLOW", "10.0.0.0/8");
        assert_eq!(level(&[]), Level::Ok);
        assert_eq!([level(&[http]), level(&[allow])], [Level::Warn; 2]);
        assert_eq!([level(&[http, sqs]), level(&[allow, sqs])], [Level::Ok; 2]);
    }
}
