//! A real browser without a window: Debian's Chromium, driven over WebDriver.

use crate::eventually;
use crate::surroundings::free_port;
use serde_json::json;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use thirtyfour::{By, ChromiumLikeCapabilities as _, DesiredCapabilities, WebDriver, WebElement};
use tokio::process::{Child, Command};

/// In pixels, of what is looked at.
const WINDOW: &str = "--window-size=1400,1000";

/// One window on one site. Cheap to clone.
#[derive(Clone)]
pub struct Browser {
    driver: WebDriver,
    base: String,
}

/// Has somebody visit the site at `base` with a browser of their own, which ends with the visit, however that ends.
pub async fn browse<F: Future<Output = ()> + Send + 'static>(base: &str, visit: impl FnOnce(Browser) -> F) {
    let port = free_port().await;
    let _chromedriver = chromedriver(port);
    let driver = eventually("chromedriver listens", || async { connect(port).await }).await;
    let browser = Browser { driver: driver.clone(), base: base.to_owned() };
    let visited = tokio::spawn(visit(browser)).await;
    driver.quit().await.expect("quit the browser");
    if let Err(failed) = visited {
        std::panic::resume_unwind(failed.into_panic());
    }
}

fn chromedriver(port: u16) -> Child {
    let mut command = Command::new("chromedriver");
    command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("start chromedriver: scripts/install chromium")
}

async fn connect(port: u16) -> Option<WebDriver> {
    let mut wanted = DesiredCapabilities::chrome();
    // As root, and in containers with little shared memory, it does not start without the two of them.
    for argument in
        ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", WINDOW]
    {
        wanted.add_arg(argument).expect("a text");
    }
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
    WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted).client(client).connect().await.ok()
}

impl Browser {
    pub async fn open(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.expect("open a page");
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> WebElement {
        eventually(css, || async { self.driver.find(By::Css(css)).await.ok() }).await
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("empty a field");
        field.send_keys(text).await.expect("fill in a field");
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|error| panic!("click on {css}: {error}"));
    }

    /// Keys, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        self.driver.action_chain().send_keys(keys).perform().await.expect("press keys");
    }

    /// What somebody reads on the page.
    pub async fn text(&self) -> String {
        self.find("body").await.text().await.expect("a text")
    }

    /// Waits until the page says so.
    pub async fn sees(&self, text: &str) {
        eventually(&format!("a page that says {text:?}"), || async {
            let body = self.driver.find(By::Css("body")).await.ok()?;
            body.text().await.ok()?.contains(text).then_some(())
        })
        .await;
    }

    /// Where it is, without the host.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.expect("an address");
        url.as_str().trim_start_matches(&self.base).to_owned()
    }

    /// What a script says in this page.
    pub async fn evaluate(&self, script: &str) -> serde_json::Value {
        let answer = self.driver.execute(script, Vec::new()).await.expect("run a script");
        answer.json().clone()
    }

    /// Pictures of the page, in light and in dark, below `target/console`.
    pub async fn shoot(&self, name: &str) {
        for scheme in ["light", "dark"] {
            let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.expect("choose a scheme");
            let picture = pictures().join(format!("{name}-{scheme}.png"));
            self.driver.screenshot(&picture).await.expect("take a picture");
        }
    }
}

fn pictures() -> PathBuf {
    let this = std::env::current_exe().expect("find this program");
    let target = this.ancestors().nth(3).expect("target/debug/deps").to_owned();
    let pictures = target.join("console");
    std::fs::create_dir_all(&pictures).expect("create the folder of pictures");
    pictures
}
