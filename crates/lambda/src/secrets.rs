//! Settings that are secrets. ECS resolves them before a container starts; AWS Lambda leaves that to the function.

use anyhow::Context as _;
use aws_config::BehaviorVersion;
use aws_sdk_secretsmanager::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What one request gets.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Secret<'a> {
    arn: &'a str,
    version_stage: Option<&'a str>,
    version_id: Option<&'a str>,
}

/// A secret, or one key of a secret that is a JSON object, written as in a task definition of ECS:
/// `arn:aws:secretsmanager:region:account:secret:name`, with nothing or `:key:version-stage:version-id` behind it.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    secret: Secret<'a>,
    key: Option<&'a str>,
}

/// Parts of an ARN of Secrets Manager.
const ARN: usize = 7;

impl<'a> Reference<'a> {
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        let cut = text.match_indices(':').nth(ARN - 1).map(|(at, _)| at);
        let (arn, rest) = cut.map_or((text, ""), |at| (&text[..at], &text[at + 1..]));
        let is_secret = arn.split(':').count() == ARN && arn.split(':').nth(2) == Some("secretsmanager");
        // It is not repeated: somebody may have put the secret itself there.
        anyhow::ensure!(is_secret, "it is no ARN of a secret");
        let mut parts = rest.split(':').map(|part| Some(part).filter(|part| !part.is_empty()));
        let mut next = || parts.next().flatten();
        let (key, version_stage, version_id) = (next(), next(), next());
        anyhow::ensure!(parts.next().is_none(), "{text}: what follows the ARN is not key:version-stage:version-id");
        Ok(Self { secret: Secret { arn, version_stage, version_id }, key })
    }
}

/// Fetches each secret once. Takes and gives settings by name.
pub async fn fetch(references: &BTreeMap<String, String>) -> anyhow::Result<BTreeMap<String, String>> {
    if references.is_empty() {
        return Ok(BTreeMap::new());
    }
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let mut fetched: BTreeMap<Secret<'_>, String> = BTreeMap::new();
    let mut settings = BTreeMap::new();
    for (name, text) in references {
        let reference = Reference::parse(text).with_context(|| format!("the secret of {name}"))?;
        let value = match fetched.entry(reference.secret) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let value = get(&client, unknown.key()).await;
                unknown.insert(value.with_context(|| format!("fetch the secret of {name}"))?)
            }
        };
        let setting = read(value, reference.key).with_context(|| format!("the secret of {name}"))?;
        settings.insert(name.clone(), setting);
    }
    Ok(settings)
}

async fn get(client: &Client, secret: &Secret<'_>) -> anyhow::Result<String> {
    let Secret { arn, version_stage, version_id } = *secret;
    let request = client.get_secret_value().secret_id(arn);
    let request =
        request.set_version_stage(version_stage.map(str::to_owned)).set_version_id(version_id.map(str::to_owned));
    let answer = request.send().await.map_err(aws_sdk_secretsmanager::Error::from)?;
    answer.secret_string.context("it is not text")
}

fn read(value: &str, key: Option<&str>) -> anyhow::Result<String> {
    let Some(key) = key else { return Ok(value.to_owned()) };
    // Neither the value nor where in it a parser stumbled belongs into a log.
    let Ok(Value::Object(mut object)) = serde_json::from_str(value) else { anyhow::bail!("it is no JSON object") };
    match object.remove(key) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => anyhow::bail!("it has no text under the key {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:db-AbCdEf";

    #[test]
    fn references_are_those_of_ecs() {
        let parse = |behind: &str| {
            let text = format!("{ARN}{behind}");
            let reference = Reference::parse(&text).expect("a reference");
            assert_eq!(reference.secret.arn, ARN);
            let owned = |part: Option<&str>| part.map(str::to_owned);
            (owned(reference.key), owned(reference.secret.version_stage), owned(reference.secret.version_id))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parse(""), (None, None, None));
        assert_eq!(parse(":password::"), (some("password"), None, None));
        assert_eq!(parse("::AWSPREVIOUS:"), (None, some("AWSPREVIOUS"), None));
        assert_eq!(parse(":a:AWSCURRENT:1-2"), (some("a"), some("AWSCURRENT"), some("1-2")));
        for wrong in ["", "password", "arn:aws:sqs:eu-west-1:000000000000:queue:a", &format!("{ARN}:a:b:c:d")] {
            assert!(Reference::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_that_of_a_json_object() {
        let value = r#"{"password":"geheim","port":5432,"more":{}}"#;
        assert_eq!(read(value, Some("password")).expect("there"), "geheim");
        assert_eq!(read(value, Some("port")).expect("there"), "5432");
        assert_eq!(read(value, None).expect("all of it"), value);
        for (value, key) in [(value, "user"), (value, "more"), ("geheim", "password"), ("[]", "password")] {
            let error = read(value, Some(key)).expect_err("not there");
            assert!(!format!("{error:#}").contains("geheim"), "{error:#}");
        }
    }
}
