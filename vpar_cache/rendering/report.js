"use strict";
// Sorts tables. Without it the page is complete.
(() => {
  const names = new Intl.Collator("en", { numeric: true });
  const text = (row, column) => row.cells[column].textContent.trim();
  const isNumber = (value) => !Number.isNaN(Number.parseFloat(value));

  // A dash, or text in a column of numbers, is last in both orders.
  const compare = (a, b, numeric, direction) => {
    if (!numeric) return direction * names.compare(a, b);
    if (!isNumber(a) || !isNumber(b)) return isNumber(b) - isNumber(a);
    return direction * (Number.parseFloat(a) - Number.parseFloat(b));
  };

  const prepare = (table) => {
    const body = table.tBodies[0]; // averages are in the foot and stay there
    const titles = [...table.tHead.rows[0].cells];
    titles.forEach((title, column) => {
      const isScore = title.classList.contains("number");
      const numeric = isScore || [...body.rows].every((row) => isNumber(text(row, column)));
      const button = document.createElement("button");
      button.type = "button";
      button.append(...title.childNodes);
      title.append(button);
      button.addEventListener("click", () => {
        // Scores start with the greatest, names and other labels with the first.
        const before = title.getAttribute("aria-sort") ?? (isScore ? "ascending" : "descending");
        const order = before === "ascending" ? "descending" : "ascending";
        titles.forEach((other) => other.removeAttribute("aria-sort"));
        title.setAttribute("aria-sort", order);
        const direction = order === "ascending" ? 1 : -1;
        const rows = [...body.rows];
        rows.sort((a, b) => compare(text(a, column), text(b, column), numeric, direction));
        body.append(...rows);
      });
    });
  };

  document.documentElement.classList.add("js");
  document.querySelectorAll("table").forEach(prepare);
})();
