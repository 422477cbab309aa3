// Brings its own place to the top of the window, once for each token. What stands above may still grow, so it stays there for a
// moment, until somebody scrolls.
const done = (window.playgroundScrolledTo ??= new Set());
const STAYS = 2000; // ms

export default function ({ data, parentElement }) {
  if (!data.token || done.has(data.token)) return;
  done.add(data.token);
  const place = parentElement instanceof ShadowRoot ? parentElement.host : parentElement;
  const scroll = () => place.scrollIntoView({ block: "start" });
  const watcher = new ResizeObserver(scroll);
  const events = ["wheel", "touchstart", "keydown", "pointerdown"];
  const stop = () => {
    watcher.disconnect();
    events.forEach((name) => window.removeEventListener(name, stop, true));
  };
  scroll();
  watcher.observe(document.querySelector('[data-testid="stMainBlockContainer"]') ?? document.body);
  events.forEach((name) => window.addEventListener(name, stop, { capture: true, passive: true }));
  setTimeout(stop, STAYS);
}
