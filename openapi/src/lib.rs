//! What the governance API and its clients say to each other, as types. It knows nothing else of Firn.

pub mod maintenance;
pub mod text;
