// The status tabs change the filter form, which then asks for the list: one way for every change, so that answers
// cannot overtake each other. Without this file a tab is a link.

document.addEventListener("click", (event) => {
  const tab = event.target.closest("[data-status]");
  const form = document.querySelector("#filters");
  if (!tab || !form || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  form.elements.status.value = tab.dataset.status;
  form.dispatchEvent(new Event("change"));
});
