//! Clusters from bare machines, on the simulated world: in the right order, in the wrong one, cut off and gone on with.

mod cluster;
mod day_two;
mod lab;
mod leaving;
mod objects;
mod sweep;
