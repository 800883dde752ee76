//! The Firn catalog service.
