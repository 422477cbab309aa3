// Small pictures, each with a list of labels to choose from: by keyboard (Tab, then the label's first letter) or by touch.
export default function ({ data, parentElement, setStateValue }) {
  const list = parentElement.querySelector(".labels");
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", data.label);
  const edits = (parentElement.edits ??= []); // since this list was made: the page takes each once, by its time
  const tiles = (parentElement.tiles ??= new Map()); // kept by id: a list that is open must not be closed by an answer
  const add = (id) => {
    const tile = document.createElement("label");
    const picture = document.createElement("img");
    const choice = document.createElement("select");
    picture.alt = "";
    data.options.forEach((name, value) => choice.append(new Option(name, value))); // text, never HTML
    choice.onchange = () => {
      const time = Math.max(Date.now(), (edits.at(-1)?.[0] ?? 0) + 1);
      edits.push([time, id, Number(choice.value) - 1]);
      setStateValue("edits", edits.slice(-data.most));
    };
    tile.append(picture, choice);
    tiles.set(id, tile);
    return tile;
  };
  const shown = data.items.map((item) => {
    const tile = tiles.get(item.id) ?? add(item.id);
    const [picture, choice] = tile.children;
    tile.className = "tile" + (item.marked ? " marked" : "");
    if (picture.src !== item.src) picture.src = item.src;
    choice.setAttribute("aria-label", item.title);
    choice.title = item.title;
    const own = edits.findLast(([time, id]) => id === item.id && time > data.taken); // still on its way
    choice.value = own ? own[2] + 1 : item.value;
    return tile;
  });
  for (const id of tiles.keys()) if (!data.items.some((item) => item.id === id)) tiles.delete(id);
  if (shown.length !== list.children.length || shown.some((tile, place) => tile !== list.children[place]))
    list.replaceChildren(...shown);
}
