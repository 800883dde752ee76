//! Tables, one file for each thing that is done to them.

mod commit;
mod create;
mod documents;
mod drop;
mod load;
mod register;
mod rename;
mod unregister;
