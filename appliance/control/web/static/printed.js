// Keeps what a build prints as short as it was sent, and shows its end unless somebody has scrolled up.
"use strict";
(() => {
  let atEnd = true;

  function log(event) {
    const found = event.target;
    return found instanceof Element && found.matches("pre[data-most]") ? found : null;
  }

  document.addEventListener("htmx:load", (event) => {
    for (const each of event.target.querySelectorAll("pre[data-most]")) each.scrollTop = each.scrollHeight;
  });
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const pre = log(event);
    if (pre) atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 8;
  });
  document.addEventListener("htmx:sseMessage", (event) => {
    const pre = log(event);
    if (!pre) return;
    while (pre.childElementCount > Number(pre.dataset.most)) pre.firstElementChild.remove();
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  });
})();
