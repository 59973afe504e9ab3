//! The GPU executor against the CPU's and against the goldens, on whatever adapter the system offers (a software one
//! included). Without an adapter these tests fail.

mod counters;
mod faults;
mod fusion;
mod goldens;
mod models;
mod mutations;
mod ops;
mod paging;
mod real;
mod setup;
mod shaders;
mod speed;
mod stream;
