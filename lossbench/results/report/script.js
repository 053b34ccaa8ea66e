"use strict";
// Sorting, filtering and copying. The page is whole without this.
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    const numbers = (typeof a === "number") - (typeof b === "number");
    if (numbers) return -numbers; // numbers before words
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  };

  const sort = (table, header) => {
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => [value(row, header.cellIndex), place, row]);
    rows.sort(([a, i], [b, j]) => {
      if ((a === "") !== (b === "")) return a === "" ? 1 : -1; // what is missing stays last
      return (down ? compare(b, a) : compare(a, b)) || i - j;
    });
    body.append(...rows.map((entry) => entry[2]));
  };

  const addFilter = (container, table) => {
    const rows = [...table.tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const tools = document.createElement("div");
    tools.className = "tools";
    const label = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("span");
    input.type = "search";
    input.placeholder = "words that a row must have";
    label.append("Filter ", input);
    count.setAttribute("aria-live", "polite");
    tools.append(label, count);
    container.before(tools);
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += !row.hidden;
      }
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    };
    input.addEventListener("input", apply);
  };

  const copy = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not allowed here: select it, so that one key copies it
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "selected";
      return;
    }
    button.textContent = "copied";
  };

  for (const container of document.querySelectorAll(".table")) {
    const table = container.querySelector("table");
    if (table.tBodies[0].rows.length < 2) continue;
    for (const header of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => sort(table, header));
    }
    if (table.tBodies[0].rows.length > 8) addFilter(container, table);
    if (table.tBodies[0].rows.length > 30) container.classList.add("tall");
  }
  for (const command of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.addEventListener("click", () => copy(button, command.textContent));
    command.after(button);
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
})();
