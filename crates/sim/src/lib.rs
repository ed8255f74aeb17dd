//! A simulated world: networks and machines in a file, each machine with an SSH server in this process.
