// Tables sort by a click on a column's head and filter by text; on paper, the rule is unfolded.
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        return cell.dataset.value ?? cell.textContent.trim();
      };
      const number = (text) => (text === "" || isNaN(text) ? null : Number(text));
      const rows = [...table.tBodies[0].rows].sort((one, other) => {
        const [a, b] = [number(value(one)), number(value(other))];
        // What is missing stays last in either order.
        if ((a === null) !== (b === null)) return a === null ? 1 : -1;
        const order = a === null ? value(one).localeCompare(value(other)) : a - b;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
// What is typed leaves only the rows with that text, in any letter case.
for (const filter of document.querySelectorAll(".filter")) {
  const [input, output] = [filter.querySelector("input"), filter.querySelector("output")];
  const rows = filter.nextElementSibling.querySelectorAll("tbody tr");
  filter.hidden = false;
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    output.textContent = input.value.trim() ? `${shown} of ${rows.length} rows` : "";
  });
}
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details.printed")) folded.open = true;
});
// A picture becomes a chart with hover, zoom and groups to hide when it comes into sight.
if (window.vegaEmbed) {
  const NARROW = 560;
  const bring = (place) => {
    const spec = JSON.parse(place.nextElementSibling.textContent);
    const width = place.clientWidth;
    // The axes of settings would stand so close that their texts meet: that box is scrolled.
    if (width < NARROW && place.dataset.chart !== "parallel") {
      // Names have no room beside the curves; the legend has them.
      spec.layer = spec.layer.filter((layer) => !(layer.description ?? "").startsWith("names"));
      spec.width = width;
      spec.autosize = { type: "fit-x", contains: "padding" }; // with its axes, however long
      spec.config.legend.columns = 1;
      for (const layer of spec.layer) {
        for (const channel of Object.values(layer.encoding)) delete channel.legend?.columns;
      }
    }
    const box = document.createElement("div");
    vegaEmbed(box, spec, { renderer: "svg", ast: true, actions: false }).then(() => {
      place.replaceChildren(box);
    });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      bring(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const place of document.querySelectorAll("[data-chart]")) seen.observe(place);
}
