//! Warehouses, namespaces, tables and views, with their history and locations; and stored scan plans. It
//! knows no maintenance.

pub mod as_of;
pub mod history;
pub mod locations;
pub mod names;
pub mod namespaces;
pub mod plans;
pub(in crate::store) mod pointer_cache;
pub mod tabular;
pub mod tabulars;
pub mod warehouses;
