// Shows moments as ages ("40 s ago") and counts them on, by the box's clock. The words are those of services/spans.py.
"use strict";
(() => {
  const meta = document.querySelector('meta[name="now"]');
  const ahead = Date.now() / 1000 - Number(meta.content);

  function words(seconds) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit} ago`;
    }
    return `${Math.max(0, Math.round(seconds))} s ago`;
  }

  function show(root) {
    const now = Date.now() / 1000 - ahead;
    for (const time of root.querySelectorAll("time[data-at]")) {
      const at = Number(time.dataset.at);
      if (!time.title) time.title = time.textContent;
      const text = words(now - at);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  show(document);
  setInterval(() => show(document), 5000);
  // The element that came, and what it brought along.
  for (const event of ["htmx:load", "htmx:oobAfterSwap"]) {
    document.addEventListener(event, (happened) => show(happened.target));
  }
})();
