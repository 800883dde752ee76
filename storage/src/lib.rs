//! File access for the server and for maintenance: durable writes and bounded reads, restricted to the files
//! that the caller may access.
//!
//! A location reaches the file system only as a [`place::Place`], which only a [`scope::Scope`] creates, and
//! only for files that the caller may read or write. The path that the scope has checked is the one that is
//! opened. The crate knows neither catalogs nor tables.
//!
//! ```text
//! let scope = Scope::new(vec![warehouse], vec![table_folder], Reads::Own);
//! files.write_new(&scope.write("file:///srv/warehouse/t/data/1.parquet")?, content)?;
//! scope.write("file:///srv/warehouse/other/1.parquet")  ->  StorageError::NotOwn
//! ```

pub mod error;
pub mod folders;
pub mod local;
pub mod place;
pub mod scope;
pub mod threads;
