// The draft of a message is downloaded by itself, once, after “Open in my mail program”. Without this file its link is
// a button like any other.

const ASKED = "draft-asked-for";

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-hand-over]")) sessionStorage.setItem(ASKED, location.pathname);
});

const asked = sessionStorage.getItem(ASKED);
sessionStorage.removeItem(ASKED);
if (asked === location.pathname) document.querySelector("[data-draft]")?.click();
