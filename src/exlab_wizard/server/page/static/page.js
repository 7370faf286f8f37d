// Keeps a page up to date over the event stream. The page works without this script, but does not update then.
//
// Events only say that something changed: at most twice a second the page's moving parts are fetched, as the server
// renders them, and put in place. So an event costs next to nothing, and all words are in the templates.

const LIVE = { "X-Exlab-Live": "1" };
const REFRESH_MS = 500;
const AGAIN_MS = 1000;
const KEY_MS = 600_000;
const $ = (id) => document.getElementById(id);

let stream = null;
let over = false; // the application has said that it has quit
let lost = false;
let timer = 0;
let refreshing = false;
let stale = false;

// ---- the moving parts

function refresh() {
  stale = true;
  if (!timer && !refreshing) timer = setTimeout(fetchParts, REFRESH_MS);
}

async function fetchParts() {
  timer = 0;
  if (over || lost) return;
  stale = false;
  refreshing = true;
  try {
    const answer = await fetch(document.body.dataset.live, { headers: LIVE, cache: "no-store" });
    const html = await answer.text();
    if (answer.ok && !over) put(html);
  } catch {
    // The stream fails too, and reports it.
  } finally {
    refreshing = false;
    if (stale) refresh();
  }
}

function put(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  for (const part of [...fresh.children]) {
    const old = part.id && $(part.id);
    if (old) morph(old, part);
  }
  asked();
  tick();
}

// Make `old` like `fresh`, in place: unchanged parts keep focus, selection and scroll position.
function morph(old, fresh) {
  attributes(old, fresh);
  const keyed = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  let here = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const same = wanted.id ? keyed.get(wanted.id) : here && !here.id && alike(here, wanted) ? here : null;
    if (!same) {
      old.insertBefore(wanted, here);
    } else {
      if (same === here) here = here.nextSibling;
      else old.insertBefore(same, here);
      if (same.nodeType === Node.ELEMENT_NODE) morph(same, wanted);
      else if (same.data !== wanted.data) same.data = wanted.data;
    }
  }
  while (here) {
    const gone = here;
    here = here.nextSibling;
    gone.remove();
  }
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}

function attributes(old, fresh) {
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
}

// ---- the quit question

const question = $("question");

function asked() {
  const stands = question.hasAttribute("data-asked") && !over;
  if (stands && !question.matches(":modal")) {
    question.removeAttribute("open"); // rendered open, it is not a modal dialog
    question.showModal();
    say(question.querySelector("h2").textContent);
  } else if (!stands && question.open) {
    question.close();
  }
}

question.addEventListener("cancel", (event) => {
  event.preventDefault();
  question.querySelector("[value=wait]")?.click();
});
question.addEventListener("close", () => setTimeout(asked));

function say(sentence) {
  const said = $("said");
  if (said.textContent !== sentence) said.textContent = sentence;
}

// ---- countdowns

function tick() {
  const now = Date.now();
  for (const one of document.querySelectorAll("[data-until]")) {
    one.textContent = span(Math.max(0, Date.parse(one.dataset.until) - now) / 1000);
  }
}

// As `duration` of domain/text/amounts.py; no countdown lasts a day.
function span(seconds) {
  const whole = Math.round(seconds);
  const unlessZero = (count, unit) => (count ? ` ${count} ${unit}` : "");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${unlessZero(whole % 60, "s")}`;
  return `${Math.floor(whole / 3600)} h${unlessZero(Math.floor((whole % 3600) / 60), "min")}`;
}

// ---- buttons

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || "whole" in form.dataset || over) return;
  event.preventDefault();
  const button = event.submitter;
  const body = new URLSearchParams(new FormData(form, button));
  button?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(button?.getAttribute("formaction") ?? form.getAttribute("action"), { method: "POST", body, headers: LIVE });
    const late = answer.status === 409 && question.contains(form); // another client answered first
    failed(answer.ok || late ? "" : (await answer.json()).error.message);
    if (answer.ok && form.getAttribute("action") === "/theme") location.reload();
  } catch {
    failed("ExLab-Wizard did not answer. Try again in a moment.");
  } finally {
    button?.removeAttribute("aria-busy");
    clearTimeout(timer);
    timer = 0;
    if (!refreshing) fetchParts();
    else refresh();
  }
});

function failed(sentence) {
  $("failed").textContent = sentence;
  $("failed").hidden = !sentence;
}

// ---- the stream

function follow() {
  stream?.close();
  stream = new EventSource("/api/v1/events");
  for (const name of ["job", "progress", "session", "drain", "question", "resync"]) stream.addEventListener(name, refresh);
  stream.addEventListener("hello", () => {
    lost = false;
    $("lost").hidden = true;
    refresh();
    reported = null;
    reportFocus();
  });
  stream.addEventListener("ended", (event) => end(JSON.parse(event.data).sentence));
  stream.addEventListener("error", () => {
    stream.close();
    lose();
  });
}

// ---- the window: whether it has the focus, and that there is only one

let reported = null;

async function reportFocus() {
  const focused = document.hasFocus();
  if (focused === reported || over) return;
  reported = focused;
  const body = JSON.stringify({ focused });
  try {
    await fetch("/api/v1/window", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true });
  } catch {
    reported = null; // reported again when the stream is back
  }
}

for (const name of ["focus", "blur", "pageshow"]) addEventListener(name, reportFocus);

// A page that has just logged in is the window; an older one closes, since no program can bring it to the front.
const windows = new BroadcastChannel("exlab-wizard");
windows.addEventListener("message", () => {
  over = true;
  stream?.close();
  window.close();
  const moved = document.createElement("p");
  moved.textContent = "ExLab-Wizard is open in a newer window. You can close this one.";
  document.body.replaceChildren(moved);
});
if (location.hash === "#opened") {
  history.replaceState(null, "", location.pathname + location.search);
  windows.postMessage("opened");
}

function lose() {
  lost = true;
  if (!over) {
    $("lost").hidden = false;
    say($("lost-title").textContent);
    if (question.open) question.close();
  }
  setTimeout(reconnect, AGAIN_MS);
}

function end(sentence) {
  over = true;
  if (question.open) question.close();
  for (const id of ["state", "lost", "failed"]) $(id).hidden = true;
  $("main").replaceChildren($("ended"));
  $("ended-sentence").textContent = sentence;
  $("ended").hidden = false;
  $("ended").focus();
  say("");
  document.title = "ExLab-Wizard has quit";
}

// ---- reconnecting after a restart: page and server prove that they know the page's key, without sending it

async function reconnect() {
  try {
    const [name, secret] = $("state").dataset.key.split(".");
    const mine = hex(crypto.getRandomValues(new Uint8Array(16)));
    const reply = await post("/reconnect", { key: name, number: mine });
    if (reply.status === 401) return $("stuck").showModal();
    if (!reply.ok) return lose();
    const { number, proof, launch_id: launch } = await reply.json();
    const text = `${location.host}\n${name}\n${mine}\n${number}`;
    if ((await mac(secret, `server\n${text}`)) !== proof) return lose(); // another program answers at our address
    if (!over && String(launch) === document.body.dataset.launch) return follow(); // only the connection was lost
    const answer = await post("/reconnect/answer", { number, proof: await mac(secret, `page\n${text}`) }, "same-origin");
    if (answer.ok) location.reload();
    else lose();
  } catch {
    lose();
  }
}

function post(path, document, credentials = "omit") {
  const headers = { "Content-Type": "application/json" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(document), credentials, cache: "no-store" });
}

async function mac(secret, text) {
  const bytes = Uint8Array.from(secret.match(/../g), (two) => parseInt(two, 16));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return hex(new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(text))));
}

function hex(bytes) {
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

document.documentElement.dataset.script = "on";
asked();
tick();
setInterval(tick, 1000);
setInterval(refresh, KEY_MS);
follow();
