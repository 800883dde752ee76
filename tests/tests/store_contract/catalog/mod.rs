//! Warehouses, namespaces, tables and views.

mod commits;
mod creations;
mod history;
mod locations;
mod namespaces;
mod plans;
mod pointers;
mod tabulars;
mod transactions;
mod warehouses;
