"use strict";
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Text in lines of at most `most` characters, broken between words: plotly cuts off what is longer than its axis.
  function lines(text, most) {
    const out = [""];
    for (const word of text.split(" ")) {
      const last = out[out.length - 1];
      if (last && last.length + word.length >= most) out.push(word); else out[out.length - 1] = last ? `${last} ${word}` : word;
    }
    return out.join("<br>");
  }

  // On a phone: titles in several lines, fewer ticks, and the legend below everything, a row for each name.
  function narrow(out, names) {
    const most = out.yaxis && (out.yaxis.type === "category" || out.yaxis.ticktext) ? 16 : 32; // names take the width
    for (const key of Object.keys(out).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const axis = out[key];
      if (axis.title) axis.title = { ...axis.title, text: lines(axis.title.text, most) };
      if (axis.dtick === "D2") axis.dtick = 1;
    }
    out.height = out.height || 420;
    if (out.showlegend === false || !names) return;
    out.legend = { ...(out.legend || {}), orientation: "h", x: 0, yref: "container", y: 0, yanchor: "bottom", entrywidth: 1, entrywidthmode: "fraction" };
    out.height += 20 * names + 20;
    out.margin = { ...out.margin, b: out.margin.b + 20 * names + 30 };
  }

  function themed(layout, width, names) {
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
    if (width < 640) narrow(out, names);
    return out;
  }

  // plotly offers to upload a figure: telemetry must not leave the page
  const config = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtonsToRemove: ["select2d", "lasso2d", "sendChartToCloud"] };

  function draw(figure) {
    const target = figure.querySelector(".plot");
    const store = JSON.parse(document.getElementById(target.dataset.store).textContent);
    const chosen = [...figure.querySelectorAll(".controls select")].map((s) => s.value).join("|");
    const variant = store[chosen] || Object.values(store)[0];
    const missing = figure.querySelector(".absent");
    if (missing) missing.hidden = chosen in store;
    target.hidden = !(chosen in store);
    if (target.hidden) return Promise.resolve();
    const names = variant.data.filter((trace) => trace.name && trace.showlegend !== false && trace.type === "scatter").length;
    return Plotly.react(target, variant.data, themed(variant.layout, target.clientWidth || 800, names), config)
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
