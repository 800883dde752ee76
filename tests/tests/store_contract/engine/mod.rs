//! Connections, and the clock.

mod clock;
mod connections;
