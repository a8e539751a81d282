// Says so when what somebody did could not be sent, or was refused: htmx itself shows nothing then.
"use strict";
(() => {
  function show(event) {
    const asked = event.detail.requestConfig;
    if (!asked || asked.verb === "get") return;
    const refused = event.detail.xhr && event.detail.xhr.status;
    const note = document.createElement("div");
    note.className = "note bad";
    note.setAttribute("role", "alert");
    note.textContent = refused
      ? `That was refused (${refused}). Load the page again, then repeat what you did.`
      : "The box did not answer. Nothing was changed, as far as this page knows.";
    const place = event.detail.elt.closest("section") || document.getElementById("main");
    place.prepend(note);
  }
  document.addEventListener("htmx:responseError", show);
  document.addEventListener("htmx:sendError", show);
})();
