// A table wider than its column scrolls: by keyboard as well.
document$.subscribe(() =>
  requestAnimationFrame(() => {
    for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) {
      wrap.tabIndex = 0;
      wrap.setAttribute("role", "group");
      wrap.setAttribute("aria-label", "Table");
    }
  }),
);
