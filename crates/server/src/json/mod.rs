//! JSON of requests and answers.

pub(crate) mod column;
pub(crate) mod frame;
pub(crate) mod keys;
pub(crate) mod read;
pub(crate) mod write;
