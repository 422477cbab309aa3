// What scrolls can be reached and scrolled by keyboard: Streamlit's blocks of code and its menu are no stops of the tab key.
if (!window.playgroundReachable) {
  window.playgroundReachable = true;
  const scrolls = (part) => part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
  const mark = () => {
    for (const part of document.querySelectorAll('pre, [data-testid="stSidebarContent"]'))
      if (scrolls(part) !== part.hasAttribute("tabindex"))
        if (scrolls(part)) part.tabIndex = 0;
        else part.removeAttribute("tabindex");
  };
  let waiting = null; // at most five times a second, however often a page changes
  const soon = () => (waiting ??= setTimeout(() => ((waiting = null), mark()), 200));
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  window.addEventListener("resize", soon);
  mark();
}
