// A form that changes something is sent once, however often its button is pressed.

const sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  const button = event.submitter;
  button?.setAttribute("aria-disabled", "true");
  if (button?.dataset.busy) button.querySelector("[data-label]").textContent = button.dataset.busy;
});

// Back from the next page, the form may be sent again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
