//! Asking the system for the addresses of names that clients have chosen. It has no deadline of its own and holds a thread for
//! as long as somebody's name server likes: few of them at once, or none would be left for the names of partners.

use crate::http_client::Resolve;
use hyper_util::client::legacy::connect::dns::Name;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::vec::IntoIter;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tower::{BoxError, service_fn};

/// The runtime has 512 threads for all that blocks.
const AT_ONCE: usize = 32;

pub(super) fn resolver() -> impl Resolve {
    bounded(AT_ONCE, |name| (name, 0).to_socket_addrs())
}

/// Who gives up waiting leaves its thread behind: a place is free when the thread is.
fn bounded(at_once: usize, look_up: fn(&str) -> io::Result<IntoIter<SocketAddr>>) -> impl Resolve {
    let places = Arc::new(Semaphore::new(at_once));
    service_fn(move |name: Name| {
        let places = Arc::clone(&places);
        async move {
            let place = places.acquire_owned().await?;
            let looking = spawn_blocking(move || {
                let found = look_up(name.as_str());
                drop(place);
                found
            });
            Ok::<_, BoxError>(looking.await??)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};
    use tokio::task::JoinSet;
    use tower::ServiceExt as _;

    /// How many have begun, and whether the slow name server answers.
    static BEGUN: Mutex<(usize, bool)> = Mutex::new((0, false));
    static CHANGED: Condvar = Condvar::new();

    fn slow(_name: &str) -> io::Result<IntoIter<SocketAddr>> {
        let mut state = BEGUN.lock().expect("no panic");
        state.0 += 1;
        CHANGED.notify_all();
        drop(CHANGED.wait_while(state, |state| !state.1).expect("no panic"));
        Ok(Vec::new().into_iter())
    }

    #[tokio::test]
    async fn lookups_that_nobody_waits_for_any_more_keep_their_places() {
        let resolver = bounded(2, slow);
        let ask = || {
            let resolver = resolver.clone();
            async move { resolver.oneshot("slow.example".parse().expect("a name")).await.is_ok() }
        };
        let mut gone = JoinSet::new();
        (0..2).for_each(|_| drop(gone.spawn(ask())));
        let both = || drop(CHANGED.wait_while(BEGUN.lock().expect("no panic"), |state| state.0 < 2).expect("no panic"));
        spawn_blocking(both).await.expect("both have begun");
        gone.shutdown().await;
        let mut third = Box::pin(ask());
        tokio::select! {
            biased;
            _ = &mut third => panic!("it has a thread"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(BEGUN.lock().expect("no panic").0, 2);
        BEGUN.lock().expect("no panic").1 = true;
        CHANGED.notify_all();
        assert!(third.await, "its turn has come");
        assert_eq!(BEGUN.lock().expect("no panic").0, 3);
    }
}
