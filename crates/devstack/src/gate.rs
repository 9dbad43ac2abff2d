//! A TCP proxy in front of a service, which can be closed (the service is unreachable, for real) or frozen (it has
//! vanished: nothing is refused, nothing is answered).

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Gate {
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Frozen,
}

impl Gate {
    /// Listens in front of `target`, open.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(watch::Sender::new(State::Open));
        let states = state.subscribe();
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                tokio::spawn(pass(inbound, target, states.clone()));
            }
        });
        Self { address, state }
    }

    /// Cuts every connection and refuses new ones.
    pub fn close(&self) {
        self.state.send_replace(State::Closed);
    }

    /// Lets no byte through any more, and cuts nothing.
    pub fn freeze(&self) {
        self.state.send_replace(State::Frozen);
    }

    /// Takes new connections; those that were frozen are cut.
    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }
}

/// Until one side ends or the gate is closed. What came in while it was frozen is never answered.
async fn pass(mut inbound: TcpStream, target: SocketAddr, mut states: watch::Receiver<State>) {
    if *states.borrow() == State::Open {
        let Ok(mut outbound) = TcpStream::connect(target).await else { return };
        tokio::select! {
            _ended = copy_bidirectional(&mut inbound, &mut outbound) => return,
            _changed = states.wait_for(|state| *state != State::Open) => {}
        }
        // Both streams are held until then: nobody is told anything.
        states.wait_for(|state| *state != State::Frozen).await.ok();
    } else {
        states.wait_for(|state| *state != State::Frozen).await.ok();
    }
}
