// A matrix of counts. Each cell is a button: click, tap, or move with the arrow keys and press Enter.
// The cells are built once for the same counts: a cell that is replaced between press and release would lose the click.
export default function ({ data, parentElement, setTriggerValue }) {
  const table = parentElement.querySelector("table");
  const content = JSON.stringify([data.texts, data.classes, data.titles]);
  if (table.dataset.content !== content) {
    build(table, data);
    table.dataset.content = content;
  }
  const cells = [...table.querySelectorAll("button")];
  const size = data.classes.length;
  const focused = cells.some((cell) => cell.matches(":focus"));
  cells.forEach((cell, index) => {
    const chosen = index === data.chosen;
    cell.setAttribute("aria-pressed", chosen);
    if (!focused) cell.tabIndex = chosen ? 0 : -1;
  });
  const pick = (index) => setTriggerValue("picked", { index, time: Date.now() }); // the time: the same cell again is a new pick
  table.onclick = (event) => {
    const index = cells.indexOf(event.target.closest("button"));
    if (index >= 0) pick(index);
  };
  table.onkeydown = (event) => {
    const now = cells.findIndex((cell) => cell.matches(":focus"));
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: size, ArrowUp: -size }[event.key];
    if (now < 0 || !step) return;
    event.preventDefault();
    const stays = Math.abs(step) > 1 || Math.floor((now + step) / size) === Math.floor(now / size);
    if (!cells[now + step] || !stays) return;
    cells[now].tabIndex = -1;
    cells[now + step].tabIndex = 0;
    cells[now + step].focus();
  };
}

function build(table, data) {
  const element = (name, text, title) => {
    const made = document.createElement(name);
    made.textContent = text; // text, never HTML: class names come from people
    if (title) made.title = title;
    return made;
  };
  table.setAttribute("aria-label", data.label);
  table.style.setProperty("--size", data.classes.length);
  const head = element("tr", "");
  head.append(element("th", "is ↓\nsaid →"), ...data.classes.map((name) => element("th", name, name)));
  const rows = data.texts.map((texts, row) => {
    const line = element("tr", "");
    line.append(element("th", data.classes[row], data.classes[row]), ...texts.map((text, column) => {
      const place = element("td", "");
      const cell = element("button", text, data.titles[row][column]);
      cell.type = "button";
      cell.setAttribute("aria-label", data.titles[row][column]);
      cell.style.background = data.colors[row][column][0];
      cell.style.color = data.colors[row][column][1];
      place.append(cell);
      return place;
    }));
    return line;
  });
  table.replaceChildren(head, ...rows);
}
