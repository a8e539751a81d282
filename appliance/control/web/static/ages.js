// Shows moments as ages ("40 s ago", or "40 s" for what has begun then) and counts them on, by the box's clock. The words are those of services/spans.py.
"use strict";
(() => {
  const meta = document.querySelector('meta[name="now"]');
  const ahead = Date.now() / 1000 - Number(meta.content);

  function words(seconds) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
    }
    return `${Math.max(0, Math.round(seconds))} s`;
  }

  function show(root) {
    const now = Date.now() / 1000 - ahead;
    for (const time of root.querySelectorAll("time[data-at], time[data-since]")) {
      const ago = "at" in time.dataset;
      if (ago && !time.title) time.title = time.textContent;
      const text = ago ? `${words(now - Number(time.dataset.at))} ago` : words(now - Number(time.dataset.since));
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
