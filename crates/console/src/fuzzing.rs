//! Doors for the fuzz targets to what reads a browser's requests, without a server around it. No binary has them.

use crate::fields::{self, Fields};
use crate::pages::{content, search};
use crate::session::Session;
use crate::{guard, login, session};
use holdfast_domain::CommandId;
use holdfast_domain::content::Content;
use http::HeaderMap;

/// The values of a field of a form, and the first of them.
pub fn field(form: &[u8], name: &str) -> (Vec<String>, Option<String>) {
    let fields = Fields::parse(form);
    (fields.all(name).map(str::to_owned).collect(), fields.get(name).map(str::to_owned))
}

pub fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    fields::address(path, pairs)
}

/// Where a form leads on to.
pub fn next(form: &[u8]) -> String {
    login::next(&Fields::parse(form)).to_owned()
}

/// Whether the form is one of the session with this secret.
pub fn is_signed(form: &[u8], csrf: &str) -> bool {
    let session = Session { login: String::new(), csrf: csrf.to_owned() };
    session.is_csrf(Fields::parse(form).raw("csrf"))
}

pub fn is_from_here(headers: &HeaderMap) -> bool {
    guard::is_from_here(headers)
}

pub fn cookie(headers: &HeaderMap, plain_http: bool) -> Option<&str> {
    session::read(headers, plain_http)
}

pub fn command_id(text: &str) -> Option<CommandId> {
    search::read_id(text)
}

/// What an operator sees of a command.
pub fn shown(content: &Content) -> Vec<(String, String)> {
    content::fields(content)
}
