// Email Setup: only the fields of the chosen way to sign in, and the usual port of the chosen auth type.
// Without this file all fields are there, and an empty port says what it falls back to.

const chosen = (select) => select.value || select.dataset.fallback;

const form = document.querySelector("[data-setup]");
const way = form?.elements.sign_in;
const auth = form?.elements.auth_type;
const port = form?.elements.port;

function showWay() {
  for (const part of form.querySelectorAll("[data-ways]")) {
    const belongs = part.dataset.ways.split(" ").includes(chosen(way));
    // What is marked as wrong stays to be seen.
    part.hidden = !belongs && !part.querySelector(".is-invalid");
  }
}

function showPort() {
  port.placeholder = JSON.parse(port.dataset.ports)[chosen(auth)];
}

if (way) {
  way.addEventListener("change", showWay);
  showWay();
}
if (auth && port?.dataset.ports) auth.addEventListener("change", showPort);
