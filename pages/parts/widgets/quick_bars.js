// Bars, and pictures with a title: what changes with every stroke. Only what is different is touched, so nothing flickers, and no
// picture is fetched.
export default function (component) {
  const { parentElement, data } = component;
  const root = parentElement.querySelector(".view");
  if (data.values) bars(root, data);
  else pictures(root, data.cards);
}

function fill(parent, count, html) { // exactly `count` children, each made from `html` of ours
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.insertAdjacentHTML("beforeend", html);
  return [...parent.children];
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function bars(root, { classes, values, best, large }) {
  root.className = large ? "view bars large" : "view bars";
  root.setAttribute("role", "list");
  root.style.setProperty("--names", `${Math.min(14, Math.max(...classes.map((name) => name.length))) + 1}ch`);
  const row = '<div role="listitem"><span class="name"></span><span class="track"><span class="bar"></span></span>' +
    '<span class="value"></span></div>';
  fill(root, classes.length, row).forEach((line, i) => {
    const [name, track, value] = line.children;
    line.className = i === best ? "best" : "";
    text(name, classes[i]);
    name.title = classes[i];
    text(value, values[i] === null ? "–" : `${values[i].toFixed(values[i] > 99 && values[i] < 100 ? 2 : 1)} %`);
    track.firstElementChild.style.width = `${values[i] ?? 0}%`;
  });
}

function pictures(root, cards) {
  root.className = "view cards";
  fill(root, cards.length, "<figure><img><figcaption><b></b><br><span></span></figcaption></figure>").forEach((figure, i) => {
    const { url, side, title, said, about } = cards[i], picture = figure.firstElementChild;
    if (picture.src !== url) picture.src = url;
    picture.alt = title;
    picture.width = picture.height = side;
    text(figure.querySelector("b"), said ? `${said}` : title);
    text(figure.querySelector("span"), said ? `${title}. ${about}` : about);
  });
}
