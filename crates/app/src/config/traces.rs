//! Whether traces are exported, by the variables that are standard for it. The rest of them OpenTelemetry's SDK reads by
//! itself.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// Whether what a client does not sample is not sampled here either.
    pub parent_based: bool,
    /// What we are called.
    pub service_name: Option<String>,
}

impl Traces {
    /// `None`: they are not exported.
    pub(super) fn read(environment: &BTreeMap<String, String>) -> Option<Self> {
        let set = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|value| value.eq_ignore_ascii_case("none"));
        set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT")).filter(|_| !off)?;
        // What the SDK does not know it takes for `parentbased_always_on`.
        let on_its_own = ["always_on", "always_off", "traceidratio"];
        let parent_based = set("OTEL_TRACES_SAMPLER").is_none_or(|sampler| !on_its_own.contains(&sampler));
        Some(Self { parent_based, service_name: set("OTEL_SERVICE_NAME").map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Option<Traces> {
        Traces::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces() {
        assert_eq!(read(&[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
        let endpoint = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces");
        assert_eq!(read(&[endpoint]), Some(Traces { parent_based: true, service_name: None }));
        let named = read(&[endpoint, ("OTEL_SERVICE_NAME", "us")]).expect("there is an endpoint");
        assert_eq!(named.service_name.as_deref(), Some("us"));
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), None);
    }

    #[test]
    fn a_sampler_may_ignore_what_the_client_has_decided() {
        let parent_based = |sampler| {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
            read(&[endpoint, ("OTEL_TRACES_SAMPLER", sampler)]).expect("there is an endpoint").parent_based
        };
        assert!(parent_based("parentbased_traceidratio") && parent_based("misspelt"));
        assert!(!parent_based("traceidratio") && !parent_based("always_on"));
    }
}
