(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const config = { displaylogo: false, responsive: true, displayModeBar: "hover",
                   showSendToCloud: false, plotlyServerURL: "",
                   modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const painted = (value, style) => {
    if (Array.isArray(value)) return value.map((item) => painted(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, style)]));
    }
    return typeof value === "string" && value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
  };
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    for (const { id, data, layout } of charts) {
      Plotly.react(id, painted(data, style), painted(layout, style), config);
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
