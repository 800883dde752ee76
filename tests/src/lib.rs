//! A running Firn, for suites and measurements.
