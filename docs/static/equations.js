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

  // A transformation: T_θ of a target point, and dθ of what pulls its source point. θ is a list.
  // Eq. 1  (x^s, y^s) = A_θ (x^t, y^t, 1), and dA_kl = dx_k g_l; A_θ row by row
  const affine = {
    map: (theta, [x, y]) => [
      theta[0] * x + theta[1] * y + theta[2],
      theta[3] * x + theta[4] * y + theta[5],
    ],
    backward: ([dx, dy], [x, y]) => [dx * x, dx * y, dx, dy * x, dy * y, dy],
  };

  // §3.2  T_θ = M_θ B, and dθ_kl = dx_l B_k; θ is x_1, y_1, x_2, y_2, …
  const linear = (basis) => ({
    map: (theta, p) => {
      const B = basis(p), along = (l) => B.reduce((sum, b, k) => sum + theta[2 * k + l] * b, 0);
      return [along(0), along(1)];
    },
    backward: (d, p) => basis(p).flatMap((b) => [d[0] * b, d[1] * b]),
  });

  // §3.2  the thin plate spline: its points' r² log r, then x, y, 1, times the system's inverse
  const bends = ([x, y], points) => [
    ...points.map(([px, py]) => {
      const r2 = (x - px) ** 2 + (y - py) ** 2;
      return r2 === 0 ? 0 : (r2 * Math.log(r2)) / 2;
    }),
    x, y, 1,
  ];
  const spline = (points) => {
    const K = points.length, upper = points.map((p) => bends(p, points));
    const lower = [0, 1, 2].map((l) => [...points.map((p) => [...p, 1][l]), 0, 0, 0]);
    const inverse = solved([...upper, ...lower], K);
    return linear((p) => {
      const b = bends(p, points);
      return points.map((_, k) => b.reduce((sum, value, r) => sum + value * inverse[r][k], 0));
    });
  };

  // the first K columns of a matrix's inverse, by elimination with pivots
  const solved = (matrix, K) => {
    const N = matrix.length;
    const rows = matrix.map((row, r) => [...row, ...matrix.keys()].map((v, c) => (c < N ? v : +(v === r))));
    for (let k = 0; k < N; k++) {
      let best = k;
      for (let r = k; r < N; r++) if (Math.abs(rows[r][k]) > Math.abs(rows[best][k])) best = r;
      [rows[k], rows[best]] = [rows[best], rows[k]];
      for (let r = 0; r < N; r++) {
        const times = r === k ? 0 : rows[r][k] / rows[k][k];
        if (times) for (let c = k; c < 2 * N; c++) rows[r][c] -= times * rows[k][c];
      }
    }
    return rows.map((row, k) => row.slice(N, N + K).map((value) => value / row[k]));
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

  // The taps of one point, and what Eqs. 3, 6 and 7 multiply there: U, k and k′ along x and along y
  const taps = (U, [x, y], { kernel = "bilinear", padding = "zeros", aligned = true } = {}) => {
    const [px, slopeX] = paddings[padding](x, U.W, aligned);
    const [py, slopeY] = paddings[padding](y, U.H, aligned);
    return kernels[kernel](py).flatMap((v) => kernels[kernel](px).map((h) => ({
      n: v.m, m: h.m, U: pixel(U, v.m, h.m), kx: h.k, ky: v.k, dkx: slopeX * h.dk, dky: slopeY * v.dk,
    })));
  };

  // Eq. 3  V = Σ_n Σ_m U_nm k(x − m) k(y − n)
  const sample = (U, point, options) => {
    let V = 0;
    for (const t of taps(U, point, options)) V += t.U * t.kx * t.ky;
    return V;
  };

  // Eq. 6, added to dU, and Eq. 7, returned: [dx, dy]
  const sampleBackward = (dV, U, point, options, dU) => {
    let dx = 0, dy = 0;
    for (const t of taps(U, point, options)) {
      if (t.n >= 0 && t.n < U.H && t.m >= 0 && t.m < U.W) dU[t.n * U.W + t.m] += dV * t.kx * t.ky;
      dx += dV * t.U * t.dkx * t.ky;
      dy += dV * t.U * t.kx * t.dky;
    }
    return [dx, dy];
  };

  // §3.4 without its localisation network: V (H, W) = sample(U, T_θ(G) in pixels)
  const G = (i, j, H, W, aligned) => [target(j, W, aligned), target(i, H, aligned)];
  const transform = (U, T, theta, H, W, options = {}) => {
    const { aligned = true } = options, V = { H, W, at: new Float64Array(H * W) };
    V.at.forEach((_, p) => {
      const [x, y] = T.map(theta, G(Math.floor(p / W), p % W, H, W, aligned));
      V.at[p] = sample(U, [toPixels(x, U.W, aligned), toPixels(y, U.H, aligned)], options);
    });
    return V;
  };

  // dθ and dU of a loss whose gradient in V is dV: Eqs. 6 and 7, c̃, then T_θ backwards, summed over G
  const transformBackward = (dV, U, T, theta, options = {}) => {
    const { aligned = true } = options, { H, W } = dV;
    const dtheta = theta.map(() => 0), dU = new Float64Array(U.H * U.W);
    dV.at.forEach((d, p) => {
      const g = G(Math.floor(p / W), p % W, H, W, aligned), [x, y] = T.map(theta, g);
      const point = [toPixels(x, U.W, aligned), toPixels(y, U.H, aligned)];
      const [dx, dy] = sampleBackward(d, U, point, options, dU);
      const dgrid = [dx * halfExtent(U.W, aligned), dy * halfExtent(U.H, aligned)];
      T.backward(dgrid, g).forEach((part, k) => (dtheta[k] += part));
    });
    return { dU, dtheta };
  };

  return {
    G, affine, halfExtent, kernels, paddings, sample, sampleBackward, spline, taps, target,
    toPixels, transform, transformBackward,
  };
})();

if (typeof module !== "undefined") module.exports = equations;
