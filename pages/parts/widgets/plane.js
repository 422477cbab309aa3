// A network on points in the plane: every unit's map, links as thick as their weights, and the answer over the whole plane.
// Called anew with each message from the server; the two canvases stay, so nothing flickers or jumps.
const ORANGE = [245, 147, 34], BLUE = [8, 119, 189], TOP = 22, SWATCH = 10;

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".plane");
  const view = root.view || (root.view = new View(root));
  view.send = (point) => setTriggerValue("clicked", point);
  view.show(data);
}

class View {
  constructor(root) {
    this.root = root;
    this.net = root.querySelector(".net");
    this.big = root.querySelector(".big");
    this.caption = root.querySelector(".caption");
    this.legend = root.querySelector(".legend");
    this.hover = null; // {layer, unit} or {link: [layer, to, from]}
    this.pictures = new Map();
    new ResizeObserver(() => this.draw()).observe(root);
    const over = (event) => this.point(event);
    this.net.addEventListener("pointermove", over);
    this.net.addEventListener("pointerdown", over);
    this.net.addEventListener("pointerleave", () => this.look(null));
    this.big.addEventListener("click", (event) => this.click(event));
  }

  show(data) {
    this.data = data;
    this.pictures.clear();
    if (this.hover && !this.exists(this.hover)) this.hover = null;
    this.big.style.cursor = data.adding ? "crosshair" : "default";
    this.net.setAttribute("aria-label", data.alt.network);
    this.big.setAttribute("aria-label", data.alt.answer);
    this.words();
    this.draw();
  }

  exists(hover) {
    const { units, weights } = this.data;
    if (hover.link) return hover.link[0] < weights.length && hover.link[1] < weights[hover.link[0]].length &&
      hover.link[2] < weights[hover.link[0]][0].length;
    return hover.layer < units.length && hover.unit < units[hover.layer].length;
  }

  // --- colours

  style(name, otherwise) {
    return getComputedStyle(this.root).getPropertyValue(name).trim() || otherwise;
  }

  ground() { // the colour of "can't tell": the page's own, light or dark
    const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    probe.fillStyle = this.style("--st-background-color", "#ffffff");
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    return r + g + b < 384 ? [44, 48, 54] : [246, 246, 246];
  }

  table() { // one colour for each byte
    const middle = this.ground(), key = middle.join();
    if (this.tableKey === key) return this.colours;
    this.tableKey = key;
    this.colours = Array.from({ length: 256 }, (_, byte) => {
      const value = byte / 127.5 - 1, end = value < 0 ? ORANGE : BLUE, share = Math.abs(value);
      return middle.map((m, i) => Math.round(m + (end[i] - m) * share));
    });
    return this.colours;
  }

  picture(text, name, steps) { // base64 of bytes → a canvas of that many pixels
    const key = name + steps;
    if (this.pictures.has(key)) return this.pictures.get(key);
    const bytes = atob(text), side = Math.round(Math.sqrt(bytes.length)), colours = this.table();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d"), image = context.createImageData(side, side);
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes.charCodeAt(i), colour = colours[steps ? (byte > 127 ? 255 : 0) : byte];
      image.data.set(colour, 4 * i);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    this.pictures.set(key, canvas);
    return canvas;
  }

  // --- where things are

  layout() {
    const { units } = this.data, width = this.net.clientWidth, columns = units.length;
    const most = Math.max(...units.map((layer) => layer.length));
    const left = 46, right = 14; // names of the inputs; the way to the answer
    const pitch = (width - left - right) / columns;
    const tile = Math.max(16, Math.min(46, pitch * 0.62, 340 / most - 8));
    const height = TOP + Math.max(most, 4) * (tile + 8) + 4;
    const place = (layer, unit) => [left + layer * pitch, TOP + unit * (tile + 8)];
    return { width, height, tile, place, end: [width - 4, TOP + (Math.max(most, 4) * (tile + 8)) / 2] };
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

  // --- drawing

  draw() {
    if (!this.data || !this.root.clientWidth) return;
    this.drawNet();
    this.drawBig();
  }

  links(act) { // every link as (layer, to, from, start, end, weight)
    const { weights, units } = this.data, { tile, place, end } = this.layout();
    weights.forEach((rows, layer) => rows.forEach((row, to) => row.forEach((weight, from) => {
      const [x, y] = place(layer, from);
      const last = layer === units.length - 1, [u, v] = last ? end : place(layer + 1, to);
      act(layer, to, from, [x + tile, y + tile / 2], [u, last ? v : v + tile / 2], weight);
    })));
  }

  drawNet() {
    const { units, names, titles } = this.data, { width, height, tile, place } = this.layout();
    const context = this.fit(this.net, width, height), ink = this.style("--st-text-color", "#31333f");
    const chosen = this.hover;
    this.links((layer, to, from, a, b, weight) => {
      const here = chosen && chosen.link && chosen.link.join() === [layer, to, from].join();
      const size = Math.abs(weight);
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
    context.font = `12px ${this.style("--st-font", "sans-serif")}`;
    titles.forEach((title, layer) => {
      context.textAlign = "left";
      context.fillText(title, place(layer, 0)[0], 9);
    });
    units.forEach((layer, l) => layer.forEach((text, u) => {
      const [x, y] = place(l, u);
      context.imageSmoothingEnabled = true;
      context.drawImage(this.picture(text, `${l}.${u}`, false), x, y, tile, tile);
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
    }));
  }

  drawBig() {
    const { answer, units, train, validation, discrete, showValidation, extent } = this.data;
    const side = this.big.clientWidth, context = this.fit(this.big, side, side), chosen = this.hover;
    const unit = chosen && !chosen.link ? chosen : null;
    const picture = unit ? this.picture(units[unit.layer][unit.unit], `${unit.layer}.${unit.unit}`, discrete)
      : this.picture(answer, "answer", discrete);
    context.imageSmoothingEnabled = !discrete;
    context.drawImage(picture, 0, 0, side, side);
    const dots = (text, outline, size) => {
      const bytes = atob(text);
      for (let i = 0; i < bytes.length; i += 3) {
        const x = bytes.charCodeAt(i) / 255 * side, y = (1 - bytes.charCodeAt(i + 1) / 255) * side;
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
    context.fillStyle = this.style("--st-text-color", "#31333f");
    context.globalAlpha = 0.75;
    context.font = `11px ${this.style("--st-font", "sans-serif")}`;
    context.textBaseline = "bottom";
    for (const [text, at, align] of [[`−${extent}`, 3, "left"], ["x₁ →", side / 2, "center"], [`${extent}`, side - 3, "right"]]) {
      context.textAlign = align;
      context.fillText(text, at, side - 2);
    }
    context.textAlign = "left";
    context.fillText("x₂ ↑", 3, side / 2);
    context.globalAlpha = 1;
  }

  words() {
    const { names, units, largest, weights, biases, low, high, rest, validation, showValidation } = this.data;
    const chosen = this.hover;
    let text = rest;
    if (chosen && chosen.link) {
      const [layer, to, from] = chosen.link, last = layer === units.length - 1;
      const start = layer ? `unit ${from + 1} of layer ${layer}` : names[from];
      text = `Weight from ${start} to ${last ? "the output" : `unit ${to + 1} of layer ${layer + 1}`}: ` +
        weights[layer][to][from].toFixed(3);
    } else if (chosen && chosen.layer === 0) {
      text = `Input ${names[chosen.unit]}: blue where it is above 0, orange where it is below.`;
    } else if (chosen) {
      text = `Hidden layer ${chosen.layer}, unit ${chosen.unit + 1}: up to ${largest[chosen.layer][chosen.unit].toPrecision(3)} ` +
        `in size; bias ${biases[chosen.layer - 1][chosen.unit].toFixed(3)}.`;
    }
    this.caption.textContent = text;
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

  point(event) {
    const { units } = this.data, { tile, place } = this.layout(), x = event.offsetX, y = event.offsetY;
    for (let l = 0; l < units.length; l++) {
      for (let u = 0; u < units[l].length; u++) {
        const [left, top] = place(l, u);
        if (x >= left && x <= left + tile && y >= top && y <= top + tile) return this.look({ layer: l, unit: u });
      }
    }
    let best = null, nearest = 5;
    this.links((layer, to, from, a, b) => {
      if (x < a[0] || x > b[0]) return;
      const distance = Math.abs(bezierY(a, b, x) - y);
      if (distance < nearest) [best, nearest] = [{ link: [layer, to, from] }, distance];
    });
    this.look(best);
  }

  look(what) {
    if (JSON.stringify(what) === JSON.stringify(this.hover)) return;
    this.hover = what;
    this.words();
    this.draw();
  }

  click(event) {
    if (!this.data.adding) return;
    const side = this.big.clientWidth, extent = this.data.extent;
    const round = (value) => Math.round(Math.max(-extent, Math.min(extent, value)) * 100) / 100;
    this.send([round((event.offsetX / side * 2 - 1) * extent), round((1 - event.offsetY / side * 2) * extent)]);
  }
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
