//! Names, and those of their addresses that may be called. What comes from here is what is connected to: nobody resolves
//! the name a second time, so that an answer that changes (DNS rebinding) is judged anew each time it is used.

use super::{Guard, Refused};
use crate::http_client::Resolve;
use hyper_util::client::legacy::connect::dns::Name;
use tower::{BoxError, ServiceExt as _, service_fn};

/// Like `resolver`, without what is not allowed. An error, if nothing is left.
pub(super) fn guarded(guard: Guard, resolver: impl Resolve) -> impl Resolve {
    service_fn(move |name: Name| {
        let (guard, resolver) = (guard.clone(), resolver.clone());
        async move {
            let host = name.as_str().to_owned();
            let found = resolver.oneshot(name).await.map_err(|error| unknown(&host, error.into()))?;
            // One with a port of its own would be called there, and not at the port of the URL, which was judged.
            let found = found.map(|mut found| {
                found.set_port(0);
                found
            });
            Ok::<_, BoxError>(guard.choose(&host, found)?.into_iter())
        }
    })
}

/// What it was is for us to know.
fn unknown(host: &str, error: BoxError) -> Refused {
    tracing::info!(name = host, error = &*error as &dyn std::error::Error, "a name of a callback was not found");
    Refused::Name
}
