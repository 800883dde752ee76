//! Harness that runs Firn as a child process, shared by the test suites, torture, fuzzing, simulation and
//! benchmarks.

#![allow(clippy::missing_panics_doc, reason = "a harness panics to fail the test that uses it")]
#![allow(clippy::let_underscore_must_use, reason = "a process may have ended already")]

pub mod code;
pub mod fixture;
pub mod fuzz;
pub mod http;
pub mod manifests;
pub mod outage;
pub mod postgres;
pub mod power_cut;
pub mod process;
pub mod reaper;
pub mod simulation;
pub mod stores;
pub mod tables;
pub mod torture;
pub mod worker;

/// Defines two tests for each case, one for each database. A case is a function that takes a
/// [`process::Backend`].
#[macro_export]
macro_rules! on_both_databases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $case() {
                tests::process::run(super::$case(tests::process::Backend::Sqlite));
            })*
        }

        mod postgres {
            $(#[test]
            fn $case() {
                tests::process::run(super::$case(tests::process::Backend::Postgres));
            })*
        }
    };
}

/// Defines one test, on SQLite, for each case whose behaviour does not depend on the database.
#[macro_export]
macro_rules! on_sqlite {
    ($($case:ident),* $(,)?) => {
        mod one_database {
            $(#[test]
            fn $case() {
                tests::process::run(super::$case(tests::process::Backend::Sqlite));
            })*
        }
    };
}
