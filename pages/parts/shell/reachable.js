// What scrolls can be reached and scrolled by keyboard: Streamlit's blocks of code, its menu, and what lies beside each other on a
// phone (parts/train/cockpit.css) are no stops of the tab key. What it calls by one name everywhere gets another that tells it
// apart. And what is done is read out: Streamlit's green lines come with their text in them, which screen readers pass over. Its
// red and yellow ones are alerts already, and so are toasts, which get a name. A question mark beside a switch explains it alone.
if (!window.playgroundReachable) {
  window.playgroundReachable = true;
  const scrolls = (part) => part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
  const scrolling = 'pre, [data-testid="stSidebarContent"], ' +
    ':is(.st-key-panel-charts, .st-key-panel-examples) [data-testid="stHorizontalBlock"]';
  // of buttons with one name: which, in what they are, and how their new name begins
  const NAMELESS = [
    ['[data-testid="stNumberInputStepDown"]', '[data-testid="stNumberInput"]', "Less"],
    ['[data-testid="stNumberInputStepUp"]', '[data-testid="stNumberInput"]', "More"],
    [':is([data-testid="stSelectbox"], [data-testid="stMultiSelect"]) [role="group"] > button:last-of-type',
      '[data-testid="stSelectbox"], [data-testid="stMultiSelect"]', "Choices"],
    ['[data-testid="stHeadingWithActionElements"] a', '[data-testid="stHeadingWithActionElements"]', "Link to"],
  ];
  const mark = () => {
    for (const part of document.querySelectorAll(scrolling))
      if (scrolls(part) !== part.hasAttribute("tabindex"))
        if (scrolls(part)) part.tabIndex = 0;
        else part.removeAttribute("tabindex");
    for (const [kind, part, name] of NAMELESS)
      for (const button of document.querySelectorAll(kind)) {
        const whose = button.closest(part)?.querySelector("input, h1, h2, h3, h4, h5, h6");
        const words = whose?.getAttribute("aria-label") ?? whose?.innerText.trim();
        const wanted = words && `${name}: ${words}`;
        if (wanted && button.getAttribute("aria-label") !== wanted) button.setAttribute("aria-label", wanted);
      }
    for (const toast of document.querySelectorAll('[data-testid="stToast"][aria-labelledby]')) {
      toast.removeAttribute("aria-labelledby"); // Streamlit's names a title that its toasts do not have
      toast.setAttribute("aria-label", "Notice");
    }
  };
  const said = document.createElement("div");
  said.id = "playground-said";
  said.setAttribute("role", "status"); // there before anything is said in it
  said.style.cssText = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);";
  document.body.append(said);
  let last = "";
  const say = () => {
    const done = '[data-testid="stAlertContentSuccess"] [data-testid="stMarkdownContainer"]'; // without the icon's name
    const lines = [...document.querySelectorAll(done)].map((part) => part.innerText.trim());
    const fresh = lines.filter((line) => !last.includes(line)).join(" ");
    last = lines.join("\n");
    if (fresh) said.textContent = fresh;
  };
  // a question mark stands in its switch's label, which would take a press on it for one on the switch
  const explains = '[data-testid="stCheckbox"] [data-testid="stTooltipHoverTarget"]';
  for (const kind of ["pointerdown", "mousedown", "click"])
    window.addEventListener(kind, (event) => {
      if (!(event.target instanceof Element) || !event.target.closest(explains)) return;
      event.stopPropagation();
      if (kind === "click") event.preventDefault();
    }, { capture: true });
  let waiting = null; // at most five times a second, however often a page changes
  const soon = () => (waiting ??= setTimeout(() => ((waiting = null), mark(), say()), 200));
  new MutationObserver(soon).observe(document.body, { childList: true, characterData: true, subtree: true });
  window.addEventListener("resize", soon);
  mark();
}
