//! Integration tests of the simulated world.
