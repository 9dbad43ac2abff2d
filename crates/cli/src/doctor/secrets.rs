//! Can every secret in the database be opened, and is it sealed as it should be?

use super::finding::Finding;
use holdfast_app::App;
use holdfast_app::vault::{DERIVED, Vault, sealing};
use holdfast_store::secrets;

const ABOUT: &str = "secrets";

pub(super) async fn examine(app: &App) -> Vec<Finding> {
    match looked_through(app).await {
        Ok((counted, closed)) => judge(&counted).into_iter().chain(judge_closed(&closed)).collect(),
        Err(error) => vec![Finding::fail(ABOUT, format!("{error:#}"))],
    }
}

/// How many there are of each, and whose cannot be opened, whatever key they name.
async fn looked_through(app: &App) -> anyhow::Result<(Vec<Counted>, Vec<Closed>)> {
    let counted = counted(app).await?;
    Ok((counted, sealing::seal(app, true, |_| {}).await?.closed))
}

/// A client, and why.
type Closed = (String, String);

fn judge_closed(closed: &[Closed]) -> Option<Finding> {
    let (client, why) = closed.first()?;
    let found = format!("those of {} clients do not open: of {client}, {why}", closed.len());
    Some(Finding::fail(ABOUT, found).so("configure their keys, or have them exchanged: these clients' callbacks wait"))
}

/// How many secrets are sealed with the same key.
struct Counted {
    count: i64,
    with: With,
}

enum With {
    Nothing,
    Present(String),
    /// One before it.
    Old(String),
    Unknown(String),
}

async fn counted(app: &App) -> anyhow::Result<Vec<Counted>> {
    let current = app.vault.current().await?;
    let mut counted = Vec::new();
    for (key, count) in secrets::keys(&app.pool).await? {
        counted.push(Counted { count, with: with(&app.vault, &current, key).await? });
    }
    Ok(counted)
}

async fn with(vault: &Vault, current: &str, key: Option<String>) -> anyhow::Result<With> {
    Ok(match key {
        None => With::Nothing,
        Some(key) if key == current => With::Present(key),
        Some(key) if vault.knows(&key).await? => With::Old(key),
        Some(key) => With::Unknown(key),
    })
}

fn judge(counted: &[Counted]) -> Vec<Finding> {
    const SEAL: &str = "run `holdfast secrets seal`";
    let finding = |Counted { count, with }: &Counted| match with {
        With::Nothing => Finding::warn(ABOUT, format!("{count} are in plain")).so(SEAL),
        With::Old(key) => Finding::warn(ABOUT, format!("{count} are sealed with the key {key}, an old one")).so(SEAL),
        With::Unknown(key) => {
            let found = format!("{count} are sealed with the key {key}, which is not configured");
            Finding::fail(ABOUT, found)
                .so("configure it, or have these clients' secrets exchanged: their callbacks wait")
        }
        With::Present(key) if key == DERIVED => {
            Finding::ok(ABOUT, format!("{count} are sealed, with a key that is derived from server_key"))
        }
        With::Present(key) => Finding::ok(ABOUT, format!("{count} are sealed with the key {key}")),
    };
    counted.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn what_cannot_be_opened_fails_and_what_should_be_sealed_anew_warns() {
        let key = || "2026-11".to_owned();
        let all = [With::Nothing, With::Present(key()), With::Old(key()), With::Unknown(key())];
        let counted: Vec<_> = all.into_iter().map(|with| Counted { count: 1, with }).collect();
        let levels: Vec<_> = judge(&counted).into_iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Warn, Level::Ok, Level::Warn, Level::Fail]);
    }
}
