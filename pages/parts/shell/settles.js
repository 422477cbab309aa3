// What a page writes into its address by itself while it opens, such as the run that it shows first, is no step of the way back:
// the browser's Back would change nothing. From the first press on that page on, what is written is one.
if (!window.playgroundSettles) {
  window.playgroundSettles = true;
  let pressed = false;
  for (const kind of ["pointerdown", "keydown", "drop"])
    addEventListener(kind, () => (pressed = true), { capture: true, passive: true });
  addEventListener("popstate", () => (pressed = false));
  const push = history.pushState;
  history.pushState = function (state, unused, url) {
    const opens = new URL(url, location.href).pathname !== location.pathname;
    if (!opens && !pressed) return history.replaceState(state, unused, url);
    if (opens) pressed = false;
    return push.call(history, state, unused, url);
  };
}

