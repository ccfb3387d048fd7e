// Tables sort by a click on a column's head; on paper, the rule is unfolded.
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
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details.printed")) folded.open = true;
});
