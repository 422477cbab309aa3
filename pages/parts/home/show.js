// What a network says, and a training that is played: bars, ten examples, filters and loss move by one clock. What comes from the
// server is a few frames at a time; they are played by the seconds at which they were taken, at most LATEST behind the last one.
const LATEST = 0.4; // seconds
const SHORTEST = 4, LONGEST = 12; // seconds that a recording is played for
const ORANGE = [245, 147, 34], BLUE = [8, 119, 189];

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".show");
  const view = root.view || (root.view = new View(root));
  view.ask = () => setTriggerValue("asked", true);
  view.take(data.content[0]);
}

class View {
  constructor(root) {
    this.root = root;
    const find = (name) => root.querySelector(name);
    for (const part of ["watched", "head", "lines", "source", "examples", "filters", "curve", "again", "picture"])
      this[part] = find(`.${part}`);
    this.label = find(".label span");
    this.play = null;
    this.frames = [];
    this.again.addEventListener("click", () => this.start(0));
    new ResizeObserver(() => {
      this.drawn = null;
      this.draw();
    }).observe(this.picture);
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  take(data) {
    this.data = data;
    text(this.source, data.source);
    if (data.missing && !this.play) text(this.label, data.missing); // until a training is played there
    this.label.classList.toggle("missing", !data.play && !this.play);
    if (data.play) this.add(data.play);
    else if (!this.play && !this.asked) {
      this.asked = true;
      this.ask();
    }
    this.answer();
    this.run();
  }

  add(play) { // frames of the same training join those that are here
    const before = this.play;
    this.play = play;
    if (before?.id !== play.id) {
      this.frames = [];
      this.pictures();
    }
    const known = new Map(this.frames.map((frame) => [frame.step, frame]));
    for (const frame of play.frames) known.set(frame.step, frame);
    this.frames = [...known.values()].sort((a, b) => a.step - b.step).slice(-400);
    if (before?.id !== play.id && this.frames.length) this.begin();
  }

  begin() {
    const last = this.frames.at(-1).seconds;
    if (this.play.live) this.at = Math.max(this.frames[0].seconds, last - LATEST);
    else if (this.still || this.play.id !== "recording") this.at = last;
    else this.at = 0;
  }

  start(at) {
    this.at = at;
    this.run();
  }

  // --- the clock

  run() {
    this.draw();
    this.again.hidden = true;
    if (this.going || !this.frames.length) return;
    this.going = true;
    this.then = null;
    requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    const end = this.frames.at(-1).seconds, passed = this.then === null ? 0 : (now - this.then) / 1000;
    this.then = now;
    let speed = 1;
    if (this.play.id === "recording") speed = end / Math.min(LONGEST, Math.max(SHORTEST, end));
    else speed = Math.max(1, (end - this.at) / LATEST);
    this.at = Math.min(end, this.still ? end : this.at + passed * speed);
    if (this.play.id !== "recording") this.at = Math.max(this.at, end - LATEST);
    this.draw();
    this.going = this.at < end && this.root.isConnected;
    if (this.going) requestAnimationFrame((later) => this.tick(later));
    else this.tell();
  }

  now() { // the frame that has been reached, the next one, and how far it is on the way there
    let i = this.frames.findLastIndex((frame) => frame.seconds <= this.at);
    i = Math.max(0, i);
    const a = this.frames[i], b = this.frames[i + 1];
    const share = b && b.seconds > a.seconds ? Math.max(0, (this.at - a.seconds) / (b.seconds - a.seconds)) : 0;
    return [a, b, share];
  }

  // --- what is drawn

  answer() { // the bars where no training moves them
    const { bars, classes } = this.data;
    this.watched.hidden = !bars.image;
    if (bars.image) {
      gray(this.watched, bars.image, 0);
      this.watched.setAttribute("aria-label", bars.about);
    }
    if (bars.played) return;
    this.head.removeAttribute("aria-busy");
    this.words(bars.title, bars.line);
    rows(this.lines, { classes, values: bars.values, best: bars.best });
  }

  words(title, line) {
    text(this.head.firstElementChild, title);
    text(this.head.lastElementChild, line);
  }

  draw() {
    if (!this.frames.length || !this.play) return;
    const [a, b, share] = this.now();
    if (this.data.bars.played && a.watched) this.form(a, b, share);
    this.say(a);
    if (this.drawn !== a || this.drawnOf !== this.play.id) this.learn(a);
    this.drawn = a;
    this.drawnOf = this.play.id;
    this.fall();
  }

  form(a, b, share) { // the answer to the drawing as it forms
    const values = a.watched.map((value, i) => 100 * (b?.watched ? value + (b.watched[i] - value) * share : value));
    const best = values.indexOf(Math.max(...values)), top = values[best];
    this.head.setAttribute("aria-busy", "true"); // a screen reader is told at the end
    this.words(`It says: ${this.data.classes[best]}`, top > 99.9 ? "Practically certain, > 99.9 %." : `${chance(top)} sure.`);
    rows(this.lines, { classes: this.data.classes, values, best });
  }

  say(frame) { // where the training is, in a line
    const { label, timed } = this.play, time = timed ? ` · ${this.at.toFixed(1)} s` : "", loss = frame.loss === null ? "" : ` · loss ${frame.loss.toFixed(3)}`;
    text(this.label, `${label}${time} · step ${frame.step.toLocaleString("en")}${loss}`);
    this.label.title = this.label.textContent;
  }

  pictures() { // the examples, which stay the same while they are answered
    const { examples, labels, names } = this.play;
    this.drawn = null;
    fill(this.examples, examples.count, "<figure><canvas></canvas><figcaption></figcaption></figure>").forEach((figure, i) => {
      gray(figure.firstElementChild, examples, i);
      figure.title = names[labels[i]] ?? "";
    });
  }

  learn(frame) { // answers and filters as they are at one look
    const { labels, names, examples } = this.play;
    [...this.examples.children].forEach((figure, i) => {
      const right = frame.said[i] === labels[i];
      figure.className = right ? "right" : "";
      text(figure.lastElementChild, names[frame.said[i]] ?? "");
      figure.title = `It says ${names[frame.said[i]]}, ${frame.sure[i]} %; right is ${names[labels[i]]}`;
    });
    const count = frame.said.filter((said, i) => said === labels[i]).length;
    this.about = `${count} of ${examples.count} examples right after step ${frame.step}` +
      (frame.loss === null ? "" : `, loss ${frame.loss.toFixed(3)}`);
    this.weights(frame.filters);
  }

  tell() { // in words, when it stands still
    this.again.hidden = this.play.id !== "recording" || this.still || this.data.waiting;
    if (this.about) this.picture.setAttribute("aria-label",
      `Ten examples with the network's answers, its first filters, and its falling loss: ${this.about}.`);
    this.head.removeAttribute("aria-busy");
  }

  weights({ count, height, width, bytes }) { // the first layer's filters, blue above 0 and orange below
    const context = this.fit(this.filters), box = this.filters.getBoundingClientRect(), title = 16;
    this.caption(context, count ? "What its first layer looks for" : "", 0);
    if (!count) return;
    const values = atob(bytes), dark = this.isDark(), middle = dark ? [44, 48, 54] : [240, 240, 238];
    const gap = 4, fits = (rows) => Math.min((box.width + gap) / Math.ceil(count / rows) - gap,
      (box.height - title + gap) / rows - gap);
    const rows = [1, 2, 3, 4].reduce((best, one) => (fits(one) > fits(best) ? one : best));
    const columns = Math.ceil(count / rows), side = fits(rows);
    const tile = this.tile ??= document.createElement("canvas");
    tile.width = width;
    tile.height = height;
    const paint = tile.getContext("2d");
    context.imageSmoothingEnabled = false;
    for (let k = 0; k < count; k++) {
      const image = paint.createImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        const value = (values.charCodeAt(k * width * height + i) - 128) / 127, end = value < 0 ? ORANGE : BLUE;
        const share = Math.min(1, Math.abs(value));
        for (let c = 0; c < 3; c++) image.data[4 * i + c] = middle[c] + (end[c] - middle[c]) * share;
        image.data[4 * i + 3] = 255;
      }
      paint.putImageData(image, 0, 0);
      const x = (k % columns) * (side + gap), y = title + Math.floor(k / columns) * (side + gap);
      context.drawImage(tile, x, y, side, side);
    }
  }

  fall() { // the loss up to now
    const context = this.fit(this.curve), box = this.curve.getBoundingClientRect(), { curve, live } = this.play;
    const points = curve.filter(([seconds]) => seconds <= this.at), top = 18, bottom = box.height - 4, width = box.width;
    this.caption(context, "Loss", 0);
    if (!curve.length) return;
    const most = Math.max(...curve.map(([, loss]) => loss));
    const end = Math.max(live ? 2 : 0, this.play.id === "recording" ? curve.at(-1)[0] : this.at);
    const place = ([seconds, loss]) => [Math.min(1, seconds / end) * (width - 4), bottom - (loss / most) * (bottom - top)];
    context.strokeStyle = this.style("--st-border-color", "#b0b4bb");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, bottom + 1.5);
    context.lineTo(width, bottom + 1.5);
    context.stroke();
    context.strokeStyle = "#e4572e";
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    points.forEach((point, i) => (i ? context.lineTo(...place(point)) : context.moveTo(...place(point))));
    context.stroke();
    if (points.length) {
      context.fillStyle = "#e4572e";
      context.beginPath();
      context.arc(...place(points.at(-1)), 3, 0, 7);
      context.fill();
    }
  }

  caption(context, words, x) {
    context.fillStyle = this.style("--st-text-color", "#31333f");
    context.font = `0.75rem ${this.style("--st-font", "sans-serif")}`;
    context.textBaseline = "top";
    context.fillText(words, x, 0);
  }

  style(name, otherwise) {
    return getComputedStyle(this.root).getPropertyValue(name).trim() || otherwise;
  }

  isDark() {
    const probe = this.probe ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    probe.fillStyle = this.style("--st-background-color", "#ffffff");
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return r + g + b < 384;
  }

  fit(canvas) { // as many pixels as the screen shows; the box's size is the style's
    const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
    const w = Math.round(box.width * ratio), h = Math.round(box.height * ratio);
    if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    return context;
  }
}

function gray(canvas, { height, width, bytes }, index) { // one of several gray pictures, pixel by pixel
  const values = atob(bytes), size = width * height;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < size; i++) {
    const value = values.charCodeAt(index * size + i);
    image.data.set([value, value, value, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
