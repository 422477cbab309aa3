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

function bars(root, { classes, values, best, large, title, line: about }) {
  const few = classes.length <= 12;
  root.className = `view bars${large ? " large" : ""}${few ? " few" : ""}`;
  root.style.setProperty("--half", Math.ceil(classes.length / 2));
  root.style.setProperty("--names", `${Math.min(14, Math.max(...classes.map((name) => name.length))) + 1}ch`);
  const row = '<div role="listitem"><span class="name"></span><span class="track"><span class="bar"></span></span>' +
    '<span class="value"></span></div>';
  if (!root.querySelector(".head"))
    root.innerHTML = '<div class="head" role="status"></div><div class="lines" role="list"></div>';
  head(root.firstElementChild, title, about);
  fill(root.lastElementChild, classes.length, row).forEach((line, i) => {
    const [name, track, value] = line.children;
    line.className = i === best ? "line best" : "line";
    text(name, classes[i]);
    name.title = classes[i];
    text(value, chance(values[i]));
    track.firstElementChild.style.width = `${values[i] ?? 0}%`;
  });
}

function head(element, title, about) { // what is said in words, where there are words
  if (!title) return void element.replaceChildren();
  if (!element.children.length) element.insertAdjacentHTML("afterbegin", "<h2></h2><p></p>");
  text(element.firstElementChild, title);
  text(element.lastElementChild, about);
}

function chance(value) { // as core.wording.chance: never all or nothing
  if (value === null) return "–";
  return value > 99.9 ? "> 99.9 %" : value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
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
