/* The figure of section 3's page that moves: drag T_θ's handles over U, follow a pixel of V, descend.

   What it computes is in equations.js; here is only what is drawn, pressed and said. Its words and
   digits stand as JSON in the page, and its picture stays where no script runs. */

"use strict";

(() => {
  const figure = document.querySelector(".play");
  const { words, digits } = JSON.parse(figure.querySelector("script").textContent);
  const e = equations, SIDE = 28, REACH = 1.7; // U from −1.7 to 1.7: handles may be outside of it
  const plane = (bytes) => ({ H: SIDE, W: SIDE, at: Float64Array.from(bytes.match(/../g), (byte) => parseInt(byte, 16) / 255) });
  const planes = Object.fromEntries(Object.entries(digits).map(([label, bytes]) => [label, plane(bytes)]));
  const corners = [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((j) => e.G(i, j, 4, 4, true)));

  // What there is to choose: T, where θ starts, θ ↦ its handles, and a handle's move on θ
  const transformations = {
    affine: {
      T: e.affine,
      identity: [1, 0, 0, 0, 1, 0],
      start: [0.8, -0.4, 0.2, 0.4, 0.8, 0.1],
      handles: (t) => [[t[2], t[5]], [t[2] + t[0], t[5] + t[3]], [t[2] + t[1], t[5] + t[4]]],
      pull: (t, k, [x, y]) => {
        const column = [2, 0, 1][k], from = k ? [t[2], t[5]] : [0, 0];
        return t.map((v, l) => (l === column ? x - from[0] : l === column + 3 ? y - from[1] : v));
      },
    },
    spline: {
      T: e.spline(corners),
      identity: corners.flat(),
      start: corners.flatMap(([x, y]) => [x + 0.25 * Math.sin(2.5 * y), y + 0.2 * Math.sin(3 * x + 1)]),
      handles: (t) => corners.map((_, k) => [t[2 * k], t[2 * k + 1]]),
      pull: (t, k, p) => t.map((v, l) => (l >> 1 === k ? p[l % 2] : v)),
    },
  };
  const state = { transformation: "affine", digit: "2", kernel: "bilinear", padding: "zeros", aligned: true, at: [13, 12] };
  for (const kind of Object.values(transformations)) kind.theta = kind.start;
  const now = () => transformations[state.transformation];

  // Elements
  const SVG = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, ...children) => {
    const drawn = ["svg", "path", "circle", "rect", "g"].includes(name);
    const element = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const raster = () => make("canvas", { width: SIDE, height: SIDE });
  const paint = (canvas, plane) => {
    const context = canvas.getContext("2d"), image = context.createImageData(plane.W, plane.H);
    plane.at.forEach((v, p) => image.data.set([...Array(3).fill(Math.round(255 * (1 - v))), 255], 4 * p));
    context.putImageData(image, 0, 0);
  };
  const place = (circle, [x, y]) => { circle.setAttribute("cx", x); circle.setAttribute("cy", y); };
  const path = (points) => "M" + points.map(([x, y]) => `${x.toFixed(4)},${y.toFixed(4)}`).join("L");
  const number = (value) => value.toFixed(3).replace("-", "−").replace(/^−(0\.0+)$/, "$1");
  const pair = (values) => `(${values.map(number).join(", ")})`;

  const U = raster(), V = raster();
  const grid = make("path", { class: "grid" }), frame = make("path", { class: "frame" });
  const pulls = make("path", { class: "pulls" }), first = make("circle", { class: "first", r: 0.04 });
  const reads = make("g", { class: "reads" }), handles = make("g");
  const point = make("circle", { class: "point", r: 0.03 });
  const over = make("svg", { viewBox: `${-REACH} ${-REACH} ${2 * REACH} ${2 * REACH}` });
  over.append(reads, grid, frame, first, pulls, point, handles);
  const picked = make("rect", { class: "picked", width: 1, height: 1 });
  const above = make("svg", { viewBox: `0 0 ${SIDE} ${SIDE}` }, picked);
  const output = make("div", { class: "plane output", tabindex: 0, role: "group", "aria-label": words.V }, V, above);
  const coordinates = make("p"), rows = make("tbody"), sums = make("tfoot");
  const loss = make("output", { "aria-live": "polite" });

  const choice = (key, values) => make("fieldset", {},
    make("legend", {}, words[key]),
    ...values.map((value) => {
      const input = make("input", { type: "radio", name: key, value });
      input.checked = state[key] === value;
      input.addEventListener("change", () => { state[key] = value; draw(); });
      return make("label", {}, input, words.values[value] ?? value);
    }));
  const button = (name, press) => {
    const pressed = make("button", { type: "button", name }, words[name]);
    pressed.addEventListener("click", press);
    return pressed;
  };
  const aligned = make("input", { type: "checkbox", name: "aligned" });
  aligned.checked = state.aligned;
  aligned.addEventListener("change", () => { state.aligned = aligned.checked; draw(); });

  // A handle: dragged by mouse or finger, moved by the arrow keys; and so V's pixel
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const onArrows = (element, move) => element.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    move(step, event.shiftKey ? 4 : 1);
  });
  const within = (element, event) => {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const pull = (k, p) => {
    now().theta = now().pull(now().theta, k, p.map((v) => Math.min(REACH, Math.max(-REACH, v))));
    draw();
  };
  const handle = (k) => {
    const dot = make("circle", { class: "handle", r: 0.07, tabindex: 0, role: "button", "aria-label": `${words.handle} ${k + 1}` });
    dot.addEventListener("pointerdown", (event) => { dot.setPointerCapture(event.pointerId); event.preventDefault(); dot.focus(); });
    dot.addEventListener("pointermove", (event) => {
      if (dot.hasPointerCapture(event.pointerId)) pull(k, within(over, event).map((v) => (2 * v - 1) * REACH));
    });
    onArrows(dot, (step, times) => pull(k, now().handles(now().theta)[k].map((v, l) => v + 0.05 * times * step[l])));
    return dot;
  };
  const pick = (i, j) => {
    state.at = [i, j].map((v) => Math.min(SIDE - 1, Math.max(0, v)));
    trace(); // V stays as it is
  };
  const pickUnder = (event) => pick(...within(V, event).reverse().map((v) => Math.floor(SIDE * v)));
  output.addEventListener("pointermove", pickUnder);
  output.addEventListener("pointerdown", pickUnder);
  onArrows(output, ([right, down], times) => pick(state.at[0] + times * down, state.at[1] + times * right));

  // L = ½ Σ (V − U)², and its gradient in θ
  const evaluate = (theta) => {
    const plane = planes[state.digit], V = e.transform(plane, now().T, theta, SIDE, SIDE, state);
    const dV = { ...V, at: V.at.map((v, p) => v - plane.at[p]) };
    return { V, dV, L: dV.at.reduce((sum, d) => sum + (d * d) / 2, 0) };
  };
  const evaluateBackward = (theta, dV) => e.transformBackward(dV, planes[state.digit], now().T, theta, state).dtheta;
  const along = (theta, dtheta, step) => theta.map((v, k) => v - (step / Math.hypot(...dtheta)) * dtheta[k]);
  const descend = () => {
    const { theta } = now(), { dV, L } = evaluate(theta), dtheta = evaluateBackward(theta, dV);
    for (let step = 0.3; Math.hypot(...dtheta) && step > 1e-4; step /= 2) {
      const tried = along(theta, dtheta, step);
      if (evaluate(tried).L < L) {
        now().theta = tried;
        return draw();
      }
    }
    draw(words.bottom[state.kernel]);
  };

  // All that is seen follows from the state
  function draw(message = "") {
    const { T, theta } = now(), { V: values, dV, L } = evaluate(theta), dtheta = evaluateBackward(theta, dV);
    figure.dataset.theta = theta.join(" ");
    paint(U, planes[state.digit]);
    paint(V, values);
    const extent = (SIDE / 2 / e.halfExtent(SIDE, state.aligned) / REACH) * 100; // U's outer edge, in %
    Object.assign(U.style, { inset: `${50 - extent / 2}%`, width: `${extent}%`, height: `${extent}%` });

    const line = (k, across) => Array.from({ length: 33 }, (_, l) => T.map(theta, across ? [l / 16 - 1, k / 4 - 1] : [k / 4 - 1, l / 16 - 1]));
    grid.setAttribute("d", [1, 2, 3, 4, 5, 6, 7].flatMap((k) => [path(line(k, true)), path(line(k, false))]).join(""));
    frame.setAttribute("d", [line(0, true), line(8, true), line(0, false), line(8, false)].map(path).join(""));
    place(first, T.map(theta, [-1, -1]));
    const at = now().handles(theta);
    if (handles.children.length !== at.length) handles.replaceChildren(...at.map((_, k) => handle(k)));
    at.forEach((p, k) => place(handles.children[k], p));
    const to = Math.hypot(...dtheta) ? now().handles(along(theta, dtheta, 0.5)) : at; // where descent pulls
    pulls.setAttribute("d", at.map((p, k) => path([p, to[k]])).join(""));

    trace();
    loss.value = `L = ½ Σ (V − U)² = ${number(L)}${message && `. ${message}`}`;
  }

  // One pixel of V through the equations
  function trace() {
    const { T, theta } = now(), [i, j] = state.at;
    const target = e.G(i, j, SIDE, SIDE, state.aligned), source = T.map(theta, target);
    const xy = source.map((v) => e.toPixels(v, SIDE, state.aligned));
    const taps = e.taps(planes[state.digit], xy, state);
    picked.setAttribute("x", j);
    picked.setAttribute("y", i);
    place(point, source);
    const pixel = 1 / e.halfExtent(SIDE, state.aligned), near = (v) => e.target(v, SIDE, state.aligned);
    reads.replaceChildren(...taps.map((t) => make("rect", {
      x: near(t.m) - pixel / 2, y: near(t.n) - pixel / 2, width: pixel, height: pixel,
      "fill-opacity": Math.abs(t.kx * t.ky),
    })));
    coordinates.innerHTML = `<i>(i, j)</i> = (${i}, ${j}) → <i>(x<sup>t</sup>, y<sup>t</sup>)</i> = ${pair(target)} →
      <i>(x<sup>s</sup>, y<sup>s</sup>)</i> = ${pair(source)} → <i>(x, y)</i> = ${pair(xy)}`;
    const row = (t) => [t.kx * t.ky, t.U * t.kx * t.ky, t.U * t.dkx * t.ky, t.U * t.kx * t.dky];
    const cells = (name, values) => values.map((v) => make(name, {}, v));
    rows.replaceChildren(...taps.map((t) => make("tr", {}, ...cells("td", [t.n, t.m, ...[t.U, t.kx, t.ky, ...row(t)].map(number)]))));
    const total = [1, 2, 3].map((k) => number(taps.reduce((sum, t) => sum + row(t)[k], 0)));
    sums.replaceChildren(make("tr", {}, make("th", { colspan: 6 }, "V, ∂V/∂x, ∂V/∂y"), ...cells("td", total)));
  }

  const head = make("thead");
  head.innerHTML = `<tr><th colspan="5">${words.equation}</th><th>(6)</th><th>(3)</th><th colspan="2">(7)</th></tr><tr>` +
    ["n", "m", "U<sub>nm</sub>", "k(x−m)", "k(y−n)", "k k", "U k k", "U k′ k", "U k k′"].map((v) => `<th><i>${v}</i></th>`).join("") + "</tr>";
  figure.querySelectorAll("img, a.image-reference").forEach((still) => still.remove());
  figure.prepend(make("div", { class: "moving" },
    make("div", { class: "choices" },
      choice("transformation", Object.keys(transformations)), choice("digit", Object.keys(planes)),
      choice("kernel", Object.keys(e.kernels)), choice("padding", Object.keys(e.paddings)),
      make("fieldset", {}, make("legend", {}, words.corners), make("label", {}, aligned, "align_corners"))),
    make("div", { class: "panels" },
      make("div", {}, make("p", {}, words.U), make("div", { class: "plane input" }, U, over)),
      make("div", {}, make("p", {}, words.V), output),
      make("div", { class: "trace", dir: "ltr" }, coordinates, make("table", {}, head, rows, sums))),
    make("p", { class: "descent" }, button("descend", descend),
      button("identity", () => { now().theta = now().identity; draw(); }), " ", loss)));
  draw();
})();
