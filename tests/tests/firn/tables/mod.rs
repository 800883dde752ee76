//! Tables, with one module for each operation.

mod commit;
mod create;
mod documents;
mod drop;
mod load;
mod register;
mod rename;
mod unregister;
