// The part of a weight that a product uses, and where its results go.

// Columns of w and x.
override K: u32;
// Rows of w in this dispatch, and the first of them in this part of the weight.
override ROWS: u32;
override ROW_FIRST: u32 = 0u;
// Columns of out, and the column that the first row writes.
override OUT_STRIDE: u32 = 0u;
override OUT_FIRST: u32 = 0u;
// Units in a row of w; words in a row of `scales`.
override UNITS: u32;
override SCALE_WORDS: u32 = 0u;

@group(0) @binding(3) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> scales: array<u32>;
