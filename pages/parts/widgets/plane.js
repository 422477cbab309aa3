// A network on points in the plane: every unit's map, links as thick as their weights, and the answer over the whole plane.
// Called anew with each message from the server, which brings all pictures since the last one; they are played from here, so that
// the server draws nothing and nothing flickers or jumps. The format of a message: core/figures/plane.py.
const ORANGE = [245, 147, 34], BLUE = [8, 119, 189], TOP = 22;
const LOSSES = [["training", "#e4572e"], ["validation", "#2e86ab"]]; // in the order of a picture's standing
const CURVE = 92, BELOW = 58; // px: the losses' height, and what they and the words take of the room beside the plane
const LATEST = 400; // ms: in this time at most what has come is played
const KEPT = 600; // pictures, to go over again
const REPLAY = 30; // pictures a second, and
const LONGEST = 12; // seconds that going over them takes at most
const still = matchMedia("(prefers-reduced-motion: reduce)");

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".plane");
  const view = root.view || (root.view = new View(root));
  view.send = setTriggerValue;
  view.show(data);
}

function read(bytes) { // → what the message says, and its pictures
  const buffer = bytes.slice().buffer, length = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const { sizes, side, unitSide } = about, units = sizes.slice(1, -1).reduce((sum, size) => sum + size, 0);
  const links = sizes.slice(1).reduce((sum, size, i) => sum + size * sizes[i], 0), biases = units + 1;
  const numbers = 3 + units + links + biases, answer = side * side, maps = units * unitSide * unitSide;
  const whole = 4 * numbers + 4 * Math.ceil((answer + maps) / 4);
  const pictures = about.steps.map((step, i) => {
    const start = 4 + length + i * whole, all = new Float32Array(buffer, start, numbers), at = start + 4 * numbers;
    return {
      step, epoch: about.epochs[i], made: about.made[i], standing: all.subarray(0, 3), largest: all.subarray(3, 3 + units),
      weights: all.subarray(3 + units, 3 + units + links), biases: all.subarray(3 + units + links),
      answer: new Uint8Array(buffer, at, answer), units: new Uint8Array(buffer, at + answer, maps),
    };
  });
  return { about, pictures };
}

const mix = (a, b, share, into) => {
  for (let i = 0; i < into.length; i++) into[i] = a[i] + (b[i] - a[i]) * share;
  return into;
};

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  return { canvas, context, image: context.createImageData(width, height) };
}

class View {
  constructor(root) {
    this.root = root;
    const find = (name) => root.querySelector(`.${name}`);
    [this.net, this.big, this.caption, this.legend, this.now] = ["net", "big", "caption", "legend", "now"].map(find);
    this.losses = find("losses");
    [this.time, this.replay, this.slider, this.field] = ["time", "replay", "slider", "weight"].map(find);
    this.hover = null; // {layer, unit} or {link: [layer, to, from]}
    this.history = []; // pictures to go over; queue: those still to be played; at: the one that is shown
    this.queue = [];
    this.drawn = []; // steps of the pictures that have been drawn, in that order; for whoever counts them
    this.drawnAt = []; // when, ms since 1970
    this.late = []; // how many ms after they were made, where that was on this machine
    this.passed = 0; // pictures that were not drawn, as they came denser than the screen shows them
    new ResizeObserver(() => this.draw()).observe(root);
    this.net.addEventListener("pointermove", (event) => this.look(this.under(event)));
    this.net.addEventListener("pointerdown", (event) => this.look(this.under(event)));
    this.net.addEventListener("pointerleave", () => this.field.hidden && this.look(null));
    this.net.addEventListener("click", (event) => this.choose(this.under(event), event));
    this.field.addEventListener("keydown", (event) => this.type(event));
    this.field.addEventListener("input", () => this.refuse(false));
    this.field.addEventListener("blur", () => this.close());
    this.big.addEventListener("click", (event) => this.click(event));
    this.slider.addEventListener("input", () => this.stand(this.history[Number(this.slider.value)]));
    this.replay.addEventListener("click", () => (this.replaying ? this.stop() : this.again()));
  }

  show(message) {
    const { about, pictures } = read(message), before = this.about;
    const same = before && before.run === about.run, last = same && this.newest ? this.newest.step : -1;
    this.about = about;
    if (!same || String(before.sizes) !== String(about.sizes)) {
      this.stop();
      [this.history, this.at, this.newest, this.hover] = [[], null, null, null];
    }
    // while it waits, a weight may be set by hand: another picture of the same step
    const again = same && about.changes !== this.changes && pictures.length > 0 && pictures[0].step === last;
    this.changes = about.changes;
    if (again) this.history = this.history.filter((picture) => picture.step < last);
    const fresh = pictures.filter((picture) => picture.step > last || again && picture.step === last);
    if (about.whole) {
      const known = this.history, ends = known.length && known.at(-1).step === pictures.at(-1)?.step;
      if (!ends || known.length < pictures.length || !this.complete) this.history = pictures;
      this.complete = true;
    } else {
      this.complete = false;
      this.history.push(...fresh);
      if (this.history.length > KEPT) this.history = this.history.filter((_, i) => i < 50 || i % 2 === 0);
    }
    if (fresh.length) this.newest = fresh.at(-1);
    this.big.style.cursor = about.adding ? "crosshair" : "default";
    this.net.style.cursor = "default";
    this.net.setAttribute("aria-label", about.alt.network);
    const theme = ["--st-background-color", "--st-text-color", "--st-font"].map((name) => this.style(name, "")).join();
    if (theme !== this.theme) this.colours = this.inputs = this.dots = null;
    if (!before || before.inputs.join() !== about.inputs.join()) this.inputs = null;
    this.theme = theme;
    this.legendOf();
    if (!about.editing && !this.field.hidden) this.close();
    if (!this.replaying) this.come(fresh, same);
    this.times();
    this.words();
    this.draw();
  }

  // --- playing

  come(fresh, same) { // pictures that have just come
    if (!fresh.length) return;
    const now = performance.now(), gap = now - (this.came ?? -Infinity);
    this.came = now;
    this.gap = gap < 1000 ? 0.7 * (this.gap ?? gap) + 0.3 * gap : this.gap ?? 200; // ms between two messages
    if (!same || !this.at || still.matches || document.hidden) {
      this.passed += this.queue.length + fresh.length - 1;
      this.queue = [];
      this.take(fresh.at(-1));
    } else {
      this.queue.push(...fresh);
      this.speed = this.queue.length / Math.min(LATEST, 1.1 * this.gap); // pictures a millisecond: all by the next message
      this.play();
    }
  }

  play() {
    if (this.frame) return;
    let before = performance.now();
    this.share = 0;
    const tick = (now) => {
      this.share += Math.max(0, now - before) * this.speed;
      before = now;
      let steps = Math.floor(this.share);
      if (this.replaying) steps = Math.min(steps, 1); // here each is drawn, however slow the machine
      this.share = this.replaying ? Math.min(1, this.share - steps) : this.share - steps;
      steps = Math.min(steps, this.queue.length);
      for (let i = 1; i <= steps; i++) {
        const picture = this.queue.shift();
        if (i < steps) this.passed++;
        else this.take(picture);
      }
      if (!this.queue.length) {
        this.share = 0;
        this.frame = null;
        if (this.replaying) this.stop();
      } else this.frame = requestAnimationFrame(tick);
      this.draw();
    };
    this.frame = requestAnimationFrame(tick);
  }

  take(picture) { // as the one that is shown
    this.at = picture;
    this.drawn.push(picture.step);
    this.drawnAt.push(performance.timeOrigin + performance.now());
    this.late.push(this.drawnAt.at(-1) - 1000 * picture.made);
    if (this.drawn.length > 20000) [this.drawn, this.drawnAt, this.late] = [[], [], []];
    this.readout();
  }

  stand(picture) {
    this.stop();
    this.take(picture);
    this.draw();
  }

  again() { // from the first picture to the last
    this.stop();
    this.replaying = true;
    const start = Number(this.slider.value) >= this.history.length - 1 ? 0 : Number(this.slider.value);
    this.take(this.history[start]);
    this.queue = this.history.slice(start + 1);
    this.speed = Math.max(REPLAY, this.history.length / LONGEST) / 1000;
    this.times();
    this.play();
  }

  stop() {
    cancelAnimationFrame(this.frame);
    [this.frame, this.queue, this.share, this.replaying] = [null, [], 0, false];
    this.times();
  }

  times() { // the slider over all pictures: where a run has ended or waits, for else it would run away
    const { about, history } = this;
    this.time.hidden = !about || about.going || history.length < 2;
    this.slider.max = Math.max(1, history.length - 1);
    this.replay.textContent = this.replaying ? "Stop" : "Play";
    if (this.at) this.readout();
  }

  readout() {
    const { at, about, history } = this, [learned, heldBack, right] = at.standing, number = (value) => value.toFixed(4);
    const parts = [`Epoch ${at.step ? at.epoch.toLocaleString("en") : 0}, step ${at.step.toLocaleString("en")}`,
      `training loss ${number(learned)}`, `validation ${number(heldBack)}`];
    if (!Number.isNaN(right)) parts.push(`${(100 * right).toFixed(0)}\u00a0%\u00a0right`);
    this.now.textContent = parts.join(" · ");
    if (!this.frame || this.replaying) {
      this.big.setAttribute("aria-label", `${about.alt.answer} ${parts.join(", ")}.`);
      const before = history[0]?.standing ?? at.standing, way = (kind) => `${number(before[kind])} to ${number(at.standing[kind])}`;
      this.losses.setAttribute("aria-label", `Losses up to here: training from ${way(0)}, validation from ${way(1)}.`);
    }
    const place = history.findLastIndex((picture) => picture.step <= at.step); // itself, or where it was left out
    if (place >= 0) this.slider.value = place;
    this.slider.setAttribute("aria-valuetext", parts[0]);
  }

  shown() { // the picture that is drawn: the one it stands at, or between it and the next one
    const { at, queue, share } = this;
    if (!queue.length || !share || still.matches && !this.replaying) return at;
    const next = queue[0], mixed = this.mixed ??= {};
    for (const name of ["answer", "units", "largest", "weights", "biases"]) {
      if (mixed[name]?.length !== at[name].length) mixed[name] = new at[name].constructor(at[name].length);
      mix(at[name], next[name], share, mixed[name]);
    }
    return mixed;
  }

  // --- colours

  style(name, otherwise) {
    return getComputedStyle(this.root).getPropertyValue(name).trim() || otherwise;
  }

  table() { // one colour for each byte; "can't tell" has the page's own, light or dark
    if (this.colours) return this.colours;
    const probe = canvasOf(1, 1).context;
    probe.fillStyle = this.style("--st-background-color", "#ffffff");
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data, middle = r + g + b < 384 ? [44, 48, 54] : [246, 246, 246];
    this.ink = this.style("--st-text-color", "#31333f");
    this.font = this.style("--st-font", "sans-serif");
    this.colours = Uint32Array.from({ length: 256 }, (_, byte) => {
      const value = byte / 127.5 - 1, end = value < 0 ? ORANGE : BLUE, share = Math.abs(value);
      const [red, green, blue] = middle.map((m, i) => Math.round(m + (end[i] - m) * share));
      return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
    });
    return this.colours;
  }

  paint(sheet, bytes) { // bytes as colours on a small canvas of that size
    const colours = this.table(), pixels = new Uint32Array(sheet.image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[bytes[i]];
    sheet.context.putImageData(sheet.image, 0, 0);
    return sheet.canvas;
  }

  sheet(name, width, height) {
    const sheets = this.sheets ??= {}, old = sheets[name];
    return old && old.canvas.width === width && old.canvas.height === height ? old : (sheets[name] = canvasOf(width, height));
  }

  inputSheet() {
    if (this.inputs) return this.inputs;
    const { inputs, unitSide } = this.about, bytes = inputs.flatMap((text) => [...atob(text)].map((c) => c.charCodeAt(0)));
    this.inputBytes = Uint8Array.from(bytes);
    return this.inputs = this.paint(this.sheet("inputs", unitSide, unitSide * inputs.length), this.inputBytes);
  }

  // --- where things are

  layout() {
    const { sizes } = this.about, width = this.net.clientWidth, columns = sizes.length - 1;
    const most = Math.max(...sizes.slice(0, -1)), rows = Math.max(most, 4), tall = Math.max(260, this.big.clientHeight - BELOW);
    const left = 46, right = 14; // names of the inputs; the way to the answer
    const pitch = (width - left - right) / columns;
    const tile = Math.max(16, Math.min(70, pitch * 0.62, (tall - TOP) / rows - 8));
    const place = (layer, unit) => [left + layer * pitch, TOP + unit * (tile + 8)];
    return { width, height: TOP + rows * (tile + 8) + 4, tile, place, end: [width - 4, TOP + (rows * (tile + 8)) / 2] };
  }

  fit(canvas, width, height) {
    const ratio = window.devicePixelRatio || 1, w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  weight(weights, layer, to, from) {
    const { sizes } = this.about;
    let start = 0;
    for (let i = 0; i < layer; i++) start += sizes[i] * sizes[i + 1];
    return weights[start + to * sizes[layer] + from];
  }

  unitNumber(layer, unit) { // its place among all hidden units
    return this.about.sizes.slice(1, layer).reduce((sum, size) => sum + size, 0) + unit;
  }

  // --- drawing

  draw() {
    if (!this.about || !this.at || !this.root.clientWidth) return;
    const picture = this.shown();
    this.table();
    this.drawNet(picture);
    this.drawBig(picture);
    this.drawLosses();
  }

  links(weights, act) { // every link as (layer, to, from, start, end, weight)
    const { sizes } = this.about, { tile, place, end } = this.layout();
    let index = 0;
    for (let layer = 0; layer + 1 < sizes.length; layer++) {
      const last = layer === sizes.length - 2;
      for (let to = 0; to < sizes[layer + 1]; to++) {
        for (let from = 0; from < sizes[layer]; from++) {
          const [x, y] = place(layer, from), [u, v] = last ? end : place(layer + 1, to);
          act(layer, to, from, [x + tile, y + tile / 2], [u, last ? v : v + tile / 2], weights[index++]);
        }
      }
    }
  }

  drawNet(picture) {
    const { sizes, names, titles, unitSide } = this.about, { width, height, tile, place } = this.layout();
    const context = this.fit(this.net, width, height), chosen = this.hover, ink = this.ink;
    this.links(picture.weights, (layer, to, from, a, b, weight) => {
      const here = chosen && chosen.link && chosen.link.join() === [layer, to, from].join(), size = Math.abs(weight);
      context.beginPath();
      context.moveTo(...a);
      const middle = (a[0] + b[0]) / 2;
      context.bezierCurveTo(middle, a[1], middle, b[1], ...b);
      context.strokeStyle = here ? ink : `rgba(${(weight < 0 ? ORANGE : BLUE).join()},${Math.min(1, 0.25 + size / 1.5)})`;
      context.lineWidth = Math.min(8, 0.4 + 1.7 * size);
      context.stroke();
    });
    context.fillStyle = ink;
    context.textBaseline = "middle";
    context.font = `0.75rem ${this.font}`;
    context.textAlign = "left";
    titles.forEach((title, layer) => context.fillText(title, place(layer, 0)[0], 9));
    const hidden = picture.units.length / unitSide ** 2;
    const maps = hidden ? this.paint(this.sheet("units", unitSide, unitSide * hidden), picture.units) : null;
    context.imageSmoothingEnabled = true;
    for (let l = 0; l + 1 < sizes.length; l++) {
      for (let u = 0; u < sizes[l]; u++) {
        const [x, y] = place(l, u), top = unitSide * (l ? this.unitNumber(l, u) : u);
        // from the middle of the first point to the middle of the last one
        context.drawImage(l ? maps : this.inputSheet(), 0.5, top + 0.5, unitSide - 1, unitSide - 1, x, y, tile, tile);
        const here = chosen && !chosen.link && chosen.layer === l && chosen.unit === u;
        context.strokeStyle = ink;
        context.globalAlpha = here ? 1 : 0.35;
        context.lineWidth = here ? 2 : 1;
        context.strokeRect(x + 0.5, y + 0.5, tile - 1, tile - 1);
        context.globalAlpha = 1;
        if (l === 0) {
          context.textAlign = "right";
          context.fillText(names[u], x - 4, y + tile / 2);
        }
      }
    }
  }

  drawBig(picture) {
    const { side, unitSide, discrete } = this.about;
    const width = this.big.clientWidth, context = this.fit(this.big, width, width), chosen = this.hover;
    const unit = chosen && !chosen.link ? chosen : null, points = unit ? unitSide : side;
    const start = unit && unitSide ** 2 * (unit.layer ? this.unitNumber(unit.layer, unit.unit) : unit.unit);
    if (unit && !unit.layer) this.inputSheet();
    const bytes = unit ? (unit.layer ? picture.units : this.inputBytes).subarray(start, start + unitSide ** 2) : picture.answer;
    context.imageSmoothingEnabled = true;
    if (discrete) context.drawImage(this.paint(this.sheet("two", 4 * points, 4 * points), twoColours(bytes, points)), 0, 0, width, width);
    else context.drawImage(this.paint(this.sheet("big", points, points), bytes), 0.5, 0.5, points - 1, points - 1, 0, 0, width, width);
    context.drawImage(this.dotsLayer(width), 0, 0, width, width);
  }

  dotsLayer(width) { // points and axes, which are the same for all pictures: drawn once
    const { train, validation, showValidation, extent } = this.about, ratio = window.devicePixelRatio || 1;
    const content = [width, ratio, extent, showValidation && validation, train].join();
    if (this.dots?.content === content) return this.dots.canvas;
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    canvas.width = canvas.height = Math.round(width * ratio);
    this.dots = { content, canvas };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const dots = (text, outline, size) => {
      const bytes = atob(text);
      for (let i = 0; i < bytes.length; i += 3) {
        const x = bytes.charCodeAt(i) / 255 * width, y = (1 - bytes.charCodeAt(i + 1) / 255) * width;
        const value = bytes.charCodeAt(i + 2) / 127.5 - 1, end = value < 0 ? ORANGE : BLUE;
        context.beginPath();
        context.arc(x, y, size, 0, 7);
        context.fillStyle = `rgb(${end.map((e) => Math.round(215 + (e - 215) * Math.min(1, 0.15 + Math.abs(value)))).join()})`;
        context.strokeStyle = outline;
        context.lineWidth = 1;
        context.fill();
        context.stroke();
      }
    };
    if (showValidation) dots(validation, "#111", 3);
    dots(train, "#fff", 3.6);
    context.fillStyle = this.ink;
    context.globalAlpha = 0.75;
    context.font = `0.6875rem ${this.font}`;
    context.textBaseline = "bottom";
    for (const [text, at, align] of [[`−${extent}`, 3, "left"], ["x₁ →", width / 2, "center"], [`${extent}`, width - 3, "right"]]) {
      context.textAlign = align;
      context.fillText(text, at, width - 2);
    }
    context.textAlign = "left";
    context.fillText("x₂ ↑", 3, width / 2);
    return canvas;
  }

  drawLosses() { // up to the picture that is shown
    const { history, at } = this, width = this.losses.clientWidth, context = this.fit(this.losses, width, CURVE);
    const until = history.filter((picture) => picture.step <= at.step), every = Math.ceil(until.length / 200);
    const points = until.filter((_, i) => i % every === 0 || i === until.length - 1);
    const values = points.flatMap(({ standing }) => [standing[0], standing[1]]).filter(Number.isFinite);
    const first = points[0]?.step ?? 0, last = Math.max(first + 1, at.step), most = Math.max(...values, 1e-9);
    const top = 20, bottom = CURVE - 4;
    context.font = `0.75rem ${this.font}`;
    context.textBaseline = "top";
    let x = 0;
    for (const [words, colour] of [["Loss", this.ink], ...LOSSES]) {
      context.fillStyle = colour;
      context.fillText(words, x, 2);
      x += context.measureText(words).width + 10;
    }
    context.strokeStyle = context.fillStyle = this.ink;
    context.globalAlpha = 0.35;
    context.strokeRect(0.5, bottom + 0.5, width - 1, 0);
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.lineJoin = "round";
    LOSSES.forEach(([, colour], kind) => {
      context.strokeStyle = colour;
      context.beginPath();
      points.filter(({ standing }) => Number.isFinite(standing[kind])).forEach(({ step, standing }, i) => {
        const place = [(step - first) / (last - first) * (width - 2), bottom - standing[kind] / most * (bottom - top)];
        if (i) context.lineTo(...place);
        else context.moveTo(...place);
      });
      context.stroke();
    });
  }

  words() {
    const { names, rest } = this.about, { hover: chosen, at } = this;
    let text = rest;
    if (this.refused) {
      const most = this.about.largest.toLocaleString("en");
      text = `A number from −${most} to ${most}, please.`;
    } else if (chosen && chosen.link && at) {
      text = `${this.linkName(chosen.link)}: ${this.weight(at.weights, ...chosen.link).toFixed(3)}`;
    } else if (chosen && chosen.layer === 0) {
      text = `Input ${names[chosen.unit]}: blue where it is above 0, orange where it is below.`;
    } else if (chosen && at) {
      const number = this.unitNumber(chosen.layer, chosen.unit);
      text = `Hidden layer ${chosen.layer}, unit ${chosen.unit + 1}: up to ${at.largest[number].toPrecision(3)} ` +
        `in size; bias ${at.biases[number].toFixed(3)}.`;
    }
    if (this.refused) this.caption.setAttribute("role", "alert");
    else this.caption.removeAttribute("role");
    this.caption.textContent = text;
  }

  legendOf() {
    const { low, high, validation, showValidation } = this.about;
    const swatch = (colour, ring) => {
      const element = document.createElement("span");
      element.className = "swatch";
      element.style.background = colour;
      if (ring) element.style.border = ring;
      return element;
    };
    this.legend.replaceChildren(
      swatch(`rgb(${ORANGE.join()})`), low, swatch(`rgb(${BLUE.join()})`), high,
      ...(showValidation && validation ? [swatch("transparent", "1.5px solid currentColor"), "dark ring: validation points"] : []));
  }

  // --- pointing

  under(event) { // the unit or link at a place of the network
    if (!this.at) return null;
    const { sizes } = this.about, { tile, place } = this.layout(), x = event.offsetX, y = event.offsetY;
    for (let l = 0; l + 1 < sizes.length; l++) {
      for (let u = 0; u < sizes[l]; u++) {
        const [left, top] = place(l, u);
        if (x >= left && x <= left + tile && y >= top && y <= top + tile) return { layer: l, unit: u };
      }
    }
    let best = null, nearest = 5;
    this.links(this.at.weights, (layer, to, from, a, b) => {
      if (x < a[0] || x > b[0]) return;
      const distance = Math.abs(bezierY(a, b, x) - y);
      if (distance < nearest) [best, nearest] = [{ link: [layer, to, from] }, distance];
    });
    return best;
  }

  look(what) {
    this.net.style.cursor = what && what.link && this.about.editing ? "pointer" : "default";
    if (JSON.stringify(what) === JSON.stringify(this.hover)) return;
    this.hover = what;
    this.words();
    this.draw();
  }

  choose(what, event) { // a link: a field for its weight opens there
    if (!what || !what.link || !this.about.editing) return;
    const { field } = this, [layer, to, from] = this.chosen = what.link;
    this.refuse(false);
    field.hidden = false;
    field.value = this.weight(this.at.weights, layer, to, from).toFixed(3);
    field.setAttribute("aria-label", `${this.linkName(what.link)}. Enter sets it, Escape leaves it.`);
    field.style.left = `${Math.max(0, Math.min(event.offsetX - 48, this.net.clientWidth - 96))}px`;
    field.style.top = `${Math.max(0, event.offsetY - 17)}px`;
    field.focus();
    field.select();
  }

  type(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const value = this.field.valueAsNumber;
    if (event.key === "Enter") {
      if (!(Math.abs(value) <= this.about.largest)) return this.refuse(true); // nor is NaN: nothing, or no number
      this.send("weight", [...this.chosen, value]);
    }
    this.close();
  }

  refuse(refused) { // say it where the words about the picture stand, so that nothing moves
    if (refused === Boolean(this.refused)) return;
    this.refused = refused;
    this.field.setAttribute("aria-invalid", String(refused));
    this.words();
  }

  close() {
    this.refuse(false);
    this.field.hidden = true;
    this.look(null);
  }

  linkName([layer, to, from]) {
    const { names, sizes } = this.about, last = layer === sizes.length - 2;
    const start = layer ? `unit ${from + 1} of layer ${layer}` : names[from];
    return `Weight from ${start} to ${last ? "the output" : `unit ${to + 1} of layer ${layer + 1}`}`;
  }

  click(event) {
    if (!this.about.adding) return;
    const side = this.big.clientWidth, extent = this.about.extent;
    const round = (value) => Math.round(Math.max(-extent, Math.min(extent, value)) * 100) / 100;
    this.send("clicked", [round((event.offsetX / side * 2 - 1) * extent), round((1 - event.offsetY / side * 2) * extent)]);
  }
}

function twoColours(bytes, points) { // the same four times as fine, and only which of the two it is
  const fine = 4 * points, result = new Uint8Array(fine * fine), scale = (points - 1) / (fine - 1);
  for (let row = 0; row < fine; row++) {
    const y = row * scale, top = Math.min(points - 2, Math.floor(y)), down = y - top;
    for (let column = 0; column < fine; column++) {
      const x = column * scale, left = Math.min(points - 2, Math.floor(x)), right = x - left, at = top * points + left;
      const above = bytes[at] * (1 - right) + bytes[at + 1] * right;
      const below = bytes[at + points] * (1 - right) + bytes[at + points + 1] * right;
      result[row * fine + column] = above * (1 - down) + below * down > 127.5 ? 255 : 0;
    }
  }
  return result;
}

function bezierY(a, b, x) { // of the link's curve at x, by halving: x grows along it
  let low = 0, high = 1;
  const middle = (a[0] + b[0]) / 2, at = (t, p, q, r, s) => (1 - t) ** 3 * p + 3 * (1 - t) ** 2 * t * q + 3 * (1 - t) * t * t * r + t ** 3 * s;
  for (let i = 0; i < 20; i++) {
    const t = (low + high) / 2;
    if (at(t, a[0], middle, middle, b[0]) < x) low = t; else high = t;
  }
  return at(low, a[1], a[1], b[1], b[1]);
}
