//! The commands of `firn`: clients of any catalog, which share no state with the server in this binary.

pub mod banner;
pub mod inspect;
pub mod jobs;
pub mod maintain;
