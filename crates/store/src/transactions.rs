//! The business rows of transactions.

use crate::wakeups::Hold;
use crate::{Error, Pool, Result};
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::{ClientNo, CommandId, CommandNo, Lane, Status, Token};

#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// The claim under which it is recorded.
    pub hold: Hold,
    pub client: ClientNo,
    pub amount: Money,
    /// Who will carry it out.
    pub partner: String,
}

/// Inserts what is absent, and answers for each claim that stands which partner its row names. Not returned: the claim
/// is lost. The number of a command whose commit was lost in a failover is given to another one; the fence keeps the
/// first one's row out of the second one's place.
pub async fn record(pool: &Pool, transactions: &[NewTransaction]) -> Result<Vec<(Hold, String)>> {
    let nos: Vec<i64> = transactions.iter().map(|transaction| transaction.hold.no.0).collect();
    let tokens: Vec<i64> = transactions.iter().map(|transaction| transaction.hold.token.0).collect();
    let clients: Vec<i32> = transactions.iter().map(|transaction| transaction.client.0).collect();
    let amounts: Vec<i64> = transactions.iter().map(|transaction| transaction.amount.minor()).collect();
    let currencies: Vec<&str> = transactions.iter().map(|transaction| transaction.amount.currency().code()).collect();
    let partners: Vec<&str> = transactions.iter().map(|transaction| transaction.partner.as_str()).collect();
    let query = sqlx::query!(
        r#"with d as materialized (
             select d.*
               from unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::smallint[])
                 as d(no, token, client, amount, currency, partner, lane)
               join wakeups w on w.no = any(array[d.no]) and w.lane + 0 = d.lane
              where w.token = d.token
           ),
           i as (
             insert into transactions (no, client, amount, currency, partner)
             select no, client, amount, currency, partner from d order by no
                 on conflict (no) do nothing
             returning no
           )
           -- A statement does not see what it inserts: each row comes from one of the two.
           select d.no as "no!", d.token as "token!", coalesce(t.partner, d.partner) as "partner!"
             from d
             left join transactions t on t.no = d.no
            where t.no is not null or d.no in (select no from i)"#,
        &nos,
        &tokens,
        &clients,
        &amounts,
        &currencies as &[&str],
        &partners as &[&str],
        &vec![Lane::Run.code(); transactions.len()],
    );
    let rows = pool.fetch_all(query).await?;
    let recorded = rows.into_iter().map(|row| (Hold { no: CommandNo(row.no), token: Token(row.token) }, row.partner));
    Ok(recorded.collect())
}

/// A recorded transaction, for whoever wants to refund it.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    pub no: CommandNo,
    pub currency: Currency,
    /// `completed` never changes.
    pub status: Option<Status>,
}

/// The transaction under this id, if this client has one and it was recorded.
pub async fn find(pool: &Pool, client: ClientNo, id: CommandId) -> Result<Option<Recorded>> {
    let query = sqlx::query!(
        r#"select t.no, t.currency, o.status as "status?"
             from commands c
             join transactions t on t.no = c.no
             left join outcomes o on o.no = c.no
            where c.id = $1 and c.client = $2"#,
        id.0,
        client.0
    );
    let Some(row) = pool.fetch_optional(query).await? else { return Ok(None) };
    let currency = Currency::parse(&row.currency).ok_or(Error::Unreadable { what: "transaction currency" })?;
    let status = row.status.as_deref().and_then(Status::from_name);
    Ok(Some(Recorded { no: CommandNo(row.no), currency, status }))
}
