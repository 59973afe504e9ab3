// Mistakes that tests must find: in a file, the text `find`, which occurs there once, becomes `replace`, and then
// cargo's tests `test` must fail. Each block type and each architecture has an entry with its name in `covers`.

const decoders = ["-p", "chord-gguf", "--test", "dequantize_vectors"];
const goldens = ["-p", "chord-cpu", "--test", "goldens"];
const math = ["-p", "chord-cpu", "--lib", "math"];
const ops = ["-p", "chord-cpu", "--test", "ops"];
const vocabularies = ["-p", "chord-text", "--test", "vocabularies"];
const sampler = ["-p", "chord-engine", "--no-default-features", "--lib", "sampler"];

const decoder = (covers, file, find, replace) => ({
  covers,
  file: `rust/gguf/src/quant/${file}.rs`,
  find,
  replace,
  test: decoders,
});
const page = (covers, find, replace) => ({
  covers,
  file: `rust/model/src/arch/${covers}.rs`,
  find,
  replace,
  test: goldens,
});
const op = (covers, file, find, replace) => ({ covers, file: `rust/cpu/src/${file}.rs`, find, replace, test: ops });

export const mutations = [
  decoder("F32", "plain", "f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])", "f32::from_bits(0)"),
  decoder("F16", "plain", "f16::from_le_bytes([bytes[0], bytes[1]])", "f16::from_be_bytes([bytes[0], bytes[1]])"),
  decoder(
    "BF16",
    "plain",
    "u16::from_le_bytes([bytes[0], bytes[1]])) << 16",
    "u16::from_le_bytes([bytes[0], bytes[1]])) << 15",
  ),
  decoder("Q4_0", "q4", "*low = d * (i32::from(q & 0x0f) - 8) as f32;", "*low = d * (i32::from(q & 0x0f) - 7) as f32;"),
  decoder("Q4_1", "q4", "*high = d * f32::from(q >> 4) + m;", "*high = d * f32::from(q >> 4) - m;"),
  decoder("Q5_0", "q5", "d * (i32::from(q) - 16) as f32", "d * (i32::from(q) - 15) as f32"),
  decoder("Q5_1", "q5", "|q| d * f32::from(q) + m);", "|q| d * f32::from(q) - m);"),
  decoder("Q8_0", "q8", "*out = f32::from(q) * d;", "*out = f32::from(q.saturating_abs()) * d;"),
  decoder("Q2_K", "q2_k", "dmin * f32::from(self.scales[g] >> 4)", "dmin * f32::from(self.scales[g] & 0x0f)"),
  decoder(
    "Q3_K",
    "q3_k",
    "(high >> (g / 2) & 1) << 2;\n                *out",
    "(high >> (g % 8) & 1) << 2;\n                *out",
  ),
  decoder("Q4_K", "q4_k", "f32::from(q >> shift & 0x0f) - min", "f32::from(q >> shift & 0x0f) + min"),
  decoder("Q5_K", "q5_k", "(high >> g & 1) << 4", "(high >> (7 - g) & 1) << 4"),
  decoder(
    "Q6_K",
    "q6_k",
    "let scale = d * f32::from(self.scales[g]);",
    "let scale = d * f32::from(self.scales[g].unsigned_abs());",
  ),
  decoder("IQ4_NL", "iq4_nl", "*high = value(q >> 4);", "*high = value(q & 0x0f);"),

  page(
    "llama",
    'm.rope("Kcur.2", k, table, RopePairing::Interleaved)',
    'm.rope("Kcur.2", k, table, RopePairing::Halves)',
  ),
  page(
    "qwen2",
    'm.rope("Kcur.3", k, table, RopePairing::Halves)',
    'm.rope("Kcur.3", k, table, RopePairing::Interleaved)',
  ),
  page("gemma3", 'm.embed("inp_scaled", (n_embd as f32).sqrt())', 'm.embed("inp_scaled", 1.0)'),
  page("gemma3", "{ window_table } else { global_table }", "{ global_table } else { window_table }"),
  page("olmo2", "Activation::Silu, ", "Activation::GeluTanh, "),
  page("olmoe", "renormalize: false", "renormalize: true"),

  op("rms_norm", "ops/elementwise", "(mean_square + f64::from(eps)).sqrt()", "mean_square.sqrt()"),
  op("layer_norm", "ops/elementwise", "((f64::from(x) - mean) * factor)", "(f64::from(x) * factor)"),
  op("rope", "ops/elementwise", "let (low, high) = out[..n_rot]", "let (high, low) = out[..n_rot]"),
  op("add", "ops/elementwise", "*out = a + scale * b;", "*out = a + b;"),
  op("soft_cap", "ops/elementwise", "*out = cap * (x / cap).tanh()", "*out = cap * (x * cap).tanh()"),
  op("route", "ops/experts", "if renormalize { weights.iter().sum() }", "if !renormalize { weights.iter().sum() }"),
  op("combine_experts", "ops/experts", "*out += w * x", "*out += *w"),
  op("attention: rescaling", "ops/attention", "let shrink = (running.max - max).exp();", "let shrink = 1.0;"),
  op("attention: soft cap", "ops/attention", "*s = cap * (*s / cap).tanh()", "*s = (*s / cap).tanh()"),
  { ...op("glu: GELU", "ops/math", "TWICE * 0.044715", "TWICE * 0.0447"), test: math },
  { ...op("exp", "ops/math", "1.0 / 6.0, 0.5]", "1.0 / 6.0, 0.4999]"), test: math },
  op("reference: act", "reference", "x.max(0.0).powi(2)", "x.max(0.0).powi(3)"),
  op("reference: attention", "reference", "scores.iter().copied().chain(sink).map(", "scores.iter().copied().map("),
  op("reference: route", "reference", "row[b].total_cmp(&row[a])", "row[a].total_cmp(&row[b])"),

  {
    covers: "SentencePiece: best score first",
    file: "rust/text/src/spm.rs",
    find: "self.score.partial_cmp(&other.score)",
    replace: "other.score.partial_cmp(&self.score)",
    test: vocabularies,
  },
  {
    covers: "BPE: whole words",
    file: "rust/text/src/bpe.rs",
    find: "if self.whole_words && word.len()",
    replace: "if word.len()",
    test: vocabularies,
  },
  {
    covers: "detokenizer: first space",
    file: "rust/text/src/detokenizer.rs",
    find: 'bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);',
    replace: "",
    test: vocabularies,
  },
  {
    covers: "sampler: temperature",
    file: "rust/engine/src/sampler.rs",
    find: "(f64::from(c.logit - max) / temperature).exp()",
    replace: "(f64::from(c.logit - max) * temperature).exp()",
    test: sampler,
  },
  {
    covers: "sampler: min-p",
    file: "rust/engine/src/sampler.rs",
    find: "if self.sampling.min_p > 0.0 {",
    replace: "if self.sampling.min_p > 0.5 {",
    test: sampler,
  },
  {
    covers: "decoding allocates: executor",
    file: "rust/cpu/src/run/executor.rs",
    find: "let shown = Batch { out_rows, ..*batch };",
    replace: "let copied = batch.ids.to_vec();\n        let shown = Batch { ids: &copied, out_rows, ..*batch };",
    test: ["-p", "chord-cpu", "--test", "allocations"],
  },
  {
    covers: "decoding allocates: queue",
    file: "rust/cpu/src/run/schedule.rs",
    find: "self.spare.pop().unwrap_or_default()",
    replace: "OwnedBatch::default()",
    test: ["-p", "chord-engine", "--no-default-features", "--test", "allocations"],
  },
];
