// The wall of a lesson. What is there stays and only moves, so that a class sees its dots climb; words are text, never HTML.
const LENGTHS = [99, 16, 13, 10, 8]; // letters of a name, as many as there is room for

export default function (component) {
  const { parentElement, data: { content: [data] } } = component, wall = parentElement.querySelector(".wall");
  const parts = (wall.parts ??= build(wall));
  drawDots(parts.dots, data.dots);
  drawCurves(parts.curves, data.curves);
  const side = JSON.stringify([data.figures, data.spread, data.groups, data.found, data.prediction]);
  if (wall.side !== side) parts.side.replaceChildren(...aside(data));
  wall.side = side;
  fit(wall);
  if (!wall.seen) (wall.seen = new ResizeObserver(() => fit(wall))).observe(wall);
}

// The wall fills the screen from where it begins; names are whole where there is room, else shortened in the middle, and the last
// ones are counted where that does not do.
function fit(wall) {
  const above = wall.getBoundingClientRect().top + (document.querySelector(".stMain")?.scrollTop ?? 0);
  wall.style.setProperty("--above", `${Math.ceil(above)}px`);
  const groups = wall.querySelector(".groups"), names = [...groups.querySelectorAll("li.name")];
  // boxes are compared, as scrollHeight counts room that letters leave empty: 4 px below a group without names
  const fits = () => groups.lastElementChild.getBoundingClientRect().bottom <= groups.getBoundingClientRect().bottom + 1;
  const now = JSON.stringify([wall.side, groups.clientWidth, wall.clientHeight]);
  if (wall.fitted === now) return;
  wall.fitted = now;
  for (const one of names) one.hidden = false;
  for (const length of LENGTHS) {
    for (const one of names) one.textContent = shortened(one.title, length);
    count(groups);
    if (fits()) return;
  }
  for (const one of names.reverse()) {
    one.hidden = true;
    count(groups);
    if (fits()) return;
  }
}

function count(groups) {
  for (const list of groups.querySelectorAll(".names")) {
    const more = list.querySelector(".more"), hidden = list.querySelectorAll("[hidden].name").length + more.others;
    more.textContent = `+ ${hidden}`;
    more.hidden = !hidden;
  }
}

function shortened(text, most) {
  const letters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  if (letters.length <= most) return text;
  const tail = Math.floor((most - 1) / 3);
  return `${letters.slice(0, most - 1 - tail).join("").trimEnd()}…${letters.slice(-tail).join("").trimStart()}`;
}

function make(kind, name, text) {
  const element = document.createElement(kind);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

function build(wall) {
  const dots = plot("dots"), curves = plot("curves"), side = make("aside");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 1000 1000");
  svg.setAttribute("preserveAspectRatio", "none");
  curves.frame.append(svg);
  curves.svg = svg;
  wall.append(dots.section, side, curves.section);
  return { dots, curves, side };
}

function plot(name) {
  const section = make("section", "plot " + name), title = make("h2"), frame = make("div", "frame"), axes = make("div");
  frame.setAttribute("role", "img");
  frame.append(axes);
  section.append(title, frame);
  return { section, title, frame, axes, kept: new Map() };
}

function drawAxes(at, { title, x, y, empty }, count) {
  at.title.textContent = title;
  at.frame.setAttribute("aria-label", `${title}: ${count || "no"} ${count === 1 ? "run" : "runs"}`);
  const ticks = JSON.stringify([x, y, count > 0]);
  if (at.ticks === ticks) return;
  at.ticks = ticks;
  const placed = (name, text, side, share) => {
    const tick = make("span", name, text);
    tick.style[side] = `${100 * share}%`;
    return tick;
  };
  at.axes.replaceChildren(...(count
    ? [...y.flatMap(([share, text]) => [placed("line", "", "bottom", share), placed("tick y", text, "bottom", share)]),
       ...x.map(([share, text]) => placed("tick x", text, "left", share))]
    : [make("p", "empty", empty)]));
}

function drawDots(at, data) {
  drawAxes(at, data, data.dots.length);
  const seen = new Set();
  for (const { run, x, y, state, best, name, side } of data.dots) {
    seen.add(run);
    let dot = at.kept.get(run);
    if (!dot) {
      dot = make("div");
      dot.append(make("span"));
      at.kept.set(run, dot);
      at.frame.append(dot);
    }
    dot.className = `dot ${state}${best ? " best" : ""}${side === "left" ? " left" : ""}`;
    dot.style.left = `${100 * x}%`;
    dot.style.bottom = `${100 * y}%`;
    dot.firstChild.textContent = name;
  }
  forget(at.kept, seen);
}

function drawCurves(at, data) {
  drawAxes(at, data, data.lines.length);
  const seen = new Set(), last = [];
  for (const { run, state, best, path } of data.lines) {
    seen.add(run);
    let line = at.kept.get(run);
    if (!line) {
      line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      at.kept.set(run, line);
      at.svg.append(line);
    }
    line.setAttribute("class", `${state}${best ? " best" : ""}`);
    if (line.drawn !== path) line.setAttribute("d", (line.drawn = path));
    if (best || state === "training") last.push(line);
  }
  at.svg.append(...last); // above the others
  forget(at.kept, seen);
}

function forget(kept, seen) {
  for (const [run, element] of kept)
    if (!seen.has(run)) {
      element.remove();
      kept.delete(run);
    }
}

function aside({ figures, spread, groups, found, prediction }) {
  const row = make("div", "figures"), apart = make("div", "spread");
  row.append(...figures.map(figure));
  if (spread) apart.append(figure(spread));
  const people = make("div", "groups");
  people.append(...groups.map(group));
  const parts = [row, ...(spread ? [apart] : []), people, findings(found)];
  return prediction ? [...parts, asked(prediction)] : parts;
}

function figure([value, words]) {
  const one = make("p");
  one.append(make("b", "", value), words);
  return one;
}

function group({ state, title, count, names, more }) {
  const part = make("section", "group " + state), head = make("h2"), list = make("ul", "names");
  head.append(make("b", "", count), title);
  const others = make("li", "more");
  others.others = more;
  list.append(...names.map((name) => {
    const one = make("li", "name", name);
    one.title = name;
    return one;
  }), others);
  part.append(head, list);
  return part;
}

function findings({ title, counts, none }) {
  const part = make("section", "found"), list = make("ul");
  part.append(make("h2", "", title));
  list.append(...counts.map(([word, count]) => {
    const one = make("li");
    one.append(make("b", "", count), word);
    return one;
  }));
  part.append(counts.length ? list : make("p", "", none));
  return part;
}

function asked({ title, text, lines, choices }) {
  const part = make("section", "asked"), list = make("ul"), most = Math.max(1, ...choices.map(([, count]) => count));
  part.append(make("h2", "", title), make("p", "", text));
  part.style.setProperty("--lines", lines);
  list.append(...choices.map(([choice, count]) => {
    const one = make("li"), bar = make("div"), fill = make("div", "bar"), word = make("span", "", choice);
    word.title = choice;
    fill.style.width = `${(100 * count) / most}%`;
    bar.append(fill);
    one.append(word, bar, make("b", "", count));
    return one;
  }));
  part.append(list);
  return part;
}
