//! The files that tables are made of, as bytes: what is written into them, and what is read from them. No file is opened
//! here.

pub mod deletion_vector;
pub mod puffin;
