// Cards or rows with a button each. Whoever stands on a button, or has opened a list, keeps it when other things change.
export default function (component) {
  const { parentElement, data, setTriggerValue } = component, list = parentElement.querySelector(".offers");
  list.press = (name) => setTriggerValue("pressed", name);
  list.classList.toggle("rows", data.rows);
  list.setAttribute("aria-label", data.label);
  const kept = (list.kept ??= new Map()); // by name: what was made of what
  const made = data.offers.map((offer) => {
    const content = JSON.stringify(offer), before = kept.get(offer.name);
    return before?.content === content ? before : { content, name: offer.name, element: card(list, offer) };
  });
  list.kept = new Map(made.map((one) => [one.name, one]));
  const elements = made.map((one) => one.element);
  if (elements.length !== list.children.length || elements.some((one, place) => one !== list.children[place]))
    list.replaceChildren(...elements);
}

function make(kind, name, text) { // words are text, never HTML
  const element = document.createElement(kind);
  element.className = name;
  if (text) element.textContent = text;
  return element;
}

function card(list, { name, button, icon, strong, title, text, notesTitle, notes }) {
  const offer = make("div", "offer"), press = make("button", strong ? "strong" : ""), picture = make("span", "icon", icon);
  offer.setAttribute("role", "listitem");
  picture.setAttribute("aria-hidden", "true");
  press.append(picture, make("span", "", button));
  if (title) press.setAttribute("aria-label", `${button}: ${title}`);
  else if (text) press.setAttribute("aria-label", `${button}, ${text}`); // several runs may have one title
  press.addEventListener("click", () => list.press(name));
  const about = text ? [make("p", "text", text)] : [];
  if (!title) offer.append(press, ...about);
  else offer.append(make("p", "title", title), ...about, ...(notes.length ? [more(notesTitle, notes)] : []), press);
  return offer;
}

function more(title, notes) {
  const part = make("details", ""), all = make("ul", "");
  all.append(...notes.map((note) => make("li", "", note)));
  part.append(make("summary", "", title), all);
  return part;
}
