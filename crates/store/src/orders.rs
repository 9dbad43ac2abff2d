//! The business rows of orders.

use crate::wakeups::Hold;
use crate::{Pool, Result};
use holdfast_domain::money::Money;
use holdfast_domain::{ClientNo, CommandNo, Lane, Token};

#[derive(Clone)]
pub struct NewOrder {
    /// The claim under which it is recorded.
    pub hold: Hold,
    pub client: ClientNo,
    pub user_id: String,
    pub product_name: String,
    pub quantity: i64,
    pub total_price: Money,
    /// Who will fulfil it.
    pub partner: Option<String>,
}

/// What stands in the row.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub hold: Hold,
    pub partner: Option<String>,
}

/// Inserts what is absent, and answers for each claim that stands who fulfils it. Not returned: the claim is lost.
pub async fn record(pool: &Pool, orders: &[NewOrder]) -> Result<Vec<Recorded>> {
    let nos: Vec<i64> = orders.iter().map(|order| order.hold.no.0).collect();
    let tokens: Vec<i64> = orders.iter().map(|order| order.hold.token.0).collect();
    let clients: Vec<i32> = orders.iter().map(|order| order.client.0).collect();
    let users: Vec<&str> = orders.iter().map(|order| order.user_id.as_str()).collect();
    let products: Vec<&str> = orders.iter().map(|order| order.product_name.as_str()).collect();
    let quantities: Vec<i64> = orders.iter().map(|order| order.quantity).collect();
    let prices: Vec<i64> = orders.iter().map(|order| order.total_price.minor()).collect();
    let currencies: Vec<&str> = orders.iter().map(|order| order.total_price.currency().code()).collect();
    let partners: Vec<Option<&str>> = orders.iter().map(|order| order.partner.as_deref()).collect();
    let query = sqlx::query!(
        r#"with d as materialized (
             select d.*
               from unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                           $8::text[], $9::text[], $10::smallint[])
                 as d(no, token, client, user_id, product_name, quantity, total_price, currency, partner, lane)
               join wakeups w on w.no = any(array[d.no]) and w.lane + 0 = d.lane
              where w.token = d.token
           ),
           i as (
             insert into orders (no, client, user_id, product_name, quantity, total_price, currency, partner)
             select no, client, user_id, product_name, quantity, total_price, currency, partner from d order by no
                 on conflict (no) do nothing
             returning no
           )
           -- A statement does not see what it inserts: each row comes from one of the two.
           select d.no as "no!", d.token as "token!", case when o.no is null then d.partner else o.partner end as partner
             from d
             left join orders o on o.no = d.no
            where o.no is not null or d.no in (select no from i)"#,
        &nos,
        &tokens,
        &clients,
        &users as &[&str],
        &products as &[&str],
        &quantities,
        &prices,
        &currencies as &[&str],
        &partners as &[Option<&str>],
        &vec![Lane::Run.code(); orders.len()],
    );
    let rows = pool.fetch_all(query).await?;
    let recorded = rows
        .into_iter()
        .map(|row| Recorded { hold: Hold { no: CommandNo(row.no), token: Token(row.token) }, partner: row.partner });
    Ok(recorded.collect())
}
