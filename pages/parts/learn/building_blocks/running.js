// Optimizers on a landscape, step by step: the race starts by itself as soon as it is in sight, once for each choice of settings.
const SHORTEST = 4, LONGEST = 9, PER_SECOND = 30; // seconds that a race is played for; steps a second between the two
const BANDS = 18; // of the landscape, as on the map that stands still
const LOW = [255, 255, 255], HIGH = [170, 178, 187], LINE = [142, 151, 161]; // light is low, in both themes
const still = matchMedia("(prefers-reduced-motion: reduce)");

export default function (component) {
  const root = component.parentElement.querySelector(".race");
  const view = root.view || (root.view = new View(root));
  view.take(component.data.content[0]);
}

class View {
  constructor(root) {
    this.root = root;
    const find = (name) => root.querySelector(`.${name}`);
    [this.play, this.slider, this.now, this.map, this.list] = ["play", "slider", "now", "map", "racers"].map(find);
    this.play.addEventListener("click", () => (this.going ? this.pause() : this.start()));
    this.slider.addEventListener("input", () => {
      this.pause();
      this.at = Number(this.slider.value);
      this.draw();
    });
    still.addEventListener("change", () => this.begin());
    new ResizeObserver(() => this.draw()).observe(this.map);
    new IntersectionObserver(([entry]) => {
      this.seen = entry.isIntersecting;
      if (this.seen && this.waits) this.start();
    }, { threshold: 0.3 }).observe(this.map);
  }

  take(data) {
    const same = this.data?.id === data.id;
    this.data = data;
    this.map.setAttribute("aria-label", data.about);
    if (same) return; // the page was only drawn anew
    this.heights = bytes(data.ground.bytes);
    this.racers = data.racers.map((one) => ({ ...one, points: floats(one.points), losses: floats(one.losses) }));
    this.last = Math.max(...this.racers.map((one) => one.losses.length)) - 1;
    this.slider.max = this.last;
    this.ground = null;
    this.rows = this.racers.map((one, index) => {
      const row = document.createElement("li"), badge = document.createElement("b"), title = document.createElement("span");
      badge.textContent = index + 1;
      badge.style.borderColor = one.color;
      title.textContent = one.title;
      row.append(badge, title, document.createElement("output"));
      row.lastChild.setAttribute("aria-live", "off"); // a screen reader is not told every step
      return row;
    });
    this.list.replaceChildren(...this.rows);
    this.begin();
  }

  // --- the clock

  begin() { // from its start, once it is in sight; where nothing is to move, it shows the whole paths
    this.going = false;
    this.at = still.matches ? this.last : 0;
    this.waits = !still.matches;
    if (this.waits && this.seen) this.start();
    else this.draw();
  }

  start() {
    this.waits = false;
    if (this.at >= this.last) this.at = 0;
    this.going = true;
    const round = (this.round = {}); // another start ends this one
    let then = null;
    const seconds = Math.min(LONGEST, Math.max(SHORTEST, this.last / PER_SECOND));
    const tick = (time) => {
      if (!this.going || this.round !== round) return;
      this.at = Math.min(this.last, this.at + (then === null ? 0 : ((time - then) / 1000) * (this.last / seconds)));
      then = time;
      if (this.at >= this.last || !this.root.isConnected) this.going = false;
      else requestAnimationFrame(tick);
      this.draw();
    };
    requestAnimationFrame(tick);
    this.draw();
  }

  pause() {
    this.going = false;
    this.waits = false;
    if (this.data) this.draw();
  }

  // --- what is drawn

  draw() {
    const box = this.map.getBoundingClientRect();
    if (!this.data || !box.width) return;
    const step = Math.floor(this.at);
    this.play.hidden = still.matches;
    this.play.textContent = this.going ? "Pause" : this.at >= this.last ? "Play again" : "Play";
    this.slider.value = step;
    this.slider.setAttribute("aria-valuetext", `step ${step} of ${this.last}`);
    this.now.textContent = `step ${step} of ${this.last}`;
    this.racers.forEach((one, index) => {
      const over = step >= one.losses.length, loss = one.losses[Math.min(step, one.losses.length - 1)];
      const said = over ? "out of the race" : `loss ${short(loss)}`;
      if (this.rows[index].lastChild.textContent !== said) this.rows[index].lastChild.textContent = said;
    });
    this.paint(box, step);
  }

  paint({ width, height }, step) {
    const ratio = window.devicePixelRatio || 1, context = this.map.getContext("2d");
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (this.map.width !== w || this.map.height !== h) {
      Object.assign(this.map, { width: w, height: h });
      this.ground = null;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const area = { x: 34, y: 6, width: width - 42, height: height - 28 }, { x, y, minima } = this.data;
    const place = (a, b) => [area.x + ((a - x[0]) / (x[1] - x[0])) * area.width,
      area.y + area.height - ((b - y[0]) / (y[1] - y[0])) * area.height];
    this.ground ??= this.shaded(Math.round(area.width * ratio), Math.round(area.height * ratio));
    context.drawImage(this.ground, area.x, area.y, area.width, area.height);
    this.axes(context, area, place);
    context.save();
    context.beginPath();
    context.rect(area.x, area.y, area.width, area.height);
    context.clip();
    minima.forEach(([a, b]) => star(context, ...place(a, b)));
    context.lineJoin = "round";
    context.lineWidth = 2.5;
    for (const { points, losses, color } of this.racers) {
      context.strokeStyle = color;
      context.beginPath();
      for (let i = 0; i <= Math.min(step, losses.length - 1); i++) context.lineTo(...place(points[2 * i], points[2 * i + 1]));
      context.stroke();
    }
    this.racers.forEach(({ points, losses, color }, index) => { // above all lines
      if (step >= losses.length) return;
      const [a, b] = place(points[2 * step], points[2 * step + 1]);
      disc(context, a, b, color, index + 1);
    });
    context.restore();
  }

  shaded(width, height) { // the landscape in bands, with a line between two of them
    const canvas = document.createElement("canvas"), { side } = this.data.ground;
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const band = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      const up = ((height - 1 - row) / (height - 1)) * (side - 1), j = Math.min(side - 2, Math.floor(up)), v = up - j;
      for (let column = 0; column < width; column++) {
        const across = (column / (width - 1)) * (side - 1), i = Math.min(side - 2, Math.floor(across)), u = across - i;
        const at = (b, a) => this.heights[b * side + a];
        const height8 = (1 - v) * ((1 - u) * at(j, i) + u * at(j, i + 1)) + v * ((1 - u) * at(j + 1, i) + u * at(j + 1, i + 1));
        band[row * width + column] = Math.min(BANDS - 1, Math.floor((height8 / 255) * BANDS));
      }
    }
    for (let k = 0; k < band.length; k++) {
      const edge = (k + 1) % width && band[k + 1] !== band[k] || k + width < band.length && band[k + width] !== band[k];
      const share = band[k] / (BANDS - 1);
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = edge ? LINE[c] : LOW[c] + (HIGH[c] - LOW[c]) * share;
      image.data[4 * k + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  axes(context, area, place) { // five numbers on each
    const style = getComputedStyle(this.root), { x, y } = this.data;
    context.fillStyle = style.color;
    context.font = `0.75rem ${style.fontFamily}`;
    for (let k = 0; k < 5; k++) {
      const a = x[0] + (k / 4) * (x[1] - x[0]), b = y[0] + (k / 4) * (y[1] - y[0]);
      context.textBaseline = "top";
      context.textAlign = k === 0 ? "left" : k === 4 ? "right" : "center";
      context.fillText(k === 4 ? `x ${number(a)}` : number(a), place(a, y[0])[0], area.y + area.height + 5);
      context.textBaseline = k === 0 ? "bottom" : k === 4 ? "top" : "middle";
      context.textAlign = "right";
      context.fillText(k === 4 ? `y ${number(b)}` : number(b), area.x - 4, place(x[0], b)[1]);
    }
  }
}

function disc(context, x, y, color, number) { // told apart by its number, not by colour alone
  context.beginPath();
  context.arc(x, y, 8, 0, 7);
  context.fillStyle = "#ffffff";
  context.strokeStyle = color;
  context.lineWidth = 3;
  context.fill();
  context.stroke();
  context.fillStyle = "#111111";
  context.font = "bold 11px sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(number, x, y + 0.5);
}

function star(context, x, y) {
  context.beginPath();
  for (let k = 0; k < 10; k++) {
    const angle = (k * Math.PI) / 5 - Math.PI / 2, size = k % 2 ? 4 : 9;
    context.lineTo(x + size * Math.cos(angle), y + size * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = "#111111";
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1;
  context.fill();
  context.stroke();
}

function short(value) { // four digits, as in the table below
  const size = Math.abs(value);
  if (size < 1e-12) return "below 1e-12";
  return size < 1e-4 || size >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function number(value) {
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

function bytes(text) {
  return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
}

function floats(text) { // little-endian, as every processor is that a browser runs on
  return new Float32Array(bytes(text).buffer);
}
