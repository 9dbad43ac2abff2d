//! A TCP proxy in front of a service, which can be closed: the service is then unreachable, for real.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Gate {
    pub address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// Listens in front of `target`, open.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind a free port");
        let address = listener.local_addr().expect("read the port");
        let open = Arc::new(watch::Sender::new(true));
        let opening = open.subscribe();
        tokio::spawn(async move {
            while let Ok((inbound, _)) = listener.accept().await {
                if *opening.borrow() {
                    tokio::spawn(pass(inbound, target, opening.clone()));
                }
            }
        });
        Self { address, open }
    }

    /// Cuts every connection and refuses new ones.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

/// Until one side ends or the gate is closed.
async fn pass(mut inbound: TcpStream, target: SocketAddr, mut opening: watch::Receiver<bool>) {
    let Ok(mut outbound) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ended = copy_bidirectional(&mut inbound, &mut outbound) => {}
        _closed = opening.wait_for(|open| !open) => {}
    }
}
