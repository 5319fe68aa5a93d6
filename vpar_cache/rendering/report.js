"use strict";
// Sorting, and nothing else: without it the page is complete.
(() => {
  const names = new Intl.Collator("en", { numeric: true });
  const startsAsNumber = /^[-+−]?\d+(\.\d+)?( |$)/;
  const numeral = /[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?/i;

  // null: a dash, or no number where one is due; it goes last whichever the order.
  const valueOf = (cell, isNumber) => {
    const text = cell.textContent.trim();
    if (text === "" || text === "–") return null;
    if (!isNumber) return text;
    const found = numeral.exec(text.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1"));
    return found ? Number(found[0]) : null;
  };

  const sorted = (rows, column, isNumber, direction) => {
    const keyed = rows.map((row) => [valueOf(row.cells[column], isNumber), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (isNumber ? a - b : names.compare(a, b));
    });
    return keyed.map(([, row]) => row);
  };

  const arm = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows]; // the averages are in the foot, and stay
    const titles = [...table.tHead.rows[0].cells];
    titles.forEach((title, column) => {
      const isScore = title.classList.contains("number");
      // Thresholds and ranges ("0.1 to 0.2") are labels that order like numbers.
      const isNumber = isScore || original.every((row) => startsAsNumber.test(row.cells[column].textContent.trim()));
      // Names from A, scores from the greatest; then the other way round; then as it was.
      const orders = isScore ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
      const button = document.createElement("button");
      button.type = "button";
      button.append(...title.childNodes);
      title.append(button);
      title.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const order = orders[(orders.indexOf(title.getAttribute("aria-sort")) + 1) % orders.length];
        titles.forEach((other) => other.setAttribute("aria-sort", "none"));
        title.setAttribute("aria-sort", order);
        table.classList.toggle("sorted", order !== "none");
        const direction = order === "ascending" ? 1 : -1;
        body.append(...(order === "none" ? original : sorted(original, column, isNumber, direction)));
      });
    });
  };

  document.documentElement.classList.add("js");
  document.querySelectorAll("table").forEach(arm);
})();
