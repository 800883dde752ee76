//! Contract of the store on both databases: each case below runs once on SQLite and once on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

/// Runs each case with its own database, once of either kind.
macro_rules! on_both_databases {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&crate::fixture::Fixture::sqlite().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&crate::fixture::Fixture::postgres().await).await;
            })*
        }
    };
}

mod catalog;
mod engine;
mod events;
mod fixture;
mod maintenance;
mod query_plans;
