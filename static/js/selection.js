// Choosing messages, for a batch or to hold, release or cancel them: a click with Shift takes the whole range, the box
// in the header all on the page that wait for no time of their own, and the bar says how many. Without this file the boxes and buttons work one by one.

const form = () => document.querySelector("#choice");
const boxes = () => [...(form()?.querySelectorAll("[data-pick]") ?? [])];
const goesLater = (box) => "later" in box.dataset;
const withHeader = (all) => (all.every(goesLater) ? all : all.filter((box) => !goesLater(box)));
let last = null;

function show() {
  const region = form();
  if (!region) return;
  const all = boxes();
  const picked = all.filter((box) => box.checked);
  const everything = region.querySelector("#all-matching")?.checked ?? false;
  for (const box of all) box.closest("tr").classList.toggle("is-picked", box.checked || (everything && !goesLater(box)));
  const number = everything ? Number(region.dataset.total) : picked.length;
  region.querySelector("#picked").textContent =
    number === 0 ? "None chosen" : `${number.toLocaleString("en-GB")} chosen`;
  for (const button of region.querySelectorAll("[data-go]")) button.setAttribute("aria-disabled", String(number === 0));
  const head = region.querySelector("#pick-page");
  if (head) {
    head.checked = all.length > 0 && withHeader(all).every((box) => box.checked);
    head.indeterminate = picked.length > 0 && !head.checked;
  }
}

function pickRange(box, from) {
  const all = boxes();
  const [start, end] = [all.indexOf(from), all.indexOf(box)].sort((one, other) => one - other);
  if (start < 0) return;
  for (const between of all.slice(start, end + 1)) between.checked = box.checked;
}

document.addEventListener("click", (event) => {
  const box = event.target.closest("[data-pick]");
  if (!box || !form()?.contains(box)) return;
  if (event.shiftKey && last) pickRange(box, last);
  last = box;
  show();
});

document.addEventListener("mousedown", (event) => {
  // A range must not paint half of the table as selected text.
  if (event.shiftKey && event.target.closest("#choice tr")) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (!form()?.contains(event.target)) return;
  if (event.target.id === "pick-page") for (const box of withHeader(boxes())) box.checked = event.target.checked;
  show();
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "choice" && event.target.querySelector("[data-go]").getAttribute("aria-disabled") === "true") {
    event.preventDefault();
    boxes()[0]?.focus();
  }
});

document.addEventListener("keydown", (event) => {
  const panel = event.target.closest(".bulk");
  if (!panel) return;
  if (event.key === "Enter" && event.target.matches("input")) {
    event.preventDefault();
    panel.querySelector("[data-go]").click();
  } else if (event.key === "Escape") {
    panel.open = false;
    panel.querySelector("summary").focus();
  }
});

document.addEventListener("htmx:afterSettle", show);
window.addEventListener("pageshow", show);
