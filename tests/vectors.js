/* The page's sampler held against the golden vectors: python -m stn_ref vectors --out DIR
   node vectors.js DIR/torch.json

   Its sums are in float64 whatever the case's dtype, so each must lie within every bound. */
"use strict";

const fs = require("fs");
const path = require("path");
const e = require(process.argv[3] || path.join(__dirname, "../docs/static/equations.js"));

const hex = (text) => { // a C99 hexadecimal float
  const [, sign, whole, fraction, exponent] = /^(-?)0x([01])\.([0-9a-f]+)p([+-]\d+)$/.exec(text) || [];
  if (whole === undefined) return { nan: NaN, inf: Infinity, "-inf": -Infinity }[text];
  const digits = parseInt(whole + fraction, 16) * 2 ** (-4 * fraction.length);
  const half = Math.trunc(exponent / 2); // in two steps: 2^−1074 is a number, 2^1074 is not
  return (sign ? -1 : 1) * digits * 2 ** half * 2 ** (exponent - half);
};
const read = (a) => ({ shape: a.shape, data: a.data ? a.data.split(" ").map(hex) : [] });
const counts = { cases: 0, values: 0, gradients: 0, worst: 0 };

function hold(found, wanted, bound, what) {
  wanted.forEach((value, k) => {
    const off = Math.abs(found[k] - value), same = Number.isNaN(found[k]) && Number.isNaN(value);
    const units = off === 0 || same ? 0 : off / bound[k];
    counts.worst = Math.max(counts.worst, Number.isNaN(units) ? Infinity : units);
    if (!(units <= 1)) console.log(`${what}: ${found[k]} is not ${value}`);
    counts[what.includes("grad") ? "gradients" : "values"]++;
  });
}

for (const vector of JSON.parse(fs.readFileSync(process.argv[2], "utf8")).cases) {
  const { mode, padding_mode: padding, align_corners: aligned } = vector.options;
  if (mode === "bicubic") continue;
  const options = { kernel: mode, padding, aligned };
  const input = read(vector.input), grid = read(vector.grid);
  const [N, C, H, W] = input.shape, P = grid.shape[1] * grid.shape[2];
  const value = [], dinput = [], dgrid = new Array(grid.data.length).fill(0);
  const dvalue = vector.grad_output && read(vector.grad_output).data;
  for (let b = 0; b < N; b++)
    for (let c = 0; c < C; c++) {
      const first = (b * C + c) * H * W, dU = new Float64Array(H * W);
      const U = { H, W, at: input.data.slice(first, first + H * W) };
      for (let p = 0; p < P; p++) {
        const at = 2 * (b * P + p);
        const xy = [e.toPixels(grid.data[at], W, aligned), e.toPixels(grid.data[at + 1], H, aligned)];
        value.push(e.sample(U, xy, options));
        if (!dvalue) continue;
        const [dx, dy] = e.sampleBackward(dvalue[(b * C + c) * P + p], U, xy, options, dU);
        dgrid[at] += dx * e.halfExtent(W, aligned);
        dgrid[at + 1] += dy * e.halfExtent(H, aligned);
      }
      dinput.push(...dU);
    }
  const name = `${vector.name} ${vector.family} ${mode} ${padding} ${aligned} ${vector.dtype}`;
  hold(value, read(vector.value).data, read(vector.value_bound).data, `${name} value`);
  if (dvalue) {
    hold(dinput, read(vector.grad_input).data, read(vector.grad_input_bound).data, `${name} grad_input`);
    hold(dgrid, read(vector.grad_grid).data, read(vector.grad_grid_bound).data, `${name} grad_grid`);
  }
  counts.cases++;
}
console.log(JSON.stringify(counts));
process.exit(counts.cases && counts.worst <= 1 ? 0 : 1);
