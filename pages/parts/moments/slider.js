// One slider over all moments that a run has kept. A message brings pictures of a few moments; all that have come are kept here,
// and the server is asked for those that are missing: for the one that is looked at, and while it plays for the next ones.
const KEPT = 240; // moments whose pictures are kept
const AHEAD = 6; // moments that are asked for at once while it plays
const PER_SECOND = 5; // moments that are played
const MOST_ASKED = 12; // moments in one question, as slider.py takes them
const PATIENCE = 4000; // ms, after which the server is asked again: a message can be overtaken by the next
const still = matchMedia("(prefers-reduced-motion: reduce)");

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".time");
  const view = root.view || (root.view = new View(root));
  view.send = setTriggerValue;
  view.take(data);
}

class View {
  constructor(root) {
    const find = (name) => root.querySelector(`.${name}`);
    [this.play, this.slider, this.now, this.panels] = ["play", "slider", "now", "panels"].map(find);
    this.frames = new Map(); // step → what is shown of it
    this.steps = [];
    this.asked = new Map(); // step → when
    this.rested = null; // where it has come to rest, until the server knows
    this.playing = null;
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.slider.addEventListener("change", () => this.rest());
    this.play.addEventListener("click", () => (this.playing ? this.stop() : this.start()));
    still.addEventListener("change", () => {
      this.stop();
      this.draw();
    });
    setInterval(() => root.isConnected && this.want(), 1000);
  }

  take(data) {
    if (data.rested === this.rested) this.rested = null; // the server knows
    const wasLast = this.follows, same = this.of === data.of;
    if (!same) { // another run, or another choice of what is shown
      this.frames.clear();
      this.asked.clear();
    }
    const ledBack = same && !data.going && data.rested === null && data.at !== this.at; // by the browser's way back
    this.at = data.at;
    if (!same || ledBack || this.step === undefined) {
      this.step = data.at;
      this.stoodLast = data.at === data.moments.at(-1).step;
    }
    this.of = data.of;
    this.steps = data.moments.map((moment) => moment.step);
    this.labels = data.moments.map((moment) => moment.label);
    for (const frame of data.frames) {
      this.frames.delete(frame.step);
      this.frames.set(frame.step, frame);
      this.asked.delete(frame.step);
    }
    for (const step of data.tried) this.asked.delete(step); // what there was no time for is asked for again
    for (const step of this.frames.keys()) if (this.frames.size > KEPT) this.frames.delete(step);
    // it follows the training, once there is something to see of the newest moment
    if (same && wasLast && data.going && !this.playing && this.frames.has(this.steps.at(-1))) this.step = this.steps.at(-1);
    if (!this.steps.includes(this.step)) this.step = this.nearest(this.step); // thinned meanwhile
    this.draw();
    this.want();
  }

  nearest(step) {
    return this.steps.reduce((best, each) => (Math.abs(each - step) < Math.abs(best - step) ? each : best), this.steps.at(-1));
  }

  get place() {
    return this.steps.indexOf(this.step);
  }

  go(place) {
    this.stop();
    this.step = this.steps[place];
    this.stoodLast = false;
    this.draw();
    this.want();
  }

  get follows() { // whether it stands at the newest moment that was there when it came to stand
    return this.stoodLast && !this.playing;
  }

  rest() { // where it stands goes into the address
    this.stoodLast = this.place === this.steps.length - 1;
    this.ask([], true);
  }

  start() {
    if (this.place === this.steps.length - 1) this.step = this.steps[0];
    this.rest(); // a training that goes on is not followed meanwhile
    this.playing = setInterval(() => this.next(), 1000 / PER_SECOND);
    this.draw();
    this.want();
  }

  stop() {
    if (!this.playing) return;
    clearInterval(this.playing);
    this.playing = null;
    this.draw();
    this.rest();
  }

  next() {
    if (this.place >= this.steps.length - 1) return this.stop();
    const after = this.steps[this.place + 1];
    if (!this.frames.has(this.step)) return this.want();
    if (this.frames.has(after)) {
      this.step = after;
      this.draw();
    }
    this.want();
  }

  want() {
    if (!this.steps.length) return;
    const wanted = this.playing ? this.steps.slice(this.place, this.place + 1 + AHEAD) : [this.step];
    const old = Date.now() - PATIENCE;
    const missing = wanted.filter((step) => !this.frames.has(step) && !(this.asked.get(step) > old));
    // while it plays, a few together: each question costs the way there and back
    if (missing.length && (!this.playing || missing.length > AHEAD / 2 || wanted.some((step) => step === this.steps.at(-1))
        || missing.includes(this.step))) this.ask(missing, false);
  }

  // A question can be overtaken by the next one, as by that of a key's release. So each holds all that is still to be answered.
  ask(steps, rests) {
    const now = Date.now();
    steps.forEach((step) => this.asked.set(step, now));
    if (rests) this.rested = this.step;
    const open = this.playing ? [...this.asked.keys()].slice(-MOST_ASKED) : this.frames.has(this.step) ? [] : [this.step];
    this.send("asked", { steps: open, at: this.rested, time: now });
  }

  draw() {
    const place = this.place, frame = this.frames.get(this.step);
    this.slider.max = Math.max(0, this.steps.length - 1);
    this.slider.value = place;
    this.slider.disabled = this.steps.length < 2;
    this.slider.setAttribute("aria-valuetext", this.labels[place] || "");
    this.play.hidden = still.matches || this.steps.length < 2;
    this.play.textContent = this.playing ? "Pause" : "Play";
    this.play.dataset.playing = String(Boolean(this.playing));
    const label = document.createElement("strong");
    label.textContent = this.labels[place] || "";
    this.now.replaceChildren(label, document.createElement("br"), frame ? frame.line : "…");
    this.panels.dataset.step = frame ? this.step : "";
    if (frame) this.show(frame);
  }

  show(frame) {
    const have = [...this.panels.children];
    const tiles = frame.panels.map((panel, index) => {
      const tile = have[index] || document.createElement("figure");
      if (!tile.firstChild) tile.append(document.createElement("figcaption"), document.createElement("img"));
      tile.className = panel.pixelated ? "pixelated" : "";
      tile.firstChild.textContent = panel.title; // text, never HTML: names of classes and layers come from people
      const image = tile.lastChild;
      if (image.getAttribute("src") !== panel.src) image.src = panel.src;
      image.width = panel.width;
      image.height = panel.height;
      image.alt = panel.alt;
      return tile;
    });
    if (tiles.length !== have.length || tiles.some((tile, index) => tile !== have[index])) this.panels.replaceChildren(...tiles);
  }
}
