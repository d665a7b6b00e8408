// A click on a column's title sorts by it, a second click turns the order; rows without a
// figure stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((title, column) => {
    title.querySelector("button").addEventListener("click", () => {
      const falling = title.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((th) => th.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (row) => (row.cells[column] ? row.cells[column].dataset.sort : undefined);
      const rows = [...body.rows].map((row, place) => {
        const own = value(row);
        const missing = own === undefined || own === "";
        return { row, place, missing, key: column ? Number(own) : own };
      });
      rows.sort((a, b) => {
        if (a.missing !== b.missing) return a.missing ? 1 : -1;
        if (a.missing || a.key === b.key) return a.place - b.place;
        return (a.key < b.key ? -1 : 1) * (falling ? -1 : 1);
      });
      for (const { row } of rows) {
        row.classList.add("sorted");
        body.append(row);
      }
    });
  });
}
