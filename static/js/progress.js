// Says the progress of a batch to screen readers, at each tenth instead of every second.

let said = "";

document.addEventListener("htmx:afterSwap", (event) => {
  const words = event.target.querySelector("[data-say]")?.dataset.say;
  const voice = document.querySelector("#said");
  if (!words || !voice || words === said) return;
  said = words;
  voice.textContent = words;
});
