// A schedule's form: only what belongs to the chosen kind of times. Without this file all of it is there, and a button
// shows what it does.

const form = document.querySelector("[data-schedule]");

function show() {
  for (const part of form.querySelectorAll("[data-kind]")) {
    // What is marked as wrong stays to be seen.
    part.hidden = part.dataset.kind !== form.elements.kind.value && !part.querySelector(".is-invalid");
  }
}

form.addEventListener("change", (event) => {
  if (event.target.closest("[data-days]")) form.elements.on_days.value = "these";
  show();
});
show();
