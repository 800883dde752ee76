//! What maintenance does to a table, decided and not done: pure planners over facts that somebody else has gathered.

pub mod policy;
