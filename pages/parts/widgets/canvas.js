// The sheet to draw on: pen, eraser, undo, redo and clear, by mouse, pen, finger or keys. The drawing goes to the server the moment the
// pen is lifted and, where answers are live, every PAUSE while it moves: what is sent last is always the finished stroke. It is
// kept in this browser tab, so that a reload or a look at another page does not lose it.
const KEPT = "torch-playground.sheet", MOST_STEPS = 400, DARK = 128;
const KEYS = "keys", ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 14, NEAR = 2; // pixels of the sheet that an arrow moves the pen, and with the shift key
const PAUSE = 100, PATIENCE = 1000; // milliseconds; a server that has not heard the last drawing is waited for that long

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".sheet");
  const sheet = root.sheet || (root.sheet = new Sheet(root, data));
  root.classList.toggle("fitted", data.rest != null);
  root.classList.toggle("plain", Boolean(data.plain));
  root.classList.toggle("below", Boolean(data.below));
  (data.rest ?? []).forEach((pixels, i) => root.style.setProperty(i ? "--narrow-rest" : "--rest", `${pixels}px`));
  sheet.live = Boolean(data.live);
  sheet.heard = data.heard ?? 0;
  sheet.send = (url, strokes) => {
    sheet.told += 1;
    sheet.sent = performance.now();
    setStateValue("drawing", { strokes, data: url, number: sheet.told, moving: Boolean(sheet.stroke) });
  };
  sheet.begin();
}

class Sheet {
  constructor(root, data) {
    Object.assign(this, data); // side, ink, paper, narrowest, widest, width, sheet, plain, name
    this.steps = []; // strokes {erase, width, points: [x, y, …]} and {clear: true}
    this.done = 0; // how many of them count: those behind were undone
    this.stroke = null;
    this.pen = null; // where keys have moved it
    this.told = data.heard ?? 0; // of the last drawing that was sent
    this.sent = 0;
    const find = (name) => root.querySelector(name);
    this.canvas = find("canvas");
    this.help = find(".help");
    this.said = find("[role=status]");
    this.range = find("[type=range]");
    this.number = find("output");
    this.buttons = { undo: find(".undo"), redo: find(".redo"), clear: find(".clear") };
    Object.assign(this.range, { min: this.narrowest, max: this.widest, value: this.width });
    this.eraser = find("[value=eraser]");
    this.restore();
    new ResizeObserver(() => this.sharpen()).observe(this.canvas);
    this.sharpen();
    this.range.addEventListener("input", () => this.tools());
    root.addEventListener("change", () => this.keep());
    this.canvas.addEventListener("pointerdown", (event) => this.down(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, (event) => this.up(event));
    // else a quick stroke is a swipe, too, which goes on for a moment in Chrome and swallows the next tap, on any button
    this.canvas.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    this.buttons.undo.addEventListener("click", () => this.go(-1));
    this.buttons.redo.addEventListener("click", () => this.go(1));
    this.buttons.clear.addEventListener("click", () => this.add({ clear: true }));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.canvas.addEventListener("keyup", (event) => event.key === "Tab" && this.explain(true)); // it has just come here
    this.canvas.addEventListener("blur", () => this.leave());
    this.tools();
    this.paint();
    if (this.steps.length) this.keep(); // as this visitor's: after a reload it is known by another name
  }

  sharpen() { // as many pixels as the screen shows
    const shown = (this.canvas.clientWidth / this.side) * (window.devicePixelRatio || 1);
    const sharpness = Math.max(1, Math.min(4, Math.round(shown)));
    if (sharpness === this.sharpness) return;
    this.sharpness = sharpness;
    this.canvas.width = this.canvas.height = this.side * sharpness;
    this.paint();
  }

  begin() { // once, when there is somebody to send to: the server does not know a drawing that was kept here
    if (this.begun) return;
    this.begun = true;
    if (this.visible().length) this.tell();
  }

  // --- what the tools do

  tools() {
    this.width = Number(this.range.value);
    this.number.textContent = `${this.width} px`;
    this.buttons.undo.disabled = this.done === 0;
    this.buttons.redo.disabled = this.done === this.steps.length;
    this.buttons.clear.disabled = !this.visible().length;
  }

  go(by) {
    const done = Math.min(this.steps.length, Math.max(0, this.done + by));
    if (this.stroke || done === this.done) return;
    this.done = done;
    this.changed();
  }

  add(step) {
    this.steps.splice(this.done, Infinity, step);
    if (this.steps.length > MOST_STEPS) { // the oldest drawings that were cleared are forgotten first
      const clear = this.steps.findIndex((one) => one.clear);
      if (clear >= 0 && clear < this.steps.length - 1) this.steps.splice(0, clear + 1);
    }
    this.done = this.steps.length;
    this.changed();
  }

  changed() {
    this.paint();
    this.tell();
    this.tools();
    this.keep();
  }

  visible() { // the strokes since the sheet was last cleared
    const steps = this.steps.slice(0, this.done);
    return steps.slice(steps.findLastIndex((one) => one.clear) + 1);
  }

  // --- the pen

  place(event) {
    const box = this.canvas.getBoundingClientRect(), scale = this.side / box.width;
    return [event.clientX - box.left, event.clientY - box.top].map((value) => Math.round(value * scale * 10) / 10);
  }

  down(event) {
    this.leave();
    if (!event.isPrimary || event.button !== 0 || this.stroke) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.stroke = { erase: this.eraser.checked, width: this.width, points: this.place(event), pointer: event.pointerId };
    this.line(this.canvas.getContext("2d"), this.stroke, this.sharpness);
  }

  move(event) {
    if (this.stroke?.pointer !== event.pointerId) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) this.stroke.points.push(...this.place(one));
    const points = this.stroke.points, from = Math.max(0, points.length - 2 * (all.length + 3)) & ~1;
    this.line(this.canvas.getContext("2d"), { ...this.stroke, points: points.slice(from) }, this.sharpness);
    this.soon();
  }

  soon() {
    if (this.live) this.later ??= setTimeout(() => this.glance(), PAUSE - Math.min(PAUSE, performance.now() - this.sent));
  }

  glance() { // what is drawn so far, if the server has heard what it was told last
    this.later = null;
    if (!this.stroke) return; // the finished stroke has been sent
    if (this.heard < this.told && performance.now() - this.sent < PATIENCE)
      this.later = setTimeout(() => this.glance(), PAUSE / 4);
    else this.tell();
  }

  up(event) {
    if (this.stroke?.pointer !== event.pointerId) return;
    const { points } = this.stroke, [x, y] = this.place(event);
    // a busy browser tells of the last stretch only here; where the finger is taken away it says nothing of a place
    if (event.type === "pointerup" && (x !== points.at(-2) || y !== points.at(-1))) points.push(x, y);
    this.lift();
  }

  lift() {
    const { erase, width, points } = this.stroke;
    this.stroke = null;
    clearTimeout(this.later);
    this.later = null;
    if (erase && !this.visible().length) return this.paint(); // there was nothing to erase
    this.add({ erase, width, points });
  }

  // --- the pen by keys: arrows move it, space puts it down and lifts it

  press(event) {
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      return this.go(event.shiftKey ? 1 : -1);
    }
    const way = ARROWS[event.key];
    if (event.altKey || !(way || event.key === " ") || (this.stroke && this.stroke.pointer !== KEYS)) return;
    event.preventDefault(); // else the page would scroll
    this.explain(true);
    this.pen ??= [this.side / 2, this.side / 2];
    if (way) {
      const far = event.shiftKey ? NEAR : FAR;
      this.pen = this.pen.map((at, i) => Math.min(this.side, Math.max(0, at + far * way[i])));
      this.stroke?.points.push(...this.pen);
      if (this.stroke) this.soon();
      this.paint();
    } else if (!event.repeat) this.space();
  }

  space() {
    this.said.textContent = this.stroke ? "Pen lifted" : "Pen down";
    if (this.stroke) return this.lift();
    this.stroke = { erase: this.eraser.checked, width: this.width, points: [...this.pen], pointer: KEYS };
    this.paint();
  }

  leave() { // for the mouse, or another place of the page
    if (this.stroke?.pointer === KEYS) this.lift();
    this.explain(false);
    if (!this.pen) return;
    this.pen = null;
    this.paint();
  }

  explain(shown) {
    this.help.hidden = !shown;
    Object.assign(this.help.style, { left: `${this.canvas.offsetLeft + 8}px`, top: `${this.canvas.offsetTop + 8}px` });
  }

  mark(context) { // a cross, filled in the middle while it draws
    const [x, y] = this.pen;
    context.lineCap = "butt";
    for (const [color, width] of [["#ffffff", 5], ["#c8441b", 2]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      for (const [a, b] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
        context.moveTo(x + 4 * a, y + 4 * b);
        context.lineTo(x + 13 * a, y + 13 * b);
      }
      context.stroke();
    }
    if (!this.stroke) return;
    context.fillStyle = "#c8441b";
    context.beginPath();
    context.arc(x, y, 4, 0, 7);
    context.fill();
  }

  // --- the picture

  line(context, { erase, width, points }, scale) { // a smooth line through the points, or a dot
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.strokeStyle = erase ? this.paper : this.ink;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = erase ? width + 4 : width; // an eraser as wide as the pen would leave the line's soft edge behind
    context.beginPath();
    context.moveTo(points[0], points[1]);
    for (let i = 2; i + 3 < points.length; i += 2)
      context.quadraticCurveTo(points[i], points[i + 1], (points[i] + points[i + 2]) / 2, (points[i + 1] + points[i + 3]) / 2);
    context.lineTo(points.at(-2), points.at(-1)); // to itself where there is one point: a dot, with round ends
    context.stroke();
  }

  draw(canvas, scale) {
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = this.paper;
    context.fillRect(0, 0, this.side, this.side);
    for (const stroke of this.visible()) this.line(context, stroke, scale);
    return context;
  }

  inking() { // the strokes, and the one that is being drawn
    return this.stroke ? [...this.visible(), this.stroke] : this.visible();
  }

  paint() {
    const context = this.draw(this.canvas, this.sharpness);
    if (this.stroke) this.line(context, this.stroke, this.sharpness);
    if (this.pen) this.mark(context);
  }

  tell() { // the server: a PNG, or nothing where no ink is left
    const strokes = this.inking();
    if (!strokes.some((one) => !one.erase)) return this.send(null, 0);
    this.copy ??= Object.assign(document.createElement("canvas"), { width: this.side, height: this.side });
    this.copy.getContext("2d", { willReadFrequently: true }); // in main memory, where the next two lines read it
    const context = this.draw(this.copy, 1);
    if (this.stroke) this.line(context, this.stroke, 1);
    const pixels = context.getImageData(0, 0, this.side, this.side).data;
    const inked = strokes.some((one) => one.erase) ? pixels.some((value, i) => i % 4 === 0 && value < DARK) : true;
    this.send(inked ? this.copy.toDataURL("image/png") : null, strokes.length);
  }

  // --- what outlives a reload

  keep() {
    try {
      const { sheet, steps, done, width } = this;
      sessionStorage.setItem(KEPT + this.name, JSON.stringify({ sheet, steps, done, width, erase: this.eraser.checked }));
    } catch { /* private windows keep nothing; the drawing then lasts as long as the page */ }
  }

  restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEPT + this.name) ?? "null");
      if (!kept) return;
      this.range.value = kept.width;
      this.eraser.checked = Boolean(kept.erase) && !this.plain; // which has no button to take the pen again
      const [visitor, number] = this.sheet.split("."), [before, last] = kept.sheet.split(".");
      if (visitor === before && number !== last) return; // a drawing was put away and this is a new sheet
      this.steps = kept.steps;
      this.done = kept.done;
      this.visible();
    } catch {
      this.steps = [];
      this.done = 0;
    }
  }
}
