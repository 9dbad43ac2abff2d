//! A backup of a stack's database, and its return to that time.

use crate::Stack;
use crate::surroundings::{app, database, unique_name};
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use tokio::process::Command;

pub struct Backup {
    dump: PathBuf,
    /// What is in it is no newer than this.
    pub taken_at: DateTime<Utc>,
}

impl Stack {
    pub async fn back_up(&self) -> Backup {
        let taken_at = self.app.pool.now().await.expect("ask for the time");
        let dump = self.logs.join("backup.sql");
        run(Command::new("pg_dump").arg("--dbname").arg(&self.database_url).arg("--file").arg(&dump)).await;
        Backup { dump, taken_at }
    }

    /// Another database, as it was then, takes the place of the present one. For as long as no binary runs.
    pub async fn restore(&mut self, backup: &Backup) {
        let database_url = database(&unique_name()).await;
        let quietly = ["--quiet", "--output", "/dev/null", "--set", "ON_ERROR_STOP=1"];
        run(Command::new("psql").args(quietly).arg("--dbname").arg(&database_url).arg("--file").arg(&backup.dump))
            .await;
        self.environment.insert("DATABASE_URL".to_owned(), database_url.clone());
        self.app = app(&self.environment, &database_url).await;
        self.pool = self.app.pool.connections().clone();
        self.database_url = database_url;
    }
}

async fn run(command: &mut Command) {
    let status = command.status().await.expect("the clients of Postgres are installed");
    assert!(status.success(), "{command:?}");
}
