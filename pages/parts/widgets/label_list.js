// Small pictures, each with a list of labels to choose from: by keyboard (Tab, then the label's first letter) or by touch.
export default function ({ data, parentElement, setStateValue }) {
  const list = parentElement.querySelector(".labels");
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", data.label);
  const edits = (parentElement.edits ??= []); // since this list was made; the page takes each once, by its time
  const focused = list.querySelector("select:focus")?.dataset.id;
  const tiles = data.items.map((item) => {
    const tile = document.createElement("label");
    tile.className = "tile" + (item.marked ? " marked" : "");
    const picture = document.createElement("img");
    picture.src = item.src;
    picture.alt = "";
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", item.title);
    choice.title = item.title;
    choice.dataset.id = item.id;
    data.options.forEach((name, value) => choice.append(new Option(name, value))); // text, never HTML
    choice.value = item.value;
    choice.onchange = () => {
      edits.push([Date.now(), item.id, Number(choice.value) - 1]);
      setStateValue("edits", edits.slice(-data.most));
    };
    tile.append(picture, choice);
    return tile;
  });
  list.replaceChildren(...tiles);
  if (focused) list.querySelector(`select[data-id="${focused}"]`)?.focus({ preventScroll: true });
}
