// Links that open a page of the app within the session, as Streamlit's own do; with a modifier key the browser opens them itself.
export default function (component) {
  const { parentElement, data, setTriggerValue } = component, nav = parentElement.querySelector(".links");
  nav.choose = (place) => setTriggerValue(data.events[place], true);
  nav.classList.toggle("row", data.row);
  nav.setAttribute("aria-label", data.label);
  const kept = JSON.stringify([data.groups, data.foot]);
  if (nav.kept !== kept) build(nav, data); // else only what has changed: whoever stands on a link stays there
  nav.kept = kept;
  const root = rootOf(data);
  nav.querySelectorAll("a").forEach((link, place) => {
    link.href = root + link.page + (data.queries[place] && "?" + data.queries[place]);
    if (place === data.here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

function rootOf({ groups, here }) { // the app may live below a path of its own
  const open = groups.flatMap((group) => group.links)[here]?.[0] ?? "", path = location.pathname;
  if (open && path.endsWith("/" + open)) return path.slice(0, -open.length);
  return path.endsWith("/") ? path : path.slice(0, path.lastIndexOf("/") + 1);
}

function build(nav, { groups, foot }) {
  const words = (kind, text) => {
    const element = document.createElement("p");
    element.className = kind;
    element.textContent = text;
    return element;
  };
  let place = 0;
  nav.replaceChildren(...groups.flatMap(({ title, name, links, strong }) => {
    const group = document.createElement("div");
    group.className = "group";
    group.append(...links.map((link) => anchor(nav, link, place++)));
    group.children[strong]?.classList.add("strong");
    return title ? [words(name ? "name" : "title", title), group] : [group];
  }));
  if (foot) nav.append(words("foot", foot));
}

function anchor(nav, [page, label, icon], place) {
  const link = document.createElement("a"), picture = document.createElement("span"), text = document.createElement("span");
  link.page = page;
  picture.className = "icon";
  picture.setAttribute("aria-hidden", "true");
  picture.textContent = icon;
  text.textContent = link.title = label;
  link.append(picture, text);
  link.addEventListener("click", (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState({}, "", link.href); // else Back would need two steps, as the server sends
    nav.choose(place); // first the run in the address, then the page
  });
  return link;
}
