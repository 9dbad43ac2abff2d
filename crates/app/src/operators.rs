//! Who may use the console: logins, passwords, sessions.

use crate::App;
use crate::credentials::random;
use anyhow::{Context as _, anyhow, ensure};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_store::operators::{self, NewSession};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

pub use holdfast_store::operators::{Listed, Session, list, set_disabled};

/// In characters. A generated one has more.
pub const SHORTEST_PASSWORD: usize = 12;

/// Longer ones would only cost time.
const LONGEST_PASSWORD: usize = 256;

/// Each takes 19 MiB and a core for some time: whoever tries many passwords waits for himself.
static HASHING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// What an unknown login is checked against, so that it takes as long as a known one.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

/// What takes some time once. Blocks.
pub fn prepare() {
    LazyLock::force(&NOBODYS);
}

/// A password that nobody has to think of.
pub fn generate_password() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random::<18>()?))
}

/// `false`: the login is taken.
pub async fn create(app: &App, login: &str, password: &str) -> anyhow::Result<bool> {
    ensure!(is_login(login), "a login has 1 to 64 characters of a-z, 0-9 and ._@-, and begins with a letter or digit");
    let hash = hashed(password).await?;
    operators::create(&app.pool, login, &hash).await.context("create the operator")
}

/// Signs the operator out everywhere. `false`: there is no such operator.
pub async fn set_password(app: &App, login: &str, password: &str) -> anyhow::Result<bool> {
    let hash = hashed(password).await?;
    operators::set_password(&app.pool, login, &hash).await.context("set the password")
}

/// A token for whoever knows the password. `None`: nobody of this login and password may come in.
pub async fn sign_in(app: &App, login: &str, password: &str) -> anyhow::Result<Option<String>> {
    let known = operators::credentials(&app.pool, login).await.context("look for the operator")?;
    let (operator, hash) = match known {
        Some(known) => (Some(known.operator), known.password_hash),
        None => (None, NOBODYS.clone()),
    };
    let (true, Some(operator)) = (is_password(password, hash.clone()).await?, operator) else { return Ok(None) };
    let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let session = NewSession {
        operator,
        password_hash: &hash,
        hash: &token_hash(&token),
        csrf_secret: &random::<32>()?,
        lifetime: app.config.console.session_ms.get(),
    };
    let opened = operators::open_session(&app.pool, session).await.context("open a session")?;
    Ok(opened.then_some(token))
}

/// Whose token this is. `None`: nobody's any more.
pub async fn session(app: &App, token: &str) -> Result<Option<Session>, holdfast_store::Error> {
    operators::session(&app.pool, &token_hash(token), app.config.console.idle_ms.get()).await
}

/// The same for a page that renews itself: nobody need sit before it.
pub async fn glance(app: &App, token: &str) -> Result<Option<Session>, holdfast_store::Error> {
    operators::glance(&app.pool, &token_hash(token), app.config.console.idle_ms.get()).await
}

pub async fn sign_out(app: &App, token: &str) -> Result<(), holdfast_store::Error> {
    operators::close_session(&app.pool, &token_hash(token)).await
}

fn is_login(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_allowed = |byte: u8| is_first(byte) || b"._@-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) && is_first(text.as_bytes()[0])
}

async fn hashed(password: &str) -> anyhow::Result<String> {
    let length = password.chars().count();
    ensure!(
        (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length),
        "a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    );
    let password = password.to_owned();
    in_turn(&HASHING, move || hash(&password)).await?
}

async fn is_password(password: &str, hash: String) -> anyhow::Result<bool> {
    let password: String = password.chars().take(LONGEST_PASSWORD + 1).collect();
    let verify = move || {
        let hash = PasswordHash::new(&hash).map_err(|error| anyhow!("{error}")).context("read the stored hash")?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    };
    in_turn(&HASHING, verify).await?
}

/// The turn ends with the work, not with whoever waits for it: nobody makes room by hanging up.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let turn = Arc::clone(turns).acquire_owned().await.context("wait for a turn")?;
    let working = spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    working.await.context("work on a password")
}

/// Argon2id with the crate's parameters: 19 MiB, two passes, one lane, as OWASP recommends.
fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| anyhow!("{error}"));
    Ok(hash.context("hash a password")?.to_string())
}

fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let hash = hashed("correct horse").await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password("correct horse", hash.clone()).await.expect("readable"));
        assert!(!is_password("correct horsf", hash).await.expect("readable"));
        assert!(!is_password("", NOBODYS.clone()).await.expect("readable"));
        assert!(hashed("too short").await.is_err());
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_its_turn_to_nobody_until_the_work_is_done() {
        let turns = Arc::new(Semaphore::new(1));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let work = move || {
            begun.send(()).expect("somebody listens");
            ends.recv()
        };
        let asking = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { in_turn(&turns, work).await.map(drop) }
        });
        has_begun.await.expect("it begins");
        asking.abort();
        asking.await.expect_err("it hangs up");
        assert_eq!(turns.available_permits(), 0);
        end.send(()).expect("it still works");
        in_turn(&turns, || ()).await.expect("the next one's turn");
    }

    #[test]
    fn a_login_is_plain() {
        assert!(["a", "jane.doe@example.com", "0-9"].into_iter().all(is_login));
        assert!(!["", "Jane", ".a", "a b", "ä"].into_iter().any(is_login));
    }
}
