// The values behind a chart, as a table: ECharts' charts have that in Streamlit's own tools ("Show data"), Plotly's get it here.
// The numbers are in the browser already, so nothing is asked of the server.
if (!window.playgroundValues) {
  window.playgroundValues = true;
  const LONGEST = 80; // letters of a button's name
  const MOST = 1000; // rows: more are no help to anybody who reads them
  const PARTS = ["labels", "x", "y", "z", "values", "r", "theta"]; // of what a trace shows, where it has one for each point
  const make = (kind, text = "", props = {}) => Object.assign(document.createElement(kind), { textContent: text }, props);
  const titleOf = (axis, otherwise) => plain(axis?.title?.text) || otherwise;
  const plain = (text) => // of what Plotly takes for a little HTML
    new DOMParser().parseFromString(`${text ?? ""}`.replace(/<br>/g, " "), "text/html").body.textContent.trim();
  const said = (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : plain(value ?? "");
  const isGrid = (trace) => ["heatmap", "contour", "surface"].includes(trace.type) && trace.z?.[0]?.length !== undefined;

  const grid = (trace, layout) => {
    const texts = trace.text?.[0]?.length === trace.z[0].length ? trace.text : trace.z, count = trace.z[0].length;
    const down = titleOf(layout.yaxis, ""), across = titleOf(layout.xaxis, "");
    const corner = [down && `${down} ↓`, across && `${across} →`].filter(Boolean).join(" ");
    const names = Array.from({ length: count }, (_, i) => said(trace.x?.length === count ? trace.x[i] : i));
    return { head: [corner, ...names],
      rows: Array.from(texts, (row, i) => [said(trace.y?.length === trace.z.length ? trace.y[i] : i), ...Array.from(row, said)]) };
  };
  const lists = (traces, layout) => { // lines over the same places beside each other
    const groups = new Map();
    for (const trace of traces) {
      const kinds = PARTS.filter((part) => trace[part]?.length);
      const key = kinds.join() === "x,y" ? "x" + Array.from(trace.x).join() : Math.random();
      groups.set(key, [...(groups.get(key) ?? []), [trace, kinds]]);
    }
    const titles = { x: titleOf(layout.xaxis, "x"), y: titleOf(layout.yaxis, "y"), labels: "Name", values: "Value" };
    return [...groups.values()].map((group) => {
      const [first, kinds] = group[0], own = kinds[kinds.length - 1], before = kinds.slice(0, -1);
      const length = Math.max(0, ...kinds.map((part) => first[part].length)), title = (part) => titles[part] ?? part;
      const head = [...before.map(title), ...group.map(([trace]) => plain(trace.name) || title(own))];
      const rows = Array.from({ length }, (_, i) => [...before.map((part) => said(first[part][i])),
        ...group.map(([trace]) => said(trace[own]?.[i]))]);
      return { head, rows };
    });
  };

  const show = (chart) => {
    const label = chart.getAttribute("aria-label") ?? "", plot = chart.querySelector(".js-plotly-plot");
    const traces = (plot._fullData ?? plot.data).filter((trace) => trace.visible === undefined || trace.visible === true);
    const grids = traces.filter(isGrid), others = traces.filter((trace) => !isGrid(trace));
    const layout = plot.layout ?? {}, tables = [...grids.map((trace) => grid(trace, layout)), ...lists(others, layout)]
      .filter((table) => table.rows.length);
    const box = make("dialog", "", { className: "playground-values" }), title = make("h2", label.split(":")[0] || "Values");
    const close = make("button", "Close"), copy = make("button", "Copy");
    const bar = make("div"), body = make("div", "", { tabIndex: 0 });
    box.style.colorScheme = getComputedStyle(document.querySelector(".stApp")).colorScheme; // it stands outside of it
    title.id = "playground-values-title";
    box.setAttribute("aria-labelledby", title.id);
    body.setAttribute("role", "region");
    body.setAttribute("aria-label", "Values");
    if (!tables.length) body.append(make("p", "This picture has no values that a table could show."));
    for (const { head, rows } of tables) {
      const table = make("table"), top = table.createTHead().insertRow(), rest = table.createTBody();
      top.append(...head.map((word) => make("th", word, { scope: "col" })));
      for (const row of rows.slice(0, MOST)) rest.insertRow().append(...row.map((word) => make("td", word)));
      body.append(table);
      const [some, all] = [MOST, rows.length].map((count) => count.toLocaleString("en"));
      if (rows.length > MOST) body.append(make("p", `The first ${some} of ${all} rows; “Copy” takes all.`));
    }
    copy.onclick = async () => {
      const lines = tables.map(({ head, rows }) => [head, ...rows].map((row) => row.join("\t")).join("\n"));
      try {
        await navigator.clipboard.writeText(lines.join("\n\n"));
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "The browser does not allow it"; // over http, from another machine
      }
    };
    close.onclick = () => box.close();
    box.onclose = () => box.remove(); // the browser puts the focus back
    bar.append(title, copy, close);
    box.append(bar, body);
    document.body.append(box);
    box.showModal();
    close.focus();
  };

  const offer = () => {
    for (const plot of document.querySelectorAll('[data-testid="stPlotlyChart"] .js-plotly-plot')) {
      const chart = plot.closest('[data-testid="stPlotlyChart"]');
      const button = chart.querySelector(".playground-values-button") ?? offered(chart);
      const bar = plot.querySelector(".modebar"), tools = bar?.offsetWidth ?? 0;
      const beside = tools + 12 + button.offsetWidth <= chart.clientWidth; // else below them
      const right = tools && beside ? `${tools + 12}px` : "", top = tools && !beside ? `${bar.offsetTop + bar.offsetHeight}px` : "";
      if (button.style.right !== right || button.style.top !== top) Object.assign(button.style, { right, top });
    }
  };
  const offered = (chart) => {
    const button = make("button", "Values", { className: "playground-values-button", type: "button" });
    const words = chart.getAttribute("aria-label") ?? "this chart"; // with some of what it says: several may have one title
    button.setAttribute("aria-label", `Values of: ${words.length > LONGEST ? words.slice(0, LONGEST - 1) + "…" : words}`);
    button.onclick = () => show(chart);
    chart.append(button);
    return button;
  };
  let waiting = null;
  const soon = () => (waiting ??= setTimeout(() => ((waiting = null), offer()), 200));
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  offer();
}
