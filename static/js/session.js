// Warns before the session ends, and offers to stay. Typing counts as activity. Without this file the server ends the
// session all the same, and keeps what is sent afterwards.

const TICK = 10_000;
const TOLD_EACH = 60_000; // typing is told to the server as often

const template = document.querySelector("template[data-session]");

if (template) {
  const about = template.dataset;
  template.after(template.content.cloneNode(true));
  const box = template.nextElementSibling;
  const words = box.querySelector("[data-words]");
  const stay = box.querySelector("[data-stay]");
  const warn = Number(about.warn) * 1000;
  let ends = Date.now() + Number(about.seconds) * 1000;
  let mayStay = true;
  let told = Date.now();
  // A form that was not accepted, or is filled in again, has what was typed before this page was there.
  const isAgain = "posted" in about || new URLSearchParams(location.search).has("kept");
  let typed = isAgain && document.querySelector("main form[method=post] :is(textarea, input:not([type=hidden]))") !== null;
  let over = false;

  const take = async (answer) => {
    if (!answer.ok || answer.redirected) return;
    const { seconds, may_stay } = await answer.json();
    ends = Date.now() + seconds * 1000;
    mayStay = may_stay;
  };

  const ask = () => fetch(about.session, { headers: { "X-Background": "1" }, cache: "no-store" }).then(take).catch(() => {});

  const act = () => {
    told = Date.now();
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
    return fetch(about.session, { method: "POST", headers: { "X-CSRFToken": token } }).then(take).catch(() => {});
  };

  const say = (text, offer) => {
    if (words.textContent !== text) words.textContent = text;
    stay.hidden = !offer;
    box.hidden = false;
  };

  const end = () => {
    // Not reload: a page that answers a POST would send it again.
    if (!typed) return location.replace(location.href.split("#")[0]);
    say("You were signed out. Send the form to keep what you typed: sign in, and it is there again.", false);
  };

  const look = async () => {
    if (over) return;
    if (Date.now() < ends - warn) return (box.hidden = true);
    await ask(); // another tab may have been busy
    const left = ends - Date.now();
    over = left <= 0;
    if (over) return end();
    if (left > warn) return (box.hidden = true);
    const at = new Date(ends).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
    if (mayStay) say(`You will be signed out at ${at}, because you have done nothing for a while.`, true);
    else say(`You will be signed out at ${at}, and can sign in again at once. What you type is kept.`, false);
  };

  document.addEventListener("input", ({ target }) => {
    typed ||= target.form?.method === "post";
    if (!over && Date.now() - told > TOLD_EACH) act();
  });
  stay.addEventListener("click", () => act().then(look));
  document.addEventListener("visibilitychange", () => document.hidden || look());
  setInterval(look, TICK);
}
