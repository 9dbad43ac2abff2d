//! The business rows of transactions.

use crate::Result;
use holdfast_domain::money::Money;
use holdfast_domain::{ClientNo, CommandNo};
use sqlx::PgPool;

#[derive(Clone, Copy, Debug)]
pub struct NewTransaction {
    pub no: CommandNo,
    pub client: ClientNo,
    pub amount: Money,
}

/// Inserts what is absent. Needs no fence: the row is a function of the command, whoever writes it.
pub async fn record(pool: &PgPool, transactions: &[NewTransaction]) -> Result<()> {
    let nos: Vec<i64> = transactions.iter().map(|transaction| transaction.no.0).collect();
    let clients: Vec<i32> = transactions.iter().map(|transaction| transaction.client.0).collect();
    let amounts: Vec<i64> = transactions.iter().map(|transaction| transaction.amount.minor()).collect();
    let currencies: Vec<&str> = transactions.iter().map(|transaction| transaction.amount.currency().code()).collect();
    sqlx::query!(
        "insert into transactions (no, client, amount, currency)
         select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[])
          order by 1
             on conflict (no) do nothing",
        &nos,
        &clients,
        &amounts,
        &currencies as &[&str],
    )
    .execute(pool)
    .await?;
    Ok(())
}
