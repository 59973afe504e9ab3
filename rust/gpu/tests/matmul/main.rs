//! Products with stored weights, and embedding, against sums in f64 over dequantized weights, on whatever adapter the
//! system offers (a software one included). Without an adapter these tests fail.

mod edges;
mod fused;
mod mutations;
mod setup;
mod shapes;
mod splits;
mod types;
