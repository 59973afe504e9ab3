// The distance of logits from the reference's: NMSE with each row's mean subtracted, and the choices that differ.

const mean = (row) => row.reduce((sum, value) => sum + value, 0) / row.length;

const argmax = (row) => row.reduce((best, value, index) => (value > row[best] ? index : best), 0);

/**
 * @param {Float32Array} expected rows of `columns`
 * @param {Float32Array} actual the same
 * @param {number} columns
 * @returns {{ nmse: number, argmax: number[] }} NaN where anything is not finite; the choices are those of `actual`
 */
export function compareLogits(expected, actual, columns) {
  if (expected.length !== actual.length) throw new Error(`${actual.length} logits, expected ${expected.length}`);
  let error = 0;
  let energy = 0;
  const choices = [];
  for (let start = 0; start < expected.length; start += columns) {
    const e = expected.subarray(start, start + columns);
    const a = actual.subarray(start, start + columns);
    const [eMean, aMean] = [mean(e), mean(a)];
    for (let i = 0; i < columns; i += 1) {
      error += (e[i] - eMean - (a[i] - aMean)) ** 2;
      energy += (e[i] - eMean) ** 2;
    }
    choices.push(argmax(a));
  }
  return { nmse: error / energy, argmax: choices };
}

/**
 * The same where the reference has stored some rows only.
 *
 * @param {Float32Array} stored those at `positions`, and perhaps more behind them
 * @param {number[]} positions
 * @param {Float32Array} actual rows of all positions
 * @param {number} columns
 * @returns {{ nmse: number, argmax: number[] }} the choices are those of all positions
 */
export function compareStored(stored, positions, actual, columns) {
  const rows = new Float32Array(positions.length * columns);
  positions.forEach((position, index) => {
    rows.set(actual.subarray(position * columns, (position + 1) * columns), index * columns);
  });
  const { nmse } = compareLogits(stored.subarray(0, rows.length), rows, columns);
  return { nmse, argmax: compareLogits(actual, actual, columns).argmax };
}
