// The draft of a message is downloaded by itself, once, after “Open in my mail program”. Without this file its link is
// a button like any other.

const ASKED = "draft-asked-for";
const NEXT_PAGE = "of a new message";

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-hand-over]")) sessionStorage.setItem(ASKED, location.pathname);
  else if (event.submitter?.matches("[data-hand-over]")) sessionStorage.setItem(ASKED, NEXT_PAGE);
});

const asked = sessionStorage.getItem(ASKED);
sessionStorage.removeItem(ASKED);
if (asked === location.pathname || asked === NEXT_PAGE) document.querySelector("[data-draft]")?.click();
