"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function themed(layout, width) {
    const ink = css("--ink"), grid = css("--grid"), line = css("--line");
    const out = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, family: "system-ui, sans-serif", size: 13 },
      hoverlabel: { align: "left" },
      margin: { l: 64, r: 16, t: 28, b: 56, ...(layout.margin || {}) },
      autosize: true,
    };
    for (const key of Object.keys(out)) {
      if (/^[xy]axis\d*$/.test(key)) {
        out[key] = { gridcolor: grid, linecolor: line, zerolinecolor: line, automargin: true, ...out[key] };
      }
    }
    out.annotations = (layout.annotations || []).map((a) => (a.name === "over lines" ? { ...a, bgcolor: css("--page") } : a));
    if (width < 640 && out.showlegend !== false) {
      out.legend = { ...(out.legend || {}), orientation: "h", x: 0, y: -0.25, yanchor: "top" };
      out.height = (out.height || 420) + 120;
    }
    return out;
  }

  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "sendDataToCloud"] };

  function draw(figure) {
    const target = figure.querySelector(".plot");
    const store = JSON.parse(document.getElementById(target.dataset.store).textContent);
    const chosen = [...figure.querySelectorAll(".controls select")].map((s) => s.value).join("|");
    const variant = store[chosen] || Object.values(store)[0];
    const missing = figure.querySelector(".absent");
    if (missing) missing.hidden = chosen in store;
    target.hidden = !(chosen in store);
    if (target.hidden) return Promise.resolve();
    return Plotly.react(target, variant.data, themed(variant.layout, target.clientWidth || 800), config)
      .then(() => { target.dataset.drawn = "yes"; });
  }

  const figures = [...document.querySelectorAll("figure[data-figure]")];
  const drawAll = () => Promise.all(figures.map(draw));
  for (const figure of figures) {
    for (const select of figure.querySelectorAll("select")) select.addEventListener("change", () => draw(figure));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; drawAll(); });
  drawAll().then(() => { document.documentElement.dataset.ready = "yes"; });
})();
