//! The bed as its users meet it.

mod bed;
mod life;
