// Pictures in a grid that fits the width. Each is a button: click, or move with the arrow keys and press Enter.
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  grid.style.setProperty("--smallest", data.smallest + "px");
  grid.setAttribute("role", "group");
  grid.setAttribute("aria-label", data.label);
  const focused = [...grid.children].findIndex((tile) => tile.matches(":focus"));
  const tiles = data.items.map((item, index) => {
    const tile = document.createElement(data.pick ? "button" : "div");
    tile.className = "tile" + (item.marked ? " marked" : "") + (index === data.selected ? " selected" : "");
    tile.title = item.title;
    const picture = document.createElement("img");
    picture.src = item.src;
    picture.alt = item.title || item.caption;
    tile.append(picture);
    if (item.caption) {
      const caption = document.createElement("span");
      caption.textContent = item.caption; // text, never HTML: class names come from people
      tile.append(caption);
    }
    if (data.pick) {
      tile.setAttribute("aria-label", `Image ${index + 1}: ${item.title || item.caption}`); // many are of the same class
      tile.type = "button";
      tile.tabIndex = index === Math.max(0, data.selected ?? 0) ? 0 : -1;
      tile.onclick = () => setTriggerValue("picked", { index, time: Date.now() });
    }
    return tile;
  });
  grid.replaceChildren(...tiles);
  if (focused >= 0 && tiles[focused]) tiles[focused].focus({ preventScroll: true });
  grid.onkeydown = (event) => {
    const now = tiles.findIndex((tile) => tile.matches(":focus"));
    if (now < 0) return;
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!step || !tiles[now + step]) return;
    event.preventDefault();
    tiles[now].tabIndex = -1;
    tiles[now + step].tabIndex = 0;
    tiles[now + step].focus();
  };
}
