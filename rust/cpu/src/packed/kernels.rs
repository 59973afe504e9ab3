//! Products of strips of rows with rounded activations.
//!
//! A strip is `S` vectors of rows side by side. One token is multiplied as the codes are unpacked. For more tokens a
//! chunk of 256 columns is unpacked once and then multiplied with panels of `T` tokens, whose sums stay in registers.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::activations::{BLOCK, DIGIT_BITS, Panel, TakenRows, place_of_block};
use super::codes::{AHEAD, Codes};
use super::format::Format;
use super::scales::{CHUNK, Expanded, Scales};
use crate::simd::{Dot, Isa};

/// Panels whose sums are kept while a strip is multiplied: what is unpacked serves all of them.
pub(crate) const PANELS: usize = if cfg!(target_family = "wasm") { 64 } else { 16 };

/// Everything that a product reads and writes.
pub(crate) struct Job {
    /// Codes of all strips, or their elements where the type is not quantized.
    pub(crate) codes: *const u8,
    /// Scales of all strips.
    pub(crate) scales: *const u8,
    pub(crate) cols: usize,
    /// Rows wanted.
    pub(crate) rows: Range<usize>,
    /// Strips to multiply; each holds some of `rows`.
    pub(crate) strips: Range<usize>,
    pub(crate) n_tokens: usize,
    /// Where the products of tokens go.
    pub(crate) tokens: TakenRows,
    /// The first panel of rounded activations, if there are any.
    pub(crate) acts: Panel,
    /// Unchanged ones, if there are any.
    pub(crate) act_values: *const f32,
    /// Element `[token, row − rows.start]` is at `tokens.row(token) · stride + row − rows.start`.
    pub(crate) out: *mut f32,
    pub(crate) stride: usize,
}

impl Job {
    /// Writes a strip's sums of one token, without those rows that are not wanted.
    #[inline(always)]
    pub(crate) unsafe fn store<I: Isa, const S: usize>(&self, strip: usize, token: usize, sums: &[I::F; S]) {
        let first = strip * S * I::LANES;
        // SAFETY: the output has room for all tokens and wanted rows.
        unsafe {
            let out = self.out.add(self.tokens.row(token) * self.stride);
            if first >= self.rows.start && first + S * I::LANES <= self.rows.end {
                let out = out.add(first - self.rows.start);
                let mut v = 0;
                while v < S {
                    I::store_f32(out.add(v * I::LANES), sums[v]);
                    v += 1;
                }
            } else {
                let mut rows = [0.0f32; 64];
                let mut v = 0;
                while v < S {
                    I::store_f32(rows.as_mut_ptr().add(v * I::LANES), sums[v]);
                    v += 1;
                }
                let mut i = 0;
                while i < S * I::LANES {
                    if self.rows.contains(&(first + i)) {
                        *out.add(first + i - self.rows.start) = rows[i];
                    }
                    i += 1;
                }
            }
        }
    }
}

/// Bytes of a strip's codes.
#[inline(always)]
fn strip_codes<I: Isa, F: Format, const S: usize>(cols: usize) -> usize {
    cols / BLOCK * F::Codes::WORDS * 4 * S * I::LANES
}

/// Bytes of a unit's scales.
#[inline(always)]
fn unit_scales<I: Isa, F: Format, const S: usize>() -> usize {
    (F::Scales::WORDS * 4 + F::Scales::HALVES * 2) * S * I::LANES
}

#[inline(always)]
fn strip_scales<I: Isa, F: Format, const S: usize>(cols: usize) -> usize {
    cols / BLOCK / F::Scales::BLOCKS * unit_scales::<I, F, S>()
}

/// How the codes of `F` are multiplied.
pub(crate) type DotOf<I, F> = <<F as Format>::Codes as Codes>::Dot<I>;

/// What codes of `F` were combined with when they were packed for `I`.
#[inline(always)]
pub(crate) const fn sign<I: Isa, F: Format>() -> u8 {
    if F::Codes::SIGNED { DotOf::<I, F>::SIGN } else { 0 }
}

/// Whether `D` takes the middle off the codes of `F`: where their sums would not fit, or that spares their minima.
#[inline(always)]
pub(crate) const fn is_centred<I: Isa, F: Format, D: Dot<I>>() -> bool {
    D::CENTRED && (F::Codes::MIDDLE > 8 || F::Scales::OFFSET.is_some())
}

/// By how much the codes of `F` are too large as `D` multiplies them.
#[inline(always)]
pub(crate) const fn bias<I: Isa, F: Format, D: Dot<I>>() -> f32 {
    if F::Codes::SIGNED {
        sign::<I, F>() as f32
    } else if is_centred::<I, F, D>() {
        -(F::Codes::MIDDLE as f32)
    } else {
        0.0
    }
}

/// The middle of the codes of `F` in both halves of each lane.
#[inline(always)]
pub(crate) unsafe fn middle<I: Isa, F: Format>() -> I::V {
    // SAFETY: the caller's.
    unsafe { I::splat(F::Codes::MIDDLE as u32 * 0x1_0001) }
}

/// Adds the products of some blocks of a chunk and of a panel to sums: [`tile`], compiled once for each instruction set
/// and kind of codes rather than once for each type.
pub(crate) type Tile<I, const S: usize, const T: usize> =
    unsafe fn(&Chunk<I, S>, usize, Panel, &mut [[<I as Isa>::F; S]; T]);

/// Runs a job, whose products are those of `D`.
///
/// # Safety
/// The processor has `I`, the job's pointers are good for its shape, activations are those that `D` takes, and `tile` is
/// for `D` and the codes of `F`.
#[inline(always)]
pub(crate) unsafe fn product<I: Isa, F: Format, D: Dot<I>, const S: usize, const T: usize>(
    job: &Job,
    tile: Tile<I, S, T>,
) {
    // SAFETY: the caller's.
    unsafe {
        if job.n_tokens == 1 {
            for strip in job.strips.clone() {
                let sums = if I::LOOP {
                    one_token_looped::<I, F, D, S>(job, strip)
                } else {
                    one_token::<I, F, D, S>(job, strip)
                };
                job.store::<I, S>(strip, 0, &sums);
            }
        } else {
            let n_panels = job.n_tokens.div_ceil(T);
            let mut first = 0;
            while first < n_panels {
                let panels = first..(first + PANELS).min(n_panels);
                for strip in job.strips.clone() {
                    many_tokens::<I, F, D, S, T>(job, strip, panels.clone(), tile);
                }
                first = panels.end;
            }
        }
    }
}

/// Steps of a group of `steps` that may be summed before their sums are widened.
#[inline(always)]
const fn run_of<I: Isa, D: Dot<I>>(steps: usize) -> usize {
    if D::STEPS < steps { D::STEPS } else { steps }
}

/// Adds a group's products to sums: `scale · scale of activations · dots`, and its minima times the activations' sum.
#[inline(always)]
unsafe fn add_scaled<I: Isa>(
    sum: I::F,
    dots: I::V,
    scale: I::F,
    min: Option<I::F>,
    scale_of_acts: I::F,
    sum_of_acts: I::F,
) -> I::F {
    // SAFETY: the caller's.
    unsafe {
        let sum = I::mul_add(I::mul(I::to_f32(dots), scale), scale_of_acts, sum);
        if let Some(min) = min { I::mul_add(min, sum_of_acts, sum) } else { sum }
    }
}

/// Room for scales and minima. Vectors of any bits are vectors, and only what was expanded is read.
#[inline(always)]
unsafe fn expanded<'a, I: Isa, const S: usize>(
    scale: &'a mut MaybeUninit<Expanded<I::F, S>>,
    min: &'a mut MaybeUninit<Expanded<I::F, S>>,
) -> (&'a mut Expanded<I::F, S>, &'a mut Expanded<I::F, S>) {
    // SAFETY: see above.
    unsafe { (scale.assume_init_mut(), min.assume_init_mut()) }
}

/// A strip times one token.
#[inline(always)]
unsafe fn one_token<I: Isa, F: Format, D: Dot<I>, const S: usize>(job: &Job, strip: usize) -> [I::F; S] {
    // SAFETY: the caller's.
    unsafe {
        let codes = job.codes.add(strip * strip_codes::<I, F, S>(job.cols));
        let scales = job.scales.add(strip * strip_scales::<I, F, S>(job.cols));
        let mut sums = [I::splat_f32(0.0); S];
        let (mut scale, mut min) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let (scale, min) = expanded::<I, S>(&mut scale, &mut min);
        let block_codes = F::Codes::WORDS * 4 * S * I::LANES;
        let has_min = F::Scales::has_min(bias::<I, F, D>());
        let n_units = job.cols / BLOCK / F::Scales::BLOCKS;
        let widener = I::widener();
        let n_steps = 8 * D::PARTS / F::Scales::GROUPS;
        for unit in 0..n_units {
            let from = scales.add(unit * unit_scales::<I, F, S>());
            F::Scales::expand::<I, S>(from, bias::<I, F, D>(), 0, widener, scale, min);
            for b in 0..F::Scales::BLOCKS {
                let block = unit * F::Scales::BLOCKS + b;
                let from = codes.add(block * block_codes);
                if F::Codes::PREFETCH {
                    let mut line = 0;
                    while line < block_codes {
                        I::prefetch(from.wrapping_add(AHEAD + line));
                        line += 64;
                    }
                }
                let mut steps = [[I::splat(0); 8]; S];
                let mut v = 0;
                while v < S {
                    steps[v] = F::Codes::block::<I>(from.add(v * I::LANES * 4), S * I::LANES * 4);
                    v += 1;
                }
                let acts = job.acts.block(block);
                let record = acts.record(0);
                let scale_of_acts = I::splat_f32(record.scale);
                let mut g = 0;
                while g < F::Scales::GROUPS {
                    let mut dots = [I::splat(0); S];
                    for digit in 0..if D::PARTS == 1 { acts.digits() } else { 1 } {
                        let acts = acts.digit(digit);
                        let mut v = 0;
                        while v < S {
                            dots[v] = I::shl(dots[v], DIGIT_BITS);
                            v += 1;
                        }
                        let mut s = g * n_steps;
                        while s < (g + 1) * n_steps {
                            let mut sums = [I::splat(0); S];
                            let end = s + run_of::<I, D>(n_steps);
                            while s < end {
                                let acts = D::acts(acts.add(4 * s));
                                let mut v = 0;
                                while v < S {
                                    let codes = D::part(steps[v][s / D::PARTS], s % D::PARTS);
                                    sums[v] = D::dot(sums[v], D::codes(codes), acts);
                                    v += 1;
                                }
                                s += 1;
                            }
                            let mut v = 0;
                            while v < S {
                                dots[v] = I::add_i32(dots[v], D::total(sums[v]));
                                v += 1;
                            }
                        }
                    }
                    let sum_of_acts = I::splat_f32(record.sums[if F::Scales::GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        let min = if has_min { Some(min[b][g][v]) } else { None };
                        sums[v] = add_scaled::<I>(sums[v], dots[v], scale[b][g][v], min, scale_of_acts, sum_of_acts);
                        v += 1;
                    }
                    g += 1;
                }
            }
        }
        sums
    }
}

/// The same by pairs of steps, so that what one of them needs is all that lives: see [`Isa::LOOP`]. Activations are in one
/// plane.
#[inline(always)]
unsafe fn one_token_looped<I: Isa, F: Format, D: Dot<I>, const S: usize>(job: &Job, strip: usize) -> [I::F; S] {
    // SAFETY: the caller's.
    unsafe {
        let codes = job.codes.add(strip * strip_codes::<I, F, S>(job.cols));
        let scales = job.scales.add(strip * strip_scales::<I, F, S>(job.cols));
        let mut sums = [I::splat_f32(0.0); S];
        let (mut scale, mut min) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        let (scale, min) = expanded::<I, S>(&mut scale, &mut min);
        let stride = S * I::LANES * 4;
        let has_min = F::Scales::has_min(bias::<I, F, D>());
        let n_units = job.cols / BLOCK / F::Scales::BLOCKS;
        let widener = I::widener();
        // Whether the halves of a block are summed apart.
        let apart = F::Scales::GROUPS == 2 || D::STEPS < 8 * D::PARTS;
        let middle = middle::<I, F>();
        let n_pairs = black_box(4);
        for unit in 0..n_units {
            let scales = scales.add(unit * unit_scales::<I, F, S>());
            if F::Scales::BLOCKS > 1 {
                F::Scales::expand::<I, S>(scales, bias::<I, F, D>(), 0, widener, scale, min);
            }
            for b in 0..F::Scales::BLOCKS {
                let block = unit * F::Scales::BLOCKS + b;
                let from = codes.add(block * F::Codes::WORDS * stride);
                let acts = job.acts.block(block);
                let record = acts.record(0);
                let acts = acts.digit(0);
                let mut low = [I::splat(0); S];
                let mut high = [I::splat(0); S];
                if is_centred::<I, F, D>() {
                    low = [D::start(record.less[usize::from(apart)], middle); S];
                    high = [D::start(record.less[2], middle); S];
                }
                let mut w = 0;
                while w < 4 {
                    let mut part = 0;
                    while part < D::PARTS {
                        let first = D::acts(acts.add(4 * (w * D::PARTS + part)));
                        let second = D::acts(acts.add(4 * ((w + 4) * D::PARTS + part)));
                        let mut v = 0;
                        while v < S {
                            let pair = F::Codes::pair::<I>(from.add(v * I::LANES * 4), stride, w);
                            low[v] = D::dot(low[v], D::codes(D::part(pair[0], part)), first);
                            let other = if apart { high[v] } else { low[v] };
                            let other = D::dot(other, D::codes(D::part(pair[1], part)), second);
                            if apart {
                                high[v] = other;
                            } else {
                                low[v] = other;
                            }
                            v += 1;
                        }
                        part += 1;
                    }
                    w += 1;
                    // Never before the last turn, but the compiler does not know: see `Isa::LOOP`.
                    if w == n_pairs {
                        break;
                    }
                }
                if F::Scales::BLOCKS == 1 {
                    F::Scales::expand::<I, S>(scales, bias::<I, F, D>(), 0, widener, scale, min);
                }
                let mut g = 0;
                while g < F::Scales::GROUPS {
                    let scale_of_acts = I::splat_f32(record.scale);
                    let sum_of_acts = I::splat_f32(record.sums[if F::Scales::GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        let mut dots = D::total(if g == 0 { low[v] } else { high[v] });
                        if apart && F::Scales::GROUPS == 1 {
                            dots = I::add_i32(dots, D::total(high[v]));
                        }
                        let min = if has_min { Some(min[b][g][v]) } else { None };
                        sums[v] = add_scaled::<I>(sums[v], dots, scale[b][g][v], min, scale_of_acts, sum_of_acts);
                        v += 1;
                    }
                    g += 1;
                }
            }
        }
        sums
    }
}

/// A chunk of a strip, unpacked. Steps of four columns are the first eight of each block, or all sixteen where each has
/// two parts.
pub(crate) struct Chunk<I: Isa, const S: usize> {
    pub(crate) steps: [[[I::V; S]; 16]; CHUNK],
    pub(crate) scale: Expanded<I::F, S>,
    pub(crate) min: Expanded<I::F, S>,
    /// See [`middle`].
    pub(crate) middle: I::V,
}

/// Unpacks `n_blocks` blocks of a strip for `D`, from block `first` on. Blocks behind them keep what they held.
#[inline(always)]
pub(crate) unsafe fn unpack<I: Isa, F: Format, D: Dot<I>, const S: usize>(
    job: &Job,
    strip: usize,
    first: usize,
    n_blocks: usize,
    chunk: &mut Chunk<I, S>,
) {
    // SAFETY: the caller's.
    unsafe {
        let block_codes = F::Codes::WORDS * 4 * S * I::LANES;
        let codes = job.codes.add(strip * strip_codes::<I, F, S>(job.cols) + first * block_codes);
        let scales = job.scales.add(strip * strip_scales::<I, F, S>(job.cols));
        let widener = I::widener();
        chunk.middle = middle::<I, F>();
        for b in 0..n_blocks {
            if b % F::Scales::BLOCKS == 0 {
                let unit = scales.add((first + b) / F::Scales::BLOCKS * unit_scales::<I, F, S>());
                F::Scales::expand::<I, S>(unit, bias::<I, F, D>(), b, widener, &mut chunk.scale, &mut chunk.min);
            }
            let from = codes.add(b * block_codes);
            let mut v = 0;
            while v < S {
                let steps = F::Codes::block::<I>(from.add(v * I::LANES * 4), S * I::LANES * 4);
                let mut s = 0;
                while s < 8 * D::PARTS {
                    chunk.steps[b][s][v] = D::part(steps[s / D::PARTS], s % D::PARTS);
                    s += 1;
                }
                v += 1;
            }
        }
    }
}

/// A strip times some panels of tokens.
#[inline(always)]
unsafe fn many_tokens<I: Isa, F: Format, D: Dot<I>, const S: usize, const T: usize>(
    job: &Job,
    strip: usize,
    panels: Range<usize>,
    tile: Tile<I, S, T>,
) {
    // SAFETY: the caller's.
    unsafe {
        let (n_blocks, n_panels) = (job.cols / BLOCK, job.n_tokens.div_ceil(T));
        let zero = I::splat_f32(0.0);
        let mut all_sums = [MaybeUninit::<[[I::F; S]; T]>::uninit(); PANELS];
        for sums in &mut all_sums[..panels.len()] {
            sums.write([[zero; S]; T]);
        }
        let mut chunk = MaybeUninit::<Chunk<I, S>>::uninit();
        // Vectors of any bits are vectors, and only blocks that were unpacked are read.
        let chunk = chunk.assume_init_mut();
        let mut first = 0;
        while first < n_blocks {
            let n = CHUNK.min(n_blocks - first);
            unpack::<I, F, D, S>(job, strip, first, n, chunk);
            for (sums, panel) in all_sums.iter_mut().zip(panels.clone()) {
                let acts = job.acts.block(place_of_block(panel, first, n_panels, n_blocks) * T);
                tile(chunk, n, acts, sums.assume_init_mut());
            }
            first += n;
        }
        for (sums, panel) in all_sums.iter().zip(panels) {
            let sums = sums.assume_init_ref();
            for (t, sums) in sums.iter().enumerate().take(job.n_tokens - panel * T) {
                job.store::<I, S>(strip, panel * T + t, sums);
            }
        }
    }
}

/// Adds the products of a chunk and a panel to `sums`; codes have `GROUPS` scales in each block, and minima or not.
///
/// # Safety
/// The processor has `I`, and there are activations for `n_blocks`.
#[inline(always)]
pub(crate) unsafe fn tile<I: Isa, D: Dot<I>, const S: usize, const T: usize, const GROUPS: usize, const MIN: bool>(
    chunk: &Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut kept = *sums;
        let n_steps = 8 * D::PARTS / GROUPS;
        let run = run_of::<I, D>(n_steps);
        // A number that the compiler does not know keeps the loop a loop.
        let run = if I::LOOP { black_box(run) } else { run };
        for b in 0..n_blocks {
            let steps = chunk.steps.get_unchecked(b);
            let (scale, min) = (chunk.scale.get_unchecked(b), chunk.min.get_unchecked(b));
            let acts = acts.block(b * T);
            let mut g = 0;
            while g < GROUPS {
                let mut dots = [[I::splat(0); S]; T];
                for digit in 0..if D::PARTS == 1 { acts.digits() } else { 1 } {
                    let acts = acts.digit(digit);
                    let mut t = 0;
                    while t < T {
                        let mut v = 0;
                        while v < S {
                            dots[t][v] = I::shl(dots[t][v], DIGIT_BITS);
                            v += 1;
                        }
                        t += 1;
                    }
                    let mut part = 0;
                    while part < n_steps / run_of::<I, D>(n_steps) {
                        let mut sums = if D::IN_LANES { dots } else { [[I::splat(0); S]; T] };
                        let mut s = g * n_steps + part * run_of::<I, D>(n_steps);
                        let end = s + run;
                        while s < end {
                            add_step::<I, D, S, T>(steps.as_ptr(), acts, s, &mut sums);
                            s += 1;
                        }
                        let mut t = 0;
                        while t < T {
                            let mut v = 0;
                            while v < S {
                                let sum = sums[t][v];
                                dots[t][v] = if D::IN_LANES { sum } else { I::add_i32(dots[t][v], D::total(sum)) };
                                v += 1;
                            }
                            t += 1;
                        }
                        part += 1;
                    }
                }
                let mut t = 0;
                while t < T {
                    let record = acts.record(t);
                    let scale_of_acts = I::splat_f32(record.scale);
                    let sum_of_acts = I::splat_f32(record.sums[if GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        let min = if MIN { Some(min[g][v]) } else { None };
                        let (sum, dots) = (kept[t][v], dots[t][v]);
                        kept[t][v] = add_scaled::<I>(sum, dots, scale[g][v], min, scale_of_acts, sum_of_acts);
                        v += 1;
                    }
                    t += 1;
                }
                g += 1;
            }
        }
        *sums = kept;
    }
}

/// Adds the products of one step.
#[inline(always)]
pub(crate) unsafe fn add_step<I: Isa, D: Dot<I>, const S: usize, const T: usize>(
    steps: *const [I::V; S],
    acts: *const i8,
    s: usize,
    dots: &mut [[I::V; S]; T],
) {
    // SAFETY: the caller's.
    unsafe {
        let codes_of_step = &*steps.add(s);
        let mut codes = [D::codes(codes_of_step[0]); S];
        let mut v = 1;
        while v < S {
            codes[v] = D::codes(codes_of_step[v]);
            v += 1;
        }
        let mut t = 0;
        while t < T {
            let acts = D::acts(acts.add(4 * (s * T + t)));
            let mut v = 0;
            while v < S {
                dots[t][v] = D::dot(dots[t][v], codes[v], acts);
                v += 1;
            }
            t += 1;
        }
    }
}
