"use strict";
(() => {
  const API = "/v1/onboarding/sessions";
  const SHOWN = 12, SLOW = 2500, PATIENCE = 60000;
  const $ = (id) => document.getElementById(id);
  const kinds = document.body.dataset.kinds;
  const facts = JSON.parse(document.body.dataset.facts);
  let session = null, repeat = null, busy = false, turn = 0;

  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  async function call(path, body, tries = 20) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), PATIENCE);
    let answer;
    try {
      answer = await fetch(API + path, {
        method: "POST", headers: { "Content-Type": "application/json" }, signal: stop.signal,
        body: JSON.stringify({ k: SHOWN, ...body }),
      });
    } catch {
      throw new Error(navigator.onLine ? "The service doesn't answer." : "You are offline.");
    } finally {
      clearTimeout(timer);
    }
    if (answer.ok) return answer.json();
    if (answer.status === 401) throw new Error("The service was restarted. Reload the page to go on.");
    if (answer.status === 404) throw new Error("This session has ended. Start over to go on.");
    if (answer.status === 429 || answer.status === 503) {
      if (tries > 0) {
        notice("The service is starting. One moment…", false);
        await new Promise((done) => setTimeout(done, 1500));
        return call(path, body, tries - 1);
      }
      throw new Error("The service is busy.");
    }
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || "Something went wrong.");
  }

  /* One answer at a time: buttons wait, the list keeps its place, and what failed can be tried again. The list comes
     first; the next question and the reasons come behind it, unless another answer overtakes them. */
  async function run(path, body, shown) {
    if (busy) return;
    busy = true;
    turn += 1;
    repeat = () => run(path, body, shown);
    $("notice").hidden = true;
    $("welcome").hidden = true;
    $("session").hidden = false;
    $("list").setAttribute("aria-busy", "true");
    if (!$("list").childElementCount) bones();
    for (const button of document.querySelectorAll("main button")) button.disabled = true;
    const slow = setTimeout(() => notice(`Still reading ${kinds} for you…`, false), SLOW);
    try {
      session = await call(path, { ...body, question: false });
      $("notice").hidden = true;
      show(session);
      $("live").textContent = `The list has changed: ${count(session)} ${kinds}.`;
      if (shown) shown();
      follow(turn);
    } catch (problem) {
      notice(problem.message, true);
      if (session) { show(session); if (!session.planned) follow(turn); }
      else { $("welcome").hidden = false; $("session").hidden = true; $("list").replaceChildren(); }
    } finally {
      clearTimeout(slow);
      busy = false;
      $("list").setAttribute("aria-busy", "false");
      for (const button of document.querySelectorAll("main button")) button.disabled = false;
      ready();
    }
  }

  async function follow(mine) {
    try {
      const told = await call(`/${session.session_id}/suggestions`, { k: 0 });
      if (mine !== turn) return;
      session.question = told.question;
      session.planned = true;
      ask(session);
      const { reasons } = await call(`/${session.session_id}/reasons`, {});
      if (mine !== turn) return;
      for (const shelf of session.shelves) for (const item of shelf.items) item.reasons = reasons[item.id];
      for (const place of document.querySelectorAll(".why")) why(place, reasons[place.dataset.id]);
    } catch (problem) {
      if (mine !== turn) return;
      repeat = () => { $("notice").hidden = true; follow(mine); };
      notice(problem.message, true);
    }
  }

  const count = (told) => told.shelves.reduce((sum, shelf) => sum + shelf.items.length, 0);

  function notice(text, failed) {
    $("notice-text").textContent = text;
    $("retry").hidden = !failed;
    $("notice").hidden = false;
  }

  function bones() {
    const cards = make("ul", { className: "cards" });
    for (let place = 0; place < 6; place += 1) cards.append(make("li", { className: "card bone" }));
    cards.setAttribute("aria-hidden", "true");
    $("list").replaceChildren(make("div", { className: "shelf" }, cards));
    $("count").textContent = "";
    $("prompt").textContent = "Looking…";
    $("answer").replaceChildren();
  }

  function show(told) {
    ask(told);
    if (!told.shelves.length) {
      $("list").replaceChildren(make("p", { className: "empty", textContent: `No ${kinds} are left to show.` }));
      return;
    }
    $("list").replaceChildren(...told.shelves.map(shelf));
  }

  function shelf(told) {
    const cards = make("ul", { className: "cards" }, ...told.items.map(card));
    return make("section", { className: "shelf" }, make("h2", { textContent: told.title }), cards);
  }

  function card(item) {
    const known = facts.map((name) => item.attributes[name]).filter((value) => value !== undefined && value !== null);
    const words = known.map((value) => (Array.isArray(value) ? value.slice(0, 3).join(", ") : String(value))).join(" · ");
    const node = make("li", { className: "card" }, make("h3", { textContent: item.title || item.id }));
    if (words) node.append(make("p", { className: "facts", textContent: words }));
    const reasons = make("ul", { className: "why" });
    reasons.dataset.id = item.id;
    why(reasons, item.reasons);
    node.append(reasons);
    const verdicts = make("div", { className: "verdict" });
    for (const [value, label] of [["like", "I like it"], ["dislike", "Not for me"]]) {
      const button = make("button", { type: "button", className: "small", textContent: label });
      button.setAttribute("aria-label", `${label}: ${item.title}`);
      button.addEventListener("click", () => answer(`item:${escaped(item.id)}`, value, () => $("main").focus({ preventScroll: true })));
      verdicts.append(button);
    }
    node.append(verdicts);
    return node;
  }

  function why(place, reasons) {
    const said = [...new Set((reasons || []).map((reason) => reason.sentence))].slice(0, 2);
    place.replaceChildren(...said.map((text) => make("li", { textContent: text })));
  }

  const escaped = (id) => id.replaceAll("%", "%25").replaceAll("|", "%7C").replaceAll("=", "%3D");

  function answer(question, value, shown) {
    run(`/${session.session_id}/answers`, { question_id: question, value }, shown);
  }

  function ask(told) {
    const form = $("answer"), question = told.question;
    form.replaceChildren();
    if (!told.planned) {
      $("prompt").textContent = "Looking for what to ask next…";
      return;
    }
    if (!question) {
      $("count").textContent = "";
      $("prompt").textContent = "That's all we need";
      form.append(make("p", { className: "facts", textContent: "Say “I like it” or “Not for me” to go on shaping the list." }));
      return;
    }
    $("count").textContent = `Question ${told.answered + 1}`;
    $("prompt").textContent = question.prompt;
    const next = make("button", { type: "submit", className: "primary", textContent: "Next" });
    const skip = make("button", { type: "button", className: "plain", textContent: "Skip" });
    const on = () => $("prompt").focus({ preventScroll: true });
    skip.addEventListener("click", () => answer(question.id, null, on));
    if (question.kind === "text") {
      const text = make("textarea", { rows: 2, maxLength: 2000, required: true });
      text.setAttribute("aria-labelledby", "prompt");
      form.append(make("div", { className: "options" }, text), make("div", { className: "row" }, next, skip));
      form.onsubmit = (event) => { event.preventDefault(); if (text.value.trim()) answer(question.id, text.value.trim(), on); };
      return;
    }
    const many = question.kind === "chips" || question.kind === "items";
    const options = make("div", { className: "options" });
    options.setAttribute("role", "group");
    options.setAttribute("aria-labelledby", "prompt");
    for (const option of question.options) {
      const button = make("button", { type: "button", textContent: option.label });
      if (many) button.setAttribute("aria-pressed", "false");
      button.dataset.id = option.id;
      button.addEventListener("click", () => {
        if (!many) { answer(question.id, option.id, on); return; }
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        ready();
      });
      options.append(button);
    }
    form.append(options, make("div", { className: "row" }, ...(many ? [next, skip] : [skip])));
    form.onsubmit = (event) => {
      event.preventDefault();
      const chosen = [...options.querySelectorAll("[aria-pressed=true]")].map((button) => button.dataset.id);
      answer(question.id, chosen, on);
    };
    ready();
  }

  function ready() {
    const next = $("answer").querySelector("[type=submit]"), options = $("answer").querySelector("[role=group]");
    if (next && options) next.textContent = options.querySelector("[aria-pressed=true]") ? "Next" : "None of these";
  }

  const begin = (text) => run("", text ? { profile: { text } } : {}, () => $("prompt").focus({ preventScroll: true }));
  $("signup").addEventListener("submit", (event) => { event.preventDefault(); begin($("sentence").value.trim()); });
  $("sentence").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); begin($("sentence").value.trim()); }
  });
  $("ask").addEventListener("click", () => begin(""));
  $("retry").addEventListener("click", () => { if (repeat) repeat(); });
  $("again").addEventListener("click", () => {
    session = null;
    turn += 1;
    $("list").replaceChildren();
    $("notice").hidden = true;
    $("session").hidden = true;
    $("welcome").hidden = false;
    $("sentence").focus();
  });
  window.addEventListener("offline", () => notice("You are offline. What you see stays.", false));
  window.addEventListener("online", () => { $("notice").hidden = true; });
})();
