// Bars, and pictures with a title: what changes with every stroke. Only what is different is touched, so nothing flickers, and no
// picture is fetched.
export default function (component) {
  const { parentElement, data } = component;
  const root = parentElement.querySelector(".view");
  if (data.values) bars(root, data);
  else pictures(root, data.cards);
}

function bars(root, { classes, values, best, large, title, line: about }) {
  const few = classes.length <= 12;
  root.className = `view bars${large ? " large" : ""}${few ? " few" : ""}`;
  if (!root.querySelector(".head"))
    root.innerHTML = '<div class="head" role="status"></div><div class="lines" role="list"></div>';
  head(root.firstElementChild, title, about);
  rows(root.lastElementChild, { classes, values, best });
}

function head(element, title, about) { // what is said in words, where there are words
  if (!title) return void element.replaceChildren();
  if (!element.children.length) element.insertAdjacentHTML("afterbegin", "<h2></h2><p></p>");
  text(element.firstElementChild, title);
  text(element.lastElementChild, about);
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
