//! Who acts by hand, and why: kept with everything that they do.

#[derive(Clone, Copy, Debug)]
pub struct Operator<'a> {
    pub by: &'a str,
    pub why: &'a str,
}
