"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const query = $("#query"), shown = $("#shown"), nothing = $("#nothing"), unfold = $("#unfold");
  const words = (root, selector) => all(selector, root).map((part) => part.textContent).join(" ").toLowerCase();

  const requirements = all(".requirement").map((node) => ({
    node, area: node.dataset.area, text: words(node, ":scope > summary, .origin"),
    checks: all(".check", node).map((check) => ({
      node: check, state: check.dataset.state, text: words(check, ":scope > summary") + " " + $("summary", check).title.toLowerCase(),
    })),
  }));
  const pressed = (selector, key) => new Set(all(selector + "[aria-pressed=true]").map((button) => button.dataset[key]));

  function filter() {
    const states = pressed(".chip", "state"), areas = pressed(".area", "area");
    const terms = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const filtered = states.size + areas.size + terms.length > 0;
    let count = 0, checks = 0;
    for (const { node, area, text, checks: inside } of requirements) {
      const whole = terms.every((term) => text.includes(term));
      let matching = 0;
      for (const check of inside) {
        const fits = (!states.size || states.has(check.state)) && (whole || terms.every((term) => text.includes(term) || check.text.includes(term)));
        check.node.hidden = !fits;
        matching += fits;
      }
      const fits = (!areas.size || areas.has(area)) && (inside.length ? matching > 0 : whole && !states.size);
      node.hidden = !fits;
      count += fits;
      checks += fits ? matching : 0;
    }
    for (const group of all(".group.list")) group.hidden = !$(".requirement:not([hidden])", group);
    shown.hidden = !filtered;
    nothing.hidden = count > 0;
    $("span", shown).textContent = `${count} requirement${count === 1 ? "" : "s"}, ${checks} check${checks === 1 ? "" : "s"}`;
  }

  for (const button of all(".chip, .area")) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  let timer = 0;
  query.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 60); });
  $("#clear").addEventListener("click", () => {
    query.value = "";
    for (const button of all(".chip, .area")) button.setAttribute("aria-pressed", "false");
    filter();
  });

  unfold.addEventListener("click", () => {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    for (const { node } of requirements) node.open = open;
    unfold.setAttribute("aria-pressed", String(open));
    unfold.textContent = open ? "Fold all" : "Unfold all";
  });

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); return true; } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.style.cssText = "position:fixed;opacity:0";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const label = $("span", button), done = await copy($("pre", button.closest(".command")).textContent);
    label.textContent = done ? "Copied" : "Select and copy by hand";
    setTimeout(() => { label.textContent = "Copy"; }, 1600);
  });

  const root = document.documentElement;
  const store = { get() { try { return localStorage.getItem("windtunnel-theme"); } catch { return null; } }, set(value) { try { localStorage.setItem("windtunnel-theme", value); } catch { /* a page from a file may have no storage */ } } };
  if (store.get()) root.dataset.theme = store.get();
  $("#theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    store.set(root.dataset.theme);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) { event.preventDefault(); query.focus(); }
    if (event.key === "Escape" && document.activeElement === query) { query.value = ""; filter(); query.blur(); }
  });

  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.matches(".requirement")) { target.open = true; target.scrollIntoView(); }
  }
  addEventListener("hashchange", reveal);
  reveal();
  for (const { node } of requirements) node.addEventListener("toggle", () => { if (node.open && document.activeElement === $("summary", node)) history.replaceState(null, "", "#" + node.id); });

  // Evidence of checks that hold is kept as text until somebody looks: a page of a thousand checks opens at once.
  function show(check) {
    const kept = $(':scope > script[type="text/plain"]', check);
    if (!kept) return;
    check.insertAdjacentHTML("beforeend", kept.textContent);
    kept.remove();
  }
  for (const { checks } of requirements) for (const { node } of checks) node.addEventListener("toggle", () => { if (node.open) show(node); });

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = requirements.filter(({ node }) => !node.open && !node.matches(".pass, .not_applicable"));
    for (const { node } of folded) node.open = true;
  });
  addEventListener("afterprint", () => { for (const { node } of folded) node.open = false; });

  const toolbar = $(".toolbar");
  addEventListener("scroll", () => toolbar.classList.toggle("stuck", toolbar.getBoundingClientRect().top <= 0), { passive: true });
})();
