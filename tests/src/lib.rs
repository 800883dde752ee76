//! A running Firn, for suites and measurements.

#![allow(clippy::missing_panics_doc, reason = "a harness panics to fail the test that uses it")]
#![allow(clippy::let_underscore_must_use, reason = "what ends a process may find it ended")]

pub mod code;
pub mod fixture;
pub mod fuzz;
pub mod http;
pub mod keeper;
pub mod manifests;
pub mod outage;
pub mod postgres;
pub mod power_cut;
pub mod process;
pub mod simulation;
pub mod tables;
pub mod torture;
pub mod worker;

/// Makes two tests of each case, one for each database. A case takes a [`process::Backend`].
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

/// Makes a test of each case, for what has nothing to do with the database.
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
