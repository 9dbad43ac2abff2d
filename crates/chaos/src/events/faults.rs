//! What happens, and when: drawn from the seed.

use super::Services;
use crate::Arguments;
use crate::local::{Binary, INSTANCES};
use crate::world::World;
use fastrand::Rng;
use holdfast_app::pause;
use holdfast_devstack::gate::Gate;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two faults.
const PAUSE_MS: std::ops::Range<u64> = 200..1_500;

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker(usize),
    KillService(usize, usize),
    StopService(usize, usize),
    FreezeService(usize, usize, Duration),
    CrashRedis(Duration),
    SilenceRedis(Duration),
    CutSqs(Duration),
    CutPostgres(Duration),
    SilencePostgres(Duration),
}

impl Fault {
    fn draw(random: &mut Rng) -> Self {
        let instance = random.usize(0..INSTANCES);
        let service = random.usize(0..2);
        let outage = Duration::from_millis(random.u64(100..6_000));
        match random.u32(0..100) {
            0..20 => Self::KillWorker(instance),
            20..45 => Self::KillService(service, instance),
            45..53 => Self::StopService(service, instance),
            53..61 => Self::FreezeService(service, instance, outage),
            61..75 => Self::CrashRedis(outage / 2),
            75..81 => Self::SilenceRedis(outage),
            81..88 => Self::CutSqs(outage),
            88..94 => Self::CutPostgres(outage),
            _ => Self::SilencePostgres(outage),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::KillWorker(_) => "kill_worker",
            Self::KillService(..) => "kill_order_service",
            Self::StopService(..) => "terminate_order_service",
            Self::FreezeService(..) => "freeze_order_service",
            Self::CrashRedis(_) => "crash_redis",
            Self::SilenceRedis(_) => "silence_redis",
            Self::CutSqs(_) => "cut_sqs",
            Self::CutPostgres(_) => "cut_postgres_of_the_order_services",
            Self::SilencePostgres(_) => "silence_postgres_of_the_order_services",
        }
    }

    async fn happen(self, world: &World, services: &Services) -> anyhow::Result<()> {
        match self {
            Self::KillWorker(instance) => world.local()?.signal(Binary::Worker, instance, Signal::SIGKILL).await,
            Self::KillService(which, instance) => services.all[which].signal(instance, Signal::SIGKILL).await,
            Self::StopService(which, instance) => services.all[which].signal(instance, Signal::SIGTERM).await,
            Self::FreezeService(which, instance, time) => {
                services.all[which].signal(instance, Signal::SIGSTOP).await;
                pause(time).await;
                services.all[which].signal(instance, Signal::SIGCONT).await;
            }
            Self::CrashRedis(outage) => services.crash_redis(outage).await?,
            Self::SilenceRedis(outage) => services.shut_redis(Gate::freeze, outage).await,
            Self::CutPostgres(outage) => services.shut_postgres(Gate::close, outage).await,
            Self::SilencePostgres(outage) => services.shut_postgres(Gate::freeze, outage).await,
            Self::CutSqs(outage) => {
                world.local()?.sqs_gate.close();
                pause(outage).await;
                world.local()?.sqs_gate.open();
            }
        }
        Ok(())
    }
}

/// One after the other until the time is over. Answers how often each happened.
pub(crate) async fn attack(
    world: &World,
    services: &Services,
    arguments: &Arguments,
    time: Duration,
) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let (mut random, started, mut faults) = (Rng::with_seed(arguments.seed), Instant::now(), BTreeMap::new());
    while started.elapsed() < time && !world.is_stopping() {
        pause(Duration::from_millis(random.u64(PAUSE_MS))).await;
        let fault = Fault::draw(&mut random);
        *faults.entry(fault.name()).or_insert(0) += 1;
        fault.happen(world, services).await?;
        world.keep_running().await?;
        services.keep_running().await?;
    }
    Ok(faults)
}
