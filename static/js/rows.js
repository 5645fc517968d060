// Lists by keyboard and mouse: j, k and the arrow keys walk the rows, Enter or a double click opens one, / searches.
// Each row holds a real link ([data-open]), so that everything here also works without this file.

const link = (row) => row?.querySelector("[data-open]");
const rows = () => [...document.querySelectorAll("tr[data-row]")];
const isTyping = (element) => element.closest("input:not([type=checkbox]), select, textarea, [contenteditable]");

function walk(step) {
  const all = rows();
  const here = all.indexOf(document.activeElement.closest("tr[data-row]"));
  const next = all[here === -1 ? (step > 0 ? 0 : all.length - 1) : here + step];
  if (!next) return;
  const column = document.activeElement.matches("[data-pick]") ? "[data-pick]" : "[data-open]";
  (next.querySelector(column) ?? link(next)).focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const keys = {
  j: () => walk(1),
  k: () => walk(-1),
  ArrowDown: () => walk(1),
  ArrowUp: () => walk(-1),
  "/": () => document.querySelector("#id_q")?.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const scrolls = event.target.closest("[role=region], .tabs") && !event.target.closest("tr[data-row]");
  if (event.key.startsWith("Arrow") && scrolls) return;
  if (event.key === "Enter" && event.target.matches("tr[data-row], [data-pick]")) {
    event.preventDefault();
    link(event.target.closest("tr"))?.click();
  } else if (event.key in keys && (event.key === "/" ? document.querySelector("#id_q") : rows().length)) {
    event.preventDefault();
    keys[event.key]();
  }
});

document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (row && !event.target.closest("a, button, input, label, summary")) link(row)?.focus({ preventScroll: true });
});

document.addEventListener("dblclick", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (row && !event.target.closest("a, button, input, label, summary")) link(row)?.click();
});
