// Writing a message: addresses are completed from past recipients, files can be dropped and taken out again.
// Without this file the fields are plain text fields, and the file field takes several files.

const form = document.querySelector("[data-letter]");
const separator = /[,;，、،；؛]/; // as in typed_addresses.py

// --- Completion (ARIA combobox with a list) -------------------------------------------------------------------

class Completion {
  constructor(input) {
    this.input = input;
    this.list = document.createElement("ul");
    this.list.id = `${input.id}-found`;
    this.list.className = "letter-found";
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Past recipients");
    this.list.hidden = true;
    input.after(this.list);
    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.list.id };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
    input.addEventListener("input", () => this.ask());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("paste", (event) => this.paste(event));
    // Not click: the field would lose the focus first, and the list would be gone.
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (option) this.take(option);
    });
  }

  // What is being typed: from the last separator (outside of quotes) before the cursor to the cursor.
  word() {
    const before = this.input.value.slice(0, this.input.selectionStart);
    let start = 0;
    let quoted = false;
    // By code units, as the cursor counts: a character outside of the basic plane has two.
    for (let place = 0; place < before.length; place += 1) {
      if (quoted && before[place] === "\\") place += 1;
      else if (before[place] === '"') quoted = !quoted;
      if (!quoted && separator.test(before[place])) start = place + 1;
    }
    return { start, text: before.slice(start).trim() };
  }

  ask() {
    clearTimeout(this.timer);
    this.controller?.abort();
    const { text } = this.word();
    if (text.length < 2) return this.close();
    this.timer = setTimeout(() => this.fetch(text), 150);
  }

  async fetch(text) {
    this.controller = new AbortController();
    try {
      const answer = await fetch(`${form.dataset.addresses}?q=${encodeURIComponent(text)}`, { signal: this.controller.signal });
      if (answer.ok) this.show((await answer.json()).found);
    } catch {
      this.close();
    }
  }

  show(found) {
    if (document.activeElement !== this.input || found.length === 0) return this.close();
    this.list.replaceChildren(...found.map(({ name, address }, number) => {
      const option = document.createElement("li");
      option.id = `${this.list.id}-${number}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.typed = typed(name, address);
      if (name) option.append(Object.assign(document.createElement("span"), { textContent: `${name} ` }));
      option.append(Object.assign(document.createElement("span"), { textContent: address, className: "quiet" }));
      return option;
    }));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.choose(null);
  }

  close() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.choose(null);
  }

  choose(option) {
    this.chosen?.setAttribute("aria-selected", "false");
    this.chosen = option;
    if (!option) return this.input.removeAttribute("aria-activedescendant");
    option.setAttribute("aria-selected", "true");
    this.input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const options = this.list.hidden ? [] : [...this.list.children];
    if (event.key === "Enter") event.preventDefault(); // it would send the message
    if (options.length === 0) {
      if (event.key === "ArrowDown") this.ask();
      return;
    }
    const here = options.indexOf(this.chosen);
    if (event.key === "ArrowDown") this.choose(options[(here + 1) % options.length]);
    else if (event.key === "ArrowUp") this.choose(options[here <= 0 ? options.length - 1 : here - 1]);
    else if (event.key === "Enter") return this.take(this.chosen ?? options[0]);
    else if (event.key === "Tab" && this.chosen) return this.take(this.chosen);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  take(option) {
    const { start } = this.word();
    const { value, selectionStart } = this.input;
    const before = value.slice(0, start);
    const rest = value.slice(selectionStart).replace(/^[^,;，、،；؛]*[,;，、،；؛]?\s*/, "");
    const put = `${before}${before && !before.endsWith(" ") ? " " : ""}${option.dataset.typed}, `;
    this.input.value = put + rest;
    this.input.setSelectionRange(put.length, put.length);
    this.close();
  }

  // A column of a spreadsheet: one address per line.
  paste(event) {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!/[\r\n]/.test(text.trim())) return;
    event.preventDefault();
    this.input.setRangeText(text.trim().split(/[\r\n]+/).join(", "), this.input.selectionStart, this.input.selectionEnd, "end");
  }
}

function typed(name, address) {
  if (!name) return address;
  const needsQuotes = /[\]()<>@,:;".\\[，、،；؛＠＜＞“”„‟«»]|=\?|^['‘]/; // as in own_mail.py
  return needsQuotes.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}" <${address}>` : `${name} <${address}>`;
}

// --- Files ----------------------------------------------------------------------------------------------------

function size(octets) {
  if (octets === 0) return "empty";
  if (octets < 1024) return `${octets} byte${octets === 1 ? "" : "s"}`;
  return octets < 1024 * 1024 ? `${(octets / 1024).toFixed(1)} KB` : `${(octets / 1024 / 1024).toFixed(1)} MB`;
}

class Files {
  constructor(region) {
    this.region = region;
    this.input = region.querySelector("input[type=file]");
    this.list = region.querySelector("[data-list]");
    this.drop = region.querySelector("[data-drop]");
    this.said = region.querySelector("[data-said]");
    this.files = [];
    region.querySelector("[data-drop-hint]").hidden = false;
    // What is not ticked was taken out on a page before this one: its box stays, to have it back.
    for (const box of this.list.querySelectorAll("input:checked")) this.giveButton(box);
    this.input.addEventListener("change", () => this.add([...this.input.files]));
    // A file dropped beside the zone would open in place of the page, and what was written would be gone.
    form.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.drop.classList.add("is-over");
    });
    form.addEventListener("dragleave", (event) => {
      if (!form.contains(event.relatedTarget)) this.drop.classList.remove("is-over");
    });
    form.addEventListener("drop", (event) => {
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      this.drop.classList.remove("is-over");
      this.add([...event.dataTransfer.files]);
    });
    this.files = [...this.input.files];
    if (this.files.length) this.show();
  }

  add(files) {
    this.files = [...this.files, ...files];
    this.show(`Attached: ${files.map((file) => file.name).join(", ")}.`);
  }

  show(words = "") {
    const all = new DataTransfer();
    for (const file of this.files) all.items.add(file);
    this.input.files = all.files;
    for (const row of this.list.querySelectorAll("[data-new]")) row.remove();
    for (const file of this.files) this.list.append(this.row(file));
    const total = this.files.reduce((sum, file) => sum + file.size, 0);
    const most = Number(this.region.dataset.most);
    this.said.textContent = total > most ? `${size(total)} together is too large. Remove some.` : words;
  }

  row(file) {
    const row = document.createElement("li");
    row.dataset.new = "";
    row.append(Object.assign(document.createElement("span"), { textContent: file.name, className: "file-name" }));
    row.append(Object.assign(document.createElement("span"), { textContent: size(file.size), className: "quiet" }));
    row.append(this.button(file.name, () => {
      this.files = this.files.filter((other) => other !== file);
      this.show(`Removed: ${file.name}.`);
    }));
    return row;
  }

  giveButton(box) {
    const row = box.closest("li");
    const name = row.querySelector(".file-name").textContent;
    box.hidden = true;
    row.append(this.button(name, () => {
      row.remove();
      this.said.textContent = `Removed: ${name}.`;
    }));
  }

  button(name, work) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-plain";
    button.textContent = "Remove";
    button.setAttribute("aria-label", `Remove ${name}`);
    button.addEventListener("click", () => {
      work();
      this.input.focus();
    });
    return button;
  }
}

if (form) {
  for (const input of form.querySelectorAll("[data-complete]")) new Completion(input);
  new Files(form.querySelector("[data-files]"));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input:not([type=file], [type=checkbox])")) event.preventDefault();
  });
}
