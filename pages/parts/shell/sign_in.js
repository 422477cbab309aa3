// A provider brings everybody back to Home. What stood in the address is kept in this tab until then. Nothing is drawn.
const KEPT = "torch_playground.way_back";

export default function ({ data }) {
  if (data.keep) {
    sessionStorage.setItem(KEPT, location.href);
    return;
  }
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (kept && kept !== location.href && new URL(kept).origin === location.origin) location.replace(kept);
}
