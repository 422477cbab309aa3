// What bars are made of, for the scripts that show them: this text stands before theirs. Only what is different is touched, so
// nothing flickers.
function fill(parent, count, html) { // exactly `count` children, each made from `html` of ours
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.insertAdjacentHTML("beforeend", html);
  return [...parent.children];
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function rows(parent, { classes, values, best }) { // a bar for each class; values in %, null where there is none
  const row = '<div role="listitem"><span class="name"></span><span class="track"><span class="bar"></span></span>' +
    '<span class="value"></span></div>';
  parent.style.setProperty("--half", Math.ceil(classes.length / 2));
  parent.style.setProperty("--names", `${Math.min(14, Math.max(...classes.map((name) => name.length))) + 1}ch`);
  fill(parent, classes.length, row).forEach((line, i) => {
    const [name, track, value] = line.children;
    line.className = i === best ? "line best" : "line";
    text(name, classes[i]);
    name.title = classes[i];
    text(value, chance(values[i]));
    track.firstElementChild.style.width = `${values[i] ?? 0}%`;
  });
}

function chance(value) { // as core.wording.chance: never all or nothing
  if (value === null) return "–";
  return value > 99.9 ? "> 99.9 %" : value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
}
