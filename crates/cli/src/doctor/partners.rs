//! Third parties: do they answer a lookup? Nothing is ever created there.

use super::finding::Finding;
use holdfast_app::App;
use holdfast_app::config::Config;
use holdfast_app::endpoint::HttpClient;
use holdfast_app::partnership::{self, Partnership};
use holdfast_domain::{ClientNo, CommandId, Kind};
use holdfast_partners::Exchange;
use holdfast_partners::generic::LookedUp;

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    let client = match HttpClient::build() {
        Ok(client) => client,
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            return vec![Finding::fail("partners", found).so("this machine needs certificates of public authorities")];
        }
    };
    let partnerships = match partnership::build(&app.config, &client) {
        Ok(partnerships) => partnerships,
        Err(error) => return vec![Finding::fail("partners", format!("{error:#}")).so("mend that section")],
    };
    futures::future::join_all(partnerships.values().map(|partnership| ask(app, partnership))).await
}

/// Asks what stands under an id that no client can have.
async fn ask(app: &App, partnership: &Partnership) -> Finding {
    let Some(kind) = kind_of(&app.config, &partnership.name) else {
        return Finding::warn(about(&partnership.name), "no kind of command goes to it").so("remove its section");
    };
    let id = CommandId::compute(&app.server_key, ClientNo(0), kind, "doctor");
    let exchange = partnership.partner.lookup(kind, id, None).await;
    let name = &partnership.name;
    match exchange.http_status {
        Some(status @ (401 | 403)) => judge_refusal(name, status, partnership.terms.auth_header.is_some()),
        _ => judge(name, &exchange),
    }
}

/// One of the kinds that it takes part in.
fn kind_of(config: &Config, name: &str) -> Option<Kind> {
    let takes = |kind: &Kind| match kind {
        Kind::Transaction => config.transactions.partner == name,
        Kind::Refund => config.refunds.partners.iter().any(|partner| partner == name),
        Kind::Order => config.orders.partner.as_deref() == Some(name),
    };
    Kind::ALL.into_iter().find(takes)
}

fn about(name: &str) -> String {
    format!("partner {name}")
}

fn judge(name: &str, exchange: &Exchange<LookedUp>) -> Finding {
    let about = about(name);
    match (&exchange.outcome, exchange.http_status) {
        (LookedUp::NotFound, _) => Finding::ok(about, format!("answers a lookup in {} ms", exchange.took.as_millis())),
        (LookedUp::Found(_), _) => Finding::fail(about, "has found a command that never was")
            .so("its lookups prove nothing like this: see its base_url, and the partner contract in the README"),
        (LookedUp::Failed(why), Some(status)) => Finding::warn(about, format!("answers a lookup with {status}: {why}"))
            .so("a lookup of an unknown id must be a 404: see its base_url, or ask the partner"),
        (LookedUp::Failed(why), None) => Finding::fail(about, format!("does not answer: {why}"))
            .so(format!("see partners.{name}.base_url and the network; its commands wait meanwhile")),
    }
}

/// Operators may be trusted with less than workers are.
fn judge_refusal(name: &str, status: u16, with_credentials: bool) -> Finding {
    let advice = format!("see partners.{name}.auth_header");
    match with_credentials {
        true => Finding::fail(about(name), format!("refuses our credentials ({status})")).so(advice),
        false => {
            Finding::warn(about(name), format!("answers {status}, and no credentials are configured here")).so(advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_not_found_is_the_right_answer() {
        let failed = || LookedUp::Failed("x".to_owned());
        let levels = [
            (LookedUp::NotFound, Some(404), Level::Ok),
            (failed(), Some(503), Level::Warn),
            (failed(), None, Level::Fail),
        ];
        for (outcome, http_status, level) in levels {
            let exchange = Exchange { outcome, http_status, took: Duration::from_millis(3) };
            assert_eq!(judge("p", &exchange).level, level, "{exchange:?}");
        }
        assert_eq!(judge_refusal("p", 401, true).level, Level::Fail);
        assert_eq!(judge_refusal("p", 401, false).level, Level::Warn);
    }
}
