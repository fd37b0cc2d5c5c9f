"use strict";
// Shows the pages of a study in the order that it is given, and keeps the answers in this browser. An answer is a
// pair of strings, the name and the value of a radio button; what they mean is known to `evaluate study read` alone.

const study = JSON.parse(document.getElementById("study").textContent);
const main = document.getElementById("main");
let participant = 0;
let answers = {};
let kept = true;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function show(...children) {
  main.replaceChildren(...children);
  window.scrollTo(0, 0);
  main.focus();
}

// --- what is kept

function place() {
  return `mtv-study:${study.study}:${participant}`;
}

function restore() {
  answers = {};
  try {
    answers = JSON.parse(localStorage.getItem(place())) || {};
  } catch (error) {
    kept = false;
  }
}

function keep(name, value) {
  answers[name] = value;
  try {
    localStorage.setItem(place(), JSON.stringify(answers));
  } catch (error) {
    kept = false;
  }
}

function file() {
  const { kind, study: id, form } = study;
  return JSON.stringify({ kind, schema_version: 1, study: id, form, participant, answers }, null, 1);
}

// --- parts of a page

function choices(name, text, options, layout) {
  const buttons = options.map(([value, label]) => {
    const input = element("input", { type: "radio", name, value, required: true, checked: answers[name] === value });
    input.addEventListener("change", () => keep(name, value));
    return element("label", {}, input, label);
  });
  const row = element("div", { className: `choices ${layout}` }, ...buttons);
  return element("fieldset", {}, element("legend", {}, text), row);
}

function player(video, label) {
  const made = element("video", {
    src: `${study.videos}/${video}.mp4`, controls: true, playsInline: true, preload: "metadata",
  });
  made.setAttribute("aria-label", label);
  made.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video")) if (other !== made) other.pause();
  });
  return made;
}

function card(video, label, questions) {
  const made = element("section", { className: "card" }, element("h3", {}, label), player(video, label), ...questions);
  made.setAttribute("aria-label", label);
  return made;
}

function button(text, act) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}

function note() {
  const text = "This browser does not keep your answers: do not close or reload the page before you download them.";
  return kept ? "" : element("p", { className: "note" }, text);
}

// --- pages

function clipPage(number) {
  const order = study.orders[participant - 1];
  if (number === order.length) return endPage();
  const [clip, videos] = order[number];
  const labels = videos.map((_, i) => `Video ${String.fromCharCode(65 + i)}`);
  const scale = study.scale && study.scale.map((value) => [String(value), String(value)]);
  const ask = (owner, options, layout) => study.questions.map(
    (question) => choices(`${owner}/${question.id}`, question.text, options, layout));
  const cards = videos.map((video, i) => card(video, labels[i], scale ? ask(video, scale, "scale") : []));
  const form = element("form", {},
    element("div", { className: "clips" }, ...cards),
    ...(scale ? [] : ask(clip, videos.map((video, i) => [video, labels[i]]), "best")),
    element("div", { className: "buttons" },
      button("Back", () => (number ? clipPage(number - 1) : startPage())),
      element("button", { className: "main" }, "Next")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clipPage(number + 1);
  });
  const bar = element("progress", { max: order.length, value: number });
  bar.setAttribute("aria-label", "progress");
  const text = study.texts[clip];
  show(
    element("div", { className: "head" }, element("h1", {}, `Page ${number + 1} of ${order.length}`)), bar,
    ...(text ? [element("p", {}, "The text:"), element("blockquote", {}, text)] : []), note(), form);
}

function endPage() {
  const url = URL.createObjectURL(new Blob([file()], { type: "application/json" }));
  const name = `answers_${study.study}_${participant}.json`;
  const copy = element("textarea", { readOnly: true, value: file() });
  copy.setAttribute("aria-label", "answers");
  show(
    element("h1", {}, "Thank you"),
    element("p", {}, "Please download your answers and send the file to the person who invited you. Nothing was " +
      "sent from this page."),
    element("div", { className: "buttons" },
      button("Back", () => clipPage(study.orders[participant - 1].length - 1)),
      element("a", { className: "button", href: url, download: name }, "Download answers")),
    note(),
    element("p", {}, "If the download does not work here, copy this text and send it instead:"), copy);
}

function startPage() {
  const number = element("input", {
    type: "number", min: 1, max: study.orders.length, step: 1, required: true, inputMode: "numeric",
    value: participant || new URLSearchParams(location.search).get("p") || "",
  });
  const form = element("form", {},
    element("p", {}, element("label", {}, `Your number (1 to ${study.orders.length}): `, number)),
    element("div", { className: "buttons" }, element("button", { className: "main" }, "Start or go on")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    participant = Number(number.value);
    restore();
    const first = study.orders[participant - 1].findIndex(([clip, videos]) => !answered(clip, videos));
    clipPage(first < 0 ? study.orders[participant - 1].length : first);
  });
  show(
    element("h1", {}, "Video study"), element("p", {}, study.instructions),
    element("p", {}, "Your answers stay in this browser until you download them at the end. You can stop at any " +
      "time, and go on later in the same browser."), form);
}

function answered(clip, videos) {
  const owners = study.scale ? videos : [clip];
  return owners.every((owner) => study.questions.every((question) => `${owner}/${question.id}` in answers));
}

startPage();
