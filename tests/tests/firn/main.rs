//! Tests of the real server from outside, as clients and operators see it. The modules are organised by
//! endpoint.
//!
//! Tests that need only their own namespaces share one server for each database.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

mod audit;
mod authorization;
mod bounds;
mod config;
mod connections;
mod dependencies;
mod durability;
mod endpoints;
mod errors;
mod etag;
mod former_release;
mod fuzz;
mod idempotency;
mod limits;
mod locations;
mod maintenance;
mod memory_warehouse;
mod metrics_reports;
mod namespaces;
mod network;
mod openapi;
mod operations;
mod outages;
mod ownership;
mod pagination;
mod purge;
mod ratchets;
mod scan_requests;
mod scans;
mod scheduling;
mod security;
mod silent_files;
mod simulation;
mod starts;
mod tables;
mod tidy;
mod time_travel;
mod torture;
mod transactions;
mod unused_files;
mod views;
mod warehouses;
mod workers;
