//! grappe as its users run it: a process, a plan folder, exit codes, what is printed and what is left on disk.

mod bad_input;
mod chaos;
mod cloud;
mod commands;
mod ephemeral;
mod flows;
mod imports;
mod keys;
mod kill;
mod lab;
mod language;
mod locks;
mod module;
mod pair;
mod plans;
mod provisioners;
mod real;
mod sandbox;
mod scenario;
mod secrets;
mod simulated;
mod stores;
mod surgery;
mod terraform;
mod walk;
mod waves;
