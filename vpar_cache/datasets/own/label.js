// The page: shows a tracklet and its questions, takes keys, keeps the labels in the browser.
(() => {
  const { dataset, questions, tracklets, rows } = JSON.parse(document.getElementById("data").textContent);
  const KEYS = "0123456789abcdefghijklmnopqrstuvwxyz"; // of the values, in their order
  const KEPT = `vpar-cache labels ${dataset}`;
  const $ = (id) => document.getElementById(id);
  const labels = new LabelTable(questions, tracklets);
  const { fields } = labels;
  let at = 0; // the tracklet that is shown
  let current = 0; // the question that a key answers
  let saved = true;
  let keeps = true; // whether the browser keeps what is entered

  const say = (text) => { $("message").textContent = text; };
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const valueOf = (field, i) => (field.kind === "attribute" ? String(i) : field.values[i]);

  // ---- What is shown ----

  const option = (number, text, key, value) => {
    const input = make("input", { type: "radio", name: fields[number].column, value });
    input.addEventListener("change", () => answer(value, number));
    return make("label", {}, input, ...(key ? [make("kbd", { textContent: key }), " "] : []), text);
  };

  const question = (field, number) => {
    const box = make("fieldset", {}, make("legend", {}, field.title, make("span", { className: "state" })));
    if (field.kind === "person") {
      const input = make("input", { type: "text", id: "person" });
      input.setAttribute("aria-label", "Name of the person, the same for all its tracklets");
      input.setAttribute("list", "people");
      input.addEventListener("change", () => answer(input.value, number));
      input.addEventListener("focus", () => input.select());
      const same = make("button", { type: "button" }, make("kbd", { textContent: "=" }), " same as in the tracklet before");
      same.addEventListener("click", () => samePerson());
      box.append(input, make("datalist", { id: "people" }), same);
    } else {
      box.append(...field.values.map((value, i) => option(number, value, KEYS[i], valueOf(field, i))));
      if (field.kind === "attribute") box.append(option(number, "cannot be seen", "-", "NA"));
    }
    box.addEventListener("focusin", () => mark(number));
    return box;
  };

  const boxes = fields.map(question);

  // Makes a question the one that a key answers.
  const mark = (number) => {
    current = (number + fields.length) % fields.length;
    boxes.forEach((box, i) => box.setAttribute("aria-current", String(i === current)));
  };

  const focus = () => {
    const inputs = [...boxes[current].querySelectorAll("input")];
    (inputs.find((input) => input.checked) ?? inputs[0]).focus();
  };

  const showFrames = () => {
    const { name, frames, count } = tracklets[at];
    $("frames-title").textContent =
      `${name}: ${frames.length < count ? `${frames.length} of ` : ""}${counted(count, "frame")}`;
    const folder = name.split("/").map(encodeURIComponent).join("/");
    $("frames").replaceChildren(...frames.map((frame) =>
      make("img", { src: `${folder}/${encodeURIComponent(frame)}`, alt: `frame ${frame}` })));
  };

  const showAnswers = () => {
    const row = labels.row(at);
    boxes.forEach((box, i) => {
      const field = fields[i];
      for (const input of box.querySelectorAll("input[type=radio]")) {
        input.checked = input.value === (row[field.column] ?? "");
      }
      const missing = field.kind === "split" ? !row.split : labels.isMissing(at, field);
      box.classList.toggle("missing", missing);
      box.querySelector(".state").textContent = missing ? " (missing)" : "";
    });
    $("person").value = row.person_id;
    $("people").replaceChildren(...[...labels.people()].map((value) => make("option", { value })));
  };

  const showCounts = () => {
    const missing = tracklets.map((_, i) => labels.countMissing(i));
    const complete = missing.filter((count) => !count).length;
    const without = tracklets.filter((_, i) => !labels.row(i).split).length;
    $("bar").value = complete / tracklets.length;
    $("done").textContent = `${complete} of ${tracklets.length} tracklets complete, ${without} without a split`;
    missing.forEach((count, i) => {
      $("tracklet").options[i].textContent = `${tracklets[i].name}: ${count ? `${count} missing` : "complete"}`;
    });
    $("tracklet").selectedIndex = at;
  };

  const showKept = () => {
    const where = keeps
      ? "What you enter is kept in this browser on this computer, also over a reload, until you clear its data."
      : "This browser keeps nothing: save labels.csv before you close the page.";
    $("kept").textContent = `${where} ${saved ? "" : "It is not in labels.csv yet."}`;
  };

  const show = () => {
    showAnswers();
    showCounts();
    showKept();
  };

  // ---- Answers and going on ----

  const changed = () => {
    saved = false;
    keep();
    show();
  };

  const answer = (value, number = current) => {
    mark(number);
    const wasComplete = !labels.countMissing(at);
    labels.set(at, fields[current], value);
    changed();
    if (!value || fields[current].kind === "person") return;
    const open = (from) => fields.findIndex((field, i) => i >= from && labels.isMissing(at, field));
    if (wasComplete) mark(Math.min(current + 1, fields.length - 1));
    else if (labels.countMissing(at)) mark(open(current) < 0 ? open(0) : open(current));
    else return goMissing();
    focus();
  };

  const samePerson = () => {
    if (at === 0) return say("There is no tracklet before this one.");
    labels.setPerson(at, labels.row(at - 1).person_id);
    changed();
  };

  const go = (number) => {
    at = (number + tracklets.length) % tracklets.length;
    showFrames();
    show();
    mark(Math.max(0, fields.findIndex((field) => labels.isMissing(at, field))));
  };

  const goMissing = () => {
    const order = tracklets.map((_, i) => (at + 1 + i) % tracklets.length);
    const next = order.find((i) => labels.countMissing(i));
    if (next === undefined) return say("No answer is missing.");
    go(next);
    focus();
  };

  // ---- Files, and what the browser keeps ----

  const keep = () => {
    try {
      const time = new Date().toLocaleString();
      localStorage.setItem(KEPT, JSON.stringify({ rows: labels.table(), saved, time }));
      keeps = true;
    } catch { // full, or switched off
      keeps = false;
    }
  };

  const remember = () => {
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(KEPT));
    } catch { // switched off, or not ours
      keeps = false;
    }
    if (!kept) return;
    labels.take(kept.rows);
    saved = kept.saved;
    say(`Shown is what this browser kept on ${kept.time}. Load labels.csv if that file is newer.`);
  };

  const forget = () => {
    if (!confirm("Forget all answers that this browser keeps, and show the labels.csv that this page was made of?")) return;
    localStorage.removeItem(KEPT);
    location.reload();
  };

  const save = () => {
    const link = make("a", { download: "labels.csv" });
    link.href = URL.createObjectURL(new Blob([formatCsv(labels.table())], { type: "text/csv;charset=utf-8" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    saved = true;
    keep();
    showKept();
    say("labels.csv is where your browser puts downloads. Move it into the folder of this page, over the one there.");
  };

  const load = async () => {
    const [file] = $("file").files;
    if (!file) return;
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      const told = labels.take(parseCsv(text));
      changed();
      say(`${file.name}: ${told}`);
    } catch (error) {
      say(`${file.name} cannot be read: ${error instanceof TypeError ? "save it as CSV UTF-8" : error.message}.`);
    }
    $("file").value = ""; // the same file can be chosen again
  };

  const divide = () => {
    const count = labels.divide();
    changed();
    say(`${counted(count, "person", "people")} without a split: divided.`);
  };

  // ---- Keys ----

  const onKey = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      return save();
    }
    const on = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (on.id === "person") { // its keys are text
      if (event.key === "Escape") { mark(0); focus(); }
      return;
    }
    if (event.key === "Enter" && on.matches("button, summary, select")) return;
    if (event.key.startsWith("Arrow") && on.matches("select")) return;
    const field = fields[current];
    const value = KEYS.slice(0, field.values.length).indexOf(event.key.toLowerCase());
    const actions = {
      ArrowUp: () => { mark(current - 1); focus(); },
      ArrowDown: () => { mark(current + 1); focus(); },
      ArrowLeft: () => { go(at - 1); focus(); },
      ArrowRight: () => { go(at + 1); focus(); },
      Enter: goMissing,
      Delete: () => { if (field.kind !== "person") answer(""); },
      Backspace: () => { if (field.kind !== "person") answer(""); },
      "-": () => { if (field.kind === "attribute") answer("NA"); },
      "=": samePerson,
    };
    if (value < 0 && !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    if (value >= 0) answer(valueOf(field, value));
    else actions[event.key]();
  };

  $("questions").append(...boxes);
  $("questions").addEventListener("submit", (event) => event.preventDefault());
  $("tracklet").append(...tracklets.map(() => make("option")));
  $("tracklet").addEventListener("change", () => go($("tracklet").selectedIndex));
  for (const [id, action] of Object.entries({ save, divide, forget, missing: goMissing })) {
    $(id).addEventListener("click", action);
  }
  $("before").addEventListener("click", () => go(at - 1));
  $("after").addEventListener("click", () => go(at + 1));
  $("load").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", load);
  document.addEventListener("keydown", onKey);
  addEventListener("beforeunload", (event) => { if (!keeps && !saved) event.preventDefault(); });

  labels.take(rows);
  remember();
  go(Math.max(0, tracklets.findIndex((_, i) => labels.countMissing(i))));
  focus();
})();
