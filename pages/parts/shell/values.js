// The values behind a chart, as a table: ECharts' charts have that in Streamlit's own tools ("Show data"), Plotly's get it here. The
// numbers are in the browser already, so nothing is asked of the server.
if (!window.playgroundValues) {
  window.playgroundValues = true;
  const MOST = 1000; // rows: more are no help to anybody who reads them
  const PARTS = ["labels", "x", "y", "z", "values", "r", "theta"]; // of what a trace shows, where it has one for each point
  const make = (kind, text = "", props = {}) => Object.assign(document.createElement(kind), { textContent: text }, props);
  const titleOf = (axis, otherwise) => plain(axis?.title?.text) || otherwise;
  const plain = (text) => new DOMParser().parseFromString(`${text ?? ""}`.replace(/<br>/g, " "), "text/html").body.textContent.trim();
  const said = (value) => typeof value === "number" ? String(Number(value.toPrecision(6))).replace("-", "−") : plain(value ?? "");
  const isGrid = (trace) => ["heatmap", "contour", "surface"].includes(trace.type) && trace.z?.[0]?.length !== undefined;

  const grid = (trace) => {
    const texts = trace.text?.[0]?.length === trace.z[0].length ? trace.text : trace.z, count = trace.z[0].length;
    return { head: ["", ...Array.from({ length: count }, (_, i) => said(trace.x?.length === count ? trace.x[i] : i))],
      rows: Array.from(texts, (row, i) => [said(trace.y?.length === trace.z.length ? trace.y[i] : i), ...Array.from(row, said)]) };
  };
  const lists = (traces, layout) => { // one line for each point, with what it belongs to where there are several
    const kinds = PARTS.filter((part) => traces.some((trace) => trace[part]?.length)), several = traces.some((trace) => trace.name);
    const titles = { x: titleOf(layout.xaxis, "x"), y: titleOf(layout.yaxis, "y"), labels: "Name", values: "Value" };
    const rows = traces.flatMap((trace) => {
      const length = Math.max(0, ...kinds.map((part) => trace[part]?.length ?? 0));
      return Array.from({ length }, (_, i) => [...(several ? [plain(trace.name)] : []), ...kinds.map((part) => said(trace[part]?.[i]))]);
    });
    return { head: [...(several ? ["Of"] : []), ...kinds.map((part) => titles[part] ?? part)], rows };
  };

  const show = (chart) => {
    const label = chart.getAttribute("aria-label") ?? "", plot = chart.querySelector(".js-plotly-plot");
    const traces = (plot._fullData ?? plot.data).filter((trace) => trace.visible === undefined || trace.visible === true);
    const grids = traces.filter(isGrid), others = traces.filter((trace) => !isGrid(trace));
    const tables = [...grids.map(grid), ...(others.length ? [lists(others, plot.layout ?? {})] : [])].filter((table) => table.rows.length);
    const box = make("dialog", "", { className: "playground-values" }), title = make("h2", label.split(":")[0] || "Values");
    const close = make("button", "Close"), copy = make("button", "Copy"), bar = make("div"), body = make("div", "", { tabIndex: 0 });
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
      if (rows.length > MOST) body.append(make("p", `The first ${MOST.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows; “Copy” takes all.`));
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
      if (chart.querySelector(".playground-values-button")) continue;
      const button = make("button", "Values", { className: "playground-values-button", type: "button" });
      button.setAttribute("aria-label", `Values of: ${(chart.getAttribute("aria-label") ?? "this chart").split(":")[0]}`);
      button.onclick = () => show(chart);
      chart.append(button);
    }
  };
  let waiting = null;
  const soon = () => (waiting ??= setTimeout(() => ((waiting = null), offer()), 200));
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  offer();
}
