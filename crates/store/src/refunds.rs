//! The business rows of refunds, and the sum that they reserve of a transaction.

use crate::wakeups::Hold;
use crate::{Error, Pool, Result};
use holdfast_domain::money::{Currency, Money};
use holdfast_domain::{ClientNo, CommandNo, Lane, Token};

#[derive(Clone, Debug)]
pub struct NewRefund {
    /// The claim under which it is recorded.
    pub hold: Hold,
    pub client: ClientNo,
    /// The completed transaction of ours that it refunds, if it is one of ours.
    pub transaction: Option<CommandNo>,
    /// Without one, all that is left of the transaction.
    pub amount: Option<Money>,
    pub currency: Currency,
    /// Who must take part, in this order.
    pub partners: Vec<String>,
}

/// What stands in the row.
#[derive(Clone, Debug)]
pub struct Reserved {
    pub amount: Money,
    pub partners: Vec<String>,
}

/// Inserts what is absent and reserves its sum of the transaction, never more than is left (PROTOCOL 19). Answers for each
/// claim that stands what is reserved, `None` if too little is left. Not returned: the claim is lost.
///
/// At most one refund of each transaction may be in the slice: an update applies only one of several sources.
pub async fn record(pool: &Pool, refunds: &[&NewRefund]) -> Result<Vec<(Hold, Option<Reserved>)>> {
    let nos: Vec<i64> = refunds.iter().map(|refund| refund.hold.no.0).collect();
    let tokens: Vec<i64> = refunds.iter().map(|refund| refund.hold.token.0).collect();
    let clients: Vec<i32> = refunds.iter().map(|refund| refund.client.0).collect();
    let transactions: Vec<Option<i64>> = refunds.iter().map(|refund| refund.transaction.map(|no| no.0)).collect();
    let amounts: Vec<Option<i64>> = refunds.iter().map(|refund| refund.amount.map(Money::minor)).collect();
    let currencies: Vec<&str> = refunds.iter().map(|refund| refund.currency.code()).collect();
    // Names of partners have no commas: they are keys of the configuration.
    let partners: Vec<String> = refunds.iter().map(|refund| refund.partners.join(",")).collect();
    let query = sqlx::query!(
        r#"with d as materialized (
             select d.*
               from wakeups w
               join unnest($1::bigint[], $2::bigint[], $3::int[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                           $8::smallint[])
                 as d(no, token, client, transaction, amount, currency, partners, lane)
                 on w.no = any(array[d.no]) and w.lane + 0 = d.lane
              where w.token = d.token
              order by d.no
                -- A claim that lapses now must wait for us: two holders would both reserve.
                for update of w
           ),
           l as materialized (
             select d.no, t.no as transaction, coalesce(d.amount, t.amount - t.refunded) as amount
               from d
               join transactions t on t.no = d.transaction
              where not exists (select from refunds r where r.no = d.no)
              order by t.no
                for update of t
           ),
           u as (
             update transactions t
                set refunded = t.refunded + l.amount
               from l
              where t.no = l.transaction and l.amount > 0 and t.refunded + l.amount <= t.amount
             returning l.no, l.amount
           ),
           i as (
             insert into refunds (no, client, transaction, amount, currency, partners)
             select d.no, d.client, d.transaction, coalesce(u.amount, d.amount), d.currency,
                    string_to_array(d.partners, ',')
               from d
               left join u on u.no = d.no
              where (d.transaction is null or u.no is not null)
                and not exists (select from refunds r where r.no = d.no)
             returning no, amount, currency, partners
           )
           -- A statement does not see what it inserts: each row comes from one of the two.
           select d.no as "no!", d.token as "token!", coalesce(i.amount, r.amount) as amount,
                  coalesce(i.currency, r.currency) as currency, coalesce(i.partners, r.partners) as partners
             from d
             left join i on i.no = d.no
             left join refunds r on r.no = d.no"#,
        &nos,
        &tokens,
        &clients,
        &transactions as &[Option<i64>],
        &amounts as &[Option<i64>],
        &currencies as &[&str],
        &partners,
        &vec![Lane::Run.code(); refunds.len()],
    );
    let rows = pool.fetch_all(query).await?;
    rows.into_iter()
        .map(|row| {
            let hold = Hold { no: CommandNo(row.no), token: Token(row.token) };
            Ok((hold, reserved(row.amount, row.currency, row.partners)?))
        })
        .collect()
}

fn reserved(amount: Option<i64>, currency: Option<String>, partners: Option<Vec<String>>) -> Result<Option<Reserved>> {
    let (Some(amount), Some(currency), Some(partners)) = (amount, currency, partners) else { return Ok(None) };
    let amount = Currency::parse(&currency).and_then(|currency| Money::from_minor(amount, currency));
    let amount = amount.ok_or(Error::Unreadable { what: "refund amount" })?;
    Ok(Some(Reserved { amount, partners }))
}
