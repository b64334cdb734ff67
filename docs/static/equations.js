/* Section 3 of the paper in plain JavaScript, for one plane of numbers at a time: the page's own sampler.

   A port, and proved as a port is: `tests/vectors.js` holds it against the golden vectors of
   PyTorch's dialect, values and gradients. Letters are the paper's. A plane U is
   {H, W, at: Float64Array}, row by row; a point is [x, y]; gradients are dU, dx, dy, dtheta. */

"use strict";

const equations = (() => {
  // §3.2  the target point of column j of S: ±1 are the centres of the outer pixels, or their edges
  const centre = (S) => (S - 1) / 2;
  const halfExtent = (S, aligned) => (aligned ? centre(S) : S / 2);
  const target = (j, S, aligned) => {
    const c = halfExtent(S, aligned);
    return c === 0 ? 0 : (j - centre(S)) / c;
  };

  // §3.2  x = c̃ x^s + c, and its slope c̃
  const toPixels = (x, S, aligned) => halfExtent(S, aligned) * x + centre(S);

  // Eq. 1  (x^s, y^s) = A_θ (x^t, y^t, 1); θ is the six numbers, row by row
  const affine = (theta, [x, y]) => [
    theta[0] * x + theta[1] * y + theta[2],
    theta[3] * x + theta[4] * y + theta[5],
  ];

  // Eq. 1 backwards: dA_kl = Σ_i dx_k g_l
  const affineBackward = ([dx, dy], [x, y]) => [dx * x, dx * y, dx, dy * x, dy * y, dy];

  // §3.2  the thin plate spline: U(r) = r² log r of every control point, then x, y, 1
  const bends = ([x, y], points) => [
    ...points.map(([px, py]) => {
      const r2 = (x - px) ** 2 + (y - py) ** 2;
      return r2 === 0 ? 0 : (r2 * Math.log(r2)) / 2;
    }),
    x, y, 1,
  ];

  // its coefficients, K + 3 a coordinate: [K P; Pᵀ 0] w = (θ; 0), by elimination with pivots
  const splineCoefficients = (points, theta) => {
    const K = points.length, N = K + 3;
    const rows = points.map((p, k) => [...bends(p, points), theta[k][0], theta[k][1]]);
    for (let l = 0; l < 3; l++) rows.push([...points.map((p) => [...p, 1][l]), 0, 0, 0, 0, 0]);
    for (let k = 0; k < N; k++) {
      let best = k;
      for (let r = k; r < N; r++) if (Math.abs(rows[r][k]) > Math.abs(rows[best][k])) best = r;
      [rows[k], rows[best]] = [rows[best], rows[k]];
      for (let r = 0; r < N; r++) {
        const times = r === k ? 0 : rows[r][k] / rows[k][k];
        if (times) for (let l = k; l < N + 2; l++) rows[r][l] -= times * rows[k][l];
      }
    }
    return rows.map((row, k) => [row[N] / row[k], row[N + 1] / row[k]]);
  };

  const spline = (coefficients, points, p) => {
    const sum = [0, 0];
    bends(p, points).forEach((b, k) => {
      sum[0] += coefficients[k][0] * b;
      sum[1] += coefficients[k][1] * b;
    });
    return sum;
  };

  // Where a coordinate outside lands before it is sampled, and with which slope.
  const paddings = {
    zeros: (x) => [x, 1],
    border: (x, S) => (x > 0 && x < S - 1 ? [x, 1] : [x >= S - 1 ? S - 1 : 0, 0]),
    reflection: (x, S, aligned) => {
      const low = aligned ? 0 : -0.5, span = S - 2 * low - 1;
      if (span === 0 || !Number.isFinite(x)) return [0, 0];
      const far = Math.abs(x - low), folds = Math.floor(far / span), rest = far % span;
      const [inside, slope] = paddings.border(folds % 2 ? span - rest + low : rest + low, S);
      return [inside, slope * (folds % 2 ? -1 : 1) * (x < low ? -1 : 1)];
    },
  };

  const nearest = (x) => { // halves to the even pixel, as PyTorch rounds; the paper's go up
    const m = Math.round(x);
    return m - x === 0.5 && m % 2 ? m - 1 : m;
  };

  // Eqs. 4 and 5  the pixels m that count at x, each with k(x − m) and k′(x − m)
  const kernels = {
    nearest: (x) => [{ m: nearest(x), k: Number.isFinite(x) ? 1 : 0, dk: 0 }],
    bilinear: (x) => {
      const m = Math.floor(x), f = x - m;
      return [{ m, k: 1 - f, dk: -1 }, { m: m + 1, k: f, dk: 1 }];
    },
  };

  // U_nm, and 0 around it
  const pixel = (U, n, m) => (n >= 0 && n < U.H && m >= 0 && m < U.W ? U.at[n * U.W + m] : 0);

  // the terms of Eqs. 3, 6 and 7 at one point: what the trace shows
  const terms = (U, [x, y], { kernel = "bilinear", padding = "zeros", aligned = true } = {}) => {
    const [px, slopeX] = paddings[padding](x, U.W, aligned);
    const [py, slopeY] = paddings[padding](y, U.H, aligned);
    const found = [];
    for (const v of kernels[kernel](py))
      for (const h of kernels[kernel](px))
        found.push({
          n: v.m, m: h.m, U: pixel(U, v.m, h.m), weight: h.k * v.k,
          slopeX: slopeX * h.dk * v.k, slopeY: slopeY * h.k * v.dk,
        });
    return found;
  };

  // Eq. 3  V = Σ_n Σ_m U_nm k(x − m) k(y − n)
  const sample = (U, point, options) => {
    let V = 0;
    for (const t of terms(U, point, options)) V += t.U * t.weight;
    return V;
  };

  // Eq. 6, added to dU, and Eq. 7, returned: [dx, dy]
  const sampleBackward = (dV, U, point, options, dU) => {
    let dx = 0, dy = 0;
    for (const t of terms(U, point, options)) {
      if (t.n >= 0 && t.n < U.H && t.m >= 0 && t.m < U.W) dU[t.n * U.W + t.m] += dV * t.weight;
      dx += dV * t.U * t.slopeX;
      dy += dV * t.U * t.slopeY;
    }
    return [dx, dy];
  };

  // §3.4 without its localisation network: V of a whole lattice, T any point-to-point map
  const transform = (U, T, H, W, options = {}) => {
    const { aligned = true } = options, V = { H, W, at: new Float64Array(H * W) };
    for (let i = 0; i < H; i++)
      for (let j = 0; j < W; j++) {
        const [x, y] = T([target(j, W, aligned), target(i, H, aligned)]);
        const xy = [toPixels(x, U.W, aligned), toPixels(y, U.H, aligned)];
        V.at[i * W + j] = sample(U, xy, options);
      }
    return V;
  };

  // the gradient of L = ½ Σ (V − target)² in an affine θ: Eq. 7, c̃, Eq. 1, summed over the lattice
  const descent = (U, theta, wanted, options = {}) => {
    const { aligned = true } = options, dtheta = new Float64Array(6);
    const dU = new Float64Array(U.H * U.W);
    const V = transform(U, (p) => affine(theta, p), wanted.H, wanted.W, options);
    let loss = 0;
    for (let i = 0; i < V.H; i++)
      for (let j = 0; j < V.W; j++) {
        const G = [target(j, V.W, aligned), target(i, V.H, aligned)];
        const [x, y] = affine(theta, G), dV = V.at[i * V.W + j] - wanted.at[i * V.W + j];
        const xy = [toPixels(x, U.W, aligned), toPixels(y, U.H, aligned)];
        const [dx, dy] = sampleBackward(dV, U, xy, options, dU);
        const dgrid = [dx * halfExtent(U.W, aligned), dy * halfExtent(U.H, aligned)];
        affineBackward(dgrid, G).forEach((d, k) => (dtheta[k] += d));
        loss += (dV * dV) / 2;
      }
    return { loss, dtheta: [...dtheta], V };
  };

  return {
    affine, affineBackward, descent, halfExtent, kernels, paddings, sample, sampleBackward, spline,
    splineCoefficients, target, terms, toPixels, transform,
  };
})();

if (typeof module !== "undefined") module.exports = equations;
