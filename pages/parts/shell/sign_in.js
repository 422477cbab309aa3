// A provider brings everybody back to Home. What stood in the address is kept in this tab until then. Tabs of one browser tell
// each other who has come or gone: Streamlit looks at the cookie once for each page load. Nothing is drawn.
const KEPT = "torch_playground.way_back", HERE = "torch_playground.signed_in";

export default function ({ data }) {
  const now = data.keep ? "no" : "yes";
  if (!window.playgroundSignedIn)
    addEventListener("storage", ({ key, newValue }) => {
      if (key === HERE && newValue && newValue !== window.playgroundSignedIn) location.reload();
    });
  window.playgroundSignedIn = now;
  if (localStorage.getItem(HERE) !== now) localStorage.setItem(HERE, now); // which the other tabs hear
  if (data.keep) {
    sessionStorage.setItem(KEPT, location.href);
    return;
  }
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (kept && kept !== location.href && new URL(kept).origin === location.origin) location.replace(kept);
}
