//! The parts of a command in concert: the requests, statements and calls that it cannot do without, all of them at a time, in
//! batches as large as they get, and no program between them.

use crate::ledger::Taken;
use crate::load::Client;
use crate::mock::histogram;
use crate::parts::{BATCH, Instruments, TEN};
use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use holdfast_app::pause;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};

/// Connections of the even load.
const CONNECTIONS: usize = 16;

const TIME: Duration = Duration::from_secs(2);

/// More than anybody carries in that time.
const WAITING: usize = 64_000;

/// Between the turns of what is done for all commands that have come meanwhile.
const TURN: Duration = Duration::from_millis(5);

/// What is played.
#[derive(Clone, Copy)]
pub(crate) struct Score {
    /// A request, a row, a message sent.
    accepts: bool,
    /// A message received, four statements, two requests.
    carries: bool,
    /// By whom: the best of these counts.
    ensembles: &'static [Ensemble],
}

/// Who play at a time, with how many commands in hand and over how many connections each.
#[derive(Clone, Copy)]
struct Ensemble {
    players: usize,
    in_hand: usize,
    connections: usize,
}

impl Score {
    /// As many in hand as there are clients, who wait for their answers.
    pub(crate) const ACCEPT: Self = Self {
        accepts: true,
        carries: false,
        ensembles: &[Ensemble::of(1, 64, 64), Ensemble::of(2, 32, 32), Ensemble::of(4, 16, 16)],
    };
    pub(crate) const CARRY: Self = Self {
        accepts: false,
        carries: true,
        ensembles: &[Ensemble::of(4, BATCH, 16), Ensemble::of(8, BATCH, 16), Ensemble::of(16, BATCH, 16)],
    };
    pub(crate) const BOTH: Self = Self { accepts: true, ..Self::CARRY };
    /// Both, where third party and client take their time: a connection for each command in hand.
    pub(crate) const PATIENT: Self = Self {
        ensembles: &[Ensemble::of(4, BATCH, BATCH), Ensemble::of(8, BATCH, BATCH), Ensemble::of(16, BATCH, BATCH)],
        ..Self::BOTH
    };
}

impl Ensemble {
    const fn of(players: usize, in_hand: usize, connections: usize) -> Self {
        Self { players, in_hand, connections }
    }
}

/// Commands per second.
pub(crate) async fn per_second(instruments: &Instruments, score: Score) -> anyhow::Result<f64> {
    let mut best: f64 = 0.0;
    for ensemble in score.ensembles {
        best = best.max(play(instruments, score, *ensemble).await?);
    }
    Ok(best)
}

async fn play(instruments: &Instruments, score: Score, ensemble: Ensemble) -> anyhow::Result<f64> {
    let Score { accepts, carries, .. } = score;
    let Ensemble { players: count, in_hand, connections } = ensemble;
    let mut players = Vec::new();
    for no in 0..count {
        let name = format!("{accepts}-{carries}-{connections}-{count}-{no}");
        let clients = connect(instruments, connections).await?;
        let instruments = instruments.clone();
        let mut player = Player { instruments, score, in_hand, clients, name, accepted: VecDeque::new() };
        if !accepts {
            player.prepare(WAITING / count).await.context("accept what is to be carried")?;
        }
        players.push(player);
    }
    let started = Instant::now();
    let mut playing: JoinSet<_> = players.into_iter().map(|player| player.play(started)).collect();
    let mut played = 0;
    while let Some(player) = playing.join_next().await {
        played += player.context("a player died")??;
    }
    Ok(played as f64 / started.elapsed().as_secs_f64())
}

struct Player {
    instruments: Instruments,
    score: Score,
    in_hand: usize,
    clients: Vec<Client>,
    name: String,
    accepted: VecDeque<Vec<Taken>>,
}

impl Player {
    async fn prepare(&mut self, count: usize) -> anyhow::Result<()> {
        for from in (0..count).step_by(self.in_hand) {
            self.accepted.push_back(self.instruments.ledger.accept(&self.name, from, self.in_hand).await?);
            send(&self.instruments, self.in_hand).await?;
        }
        Ok(())
    }

    async fn play(mut self, started: Instant) -> anyhow::Result<usize> {
        let (mut played, mut sending) = (0, None);
        while started.elapsed() < TIME {
            if self.score.accepts {
                request(&mut self.clients, Client::SUBMISSION, self.in_hand).await?;
                self.accepted.push_back(self.instruments.ledger.accept(&self.name, played, self.in_hand).await?);
                // No client waits for it.
                let (instruments, count) = (self.instruments.clone(), self.in_hand);
                let next = tokio::spawn(async move { send(&instruments, count).await });
                sent(sending.replace(next)).await?;
            }
            if self.score.carries {
                let accepted = self.accepted.pop_front().context("nothing is left to be carried")?;
                carry(&self.instruments, &mut self.clients, &accepted).await?;
            }
            played += self.in_hand;
        }
        sent(sending).await?;
        Ok(played)
    }
}

async fn sent(sending: Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    match sending {
        Some(sending) => sending.await.context("a sender died")?,
        None => Ok(()),
    }
}

/// Latencies of a request and its row, at an even rate, while the rest of each command is done beside it.
pub(crate) async fn steady(instruments: &Instruments, per_second: u32) -> anyhow::Result<Histogram<u64>> {
    let clients = Arc::new(Mutex::new(try_join_all((0..64).map(|_| Client::connect(&instruments.nobody))).await?));
    let (accepted, to_carry) = mpsc::unbounded_channel();
    let carrying = tokio::spawn(carry_all(instruments.clone(), to_carry));
    let mut requests = JoinSet::new();
    let started = Instant::now();
    for n in 0_u32.. {
        let at = started + Duration::from_secs(n.into()) / per_second;
        if at.duration_since(started) >= TIME {
            break;
        }
        tokio::time::sleep_until(at.into()).await;
        let (instruments, clients, accepted) = (instruments.clone(), Arc::clone(&clients), accepted.clone());
        requests.spawn(async move {
            let free = clients.lock().await.pop();
            let mut client = match free {
                Some(client) => client,
                None => Client::connect(&instruments.nobody).await?,
            };
            client.post(Client::SUBMISSION).await?;
            let row = instruments.ledger.accept("steady", n as usize, 1).await?;
            let took = at.elapsed();
            clients.lock().await.push(client);
            accepted.send(row).ok();
            anyhow::Ok(took)
        });
    }
    drop(accepted);
    let mut latencies = histogram();
    while let Some(took) = requests.join_next().await {
        latencies.saturating_record(took.context("a request died")??.as_micros() as u64);
    }
    carrying.await.context("the carrier died")??;
    Ok(latencies)
}

/// In turns: what has come meanwhile.
async fn carry_all(instruments: Instruments, mut to_carry: mpsc::UnboundedReceiver<Vec<Taken>>) -> anyhow::Result<()> {
    let mut clients = connect(&instruments, CONNECTIONS).await?;
    let mut waiting = Vec::new();
    while to_carry.recv_many(&mut waiting, BATCH).await > 0 {
        let accepted = waiting.drain(..).flatten().collect::<Vec<_>>();
        send(&instruments, accepted.len()).await?;
        carry(&instruments, &mut clients, &accepted).await?;
        pause(TURN).await;
    }
    Ok(())
}

async fn carry(instruments: &Instruments, clients: &mut [Client], accepted: &[Taken]) -> anyhow::Result<()> {
    let (count, ledger) = (accepted.len(), &instruments.ledger);
    let received = try_join_all((0..count.div_ceil(TEN)).map(|_| instruments.receive())).await?;
    ensure!(received.iter().any(|received| *received > 0), "nothing came");
    let claimed = ledger.begin(accepted).await?;
    request(clients, Client::CREATION, count).await?;
    let finished = ledger.finish(&claimed).await?;
    request(clients, Client::CALLBACK, count).await?;
    ledger.told(&finished).await
}

async fn connect(instruments: &Instruments, connections: usize) -> anyhow::Result<Vec<Client>> {
    try_join_all((0..connections).map(|_| Client::connect(&instruments.nobody))).await
}

/// So many, over all connections.
async fn request(clients: &mut [Client], path: &str, count: usize) -> anyhow::Result<()> {
    let connections = clients.len();
    let each = clients.iter_mut().enumerate().map(|(at, client)| async move {
        for _ in (at..count).step_by(connections) {
            client.post(path).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(each).await.map(drop)
}

async fn send(instruments: &Instruments, count: usize) -> anyhow::Result<()> {
    let calls = (0..count).step_by(TEN).map(|from| instruments.send(TEN.min(count - from)));
    try_join_all(calls).await.map(drop)
}
