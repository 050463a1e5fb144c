// The page itself: its theme, tables that sort, code that can be copied, printing.
"use strict";

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- theme: that of the reader's system until the button is pressed; plots follow the event "themed"
{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = element("button", { type: "button", className: "theme" }, "Dark theme");
  const is_dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.setAttribute("aria-pressed", is_dark());
    button.textContent = "Dark theme: " + (is_dark() ? "on" : "off");
    root.toggleAttribute("data-dark", is_dark());
    document.dispatchEvent(new Event("themed"));
  };
  button.addEventListener("click", () => {
    root.dataset.theme = is_dark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  document.querySelector(".bar").append(button);
  show();
}

// ---- tables
{
  // Numbers by value, texts by the reader's alphabet with the numbers in them by value, what is absent always last.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.n !== undefined) return Number(cell.dataset.n);
    const text = cell.textContent.trim();
    return text === "-" || text === "" || cell.classList.contains("n") ? null : text;
  };
  const words = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => (typeof a === "number" ? a - b : words.compare(a, b));

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : direction * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = element("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
        sort(table, column, direction);
      });
    });
  }
}

// ---- code
for (const block of document.querySelectorAll(".code")) {
  const button = element("button", { type: "button", className: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    const code = block.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
  button.setAttribute("aria-live", "polite");
  block.append(button);
}

// ---- the table of contents is closed where it would push the text away; all is open on paper
{
  const contents = document.querySelector("nav details");
  if (contents && matchMedia("(max-width: 68rem)").matches) contents.open = false;
  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("main details:not([open])")) {
      details.open = true;
      closed.add(details);
    }
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => (details.open = false));
    closed.clear();
  });
}
