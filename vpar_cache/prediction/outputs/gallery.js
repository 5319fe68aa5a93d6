"use strict";
(() => {
  const form = document.getElementById("filters");
  const people = document.getElementById("people");
  const search = document.getElementById("search");
  const sort = document.getElementById("sort");
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const cards = [...people.children].map((element, place) => ({
    element,
    place,
    keys: element.dataset.keys.split(" "),
    shares: element.dataset.shares.split(" ").map(Number),
    time: Number(element.dataset.time),
    frames: Number(element.dataset.frames),
    text: element.dataset.text.toLowerCase(),
  }));

  // The chosen values of each group: any of them within a group, all groups.
  const chosen = () => {
    const groups = new Map();
    for (const box of boxes.filter((box) => box.checked)) {
      const group = box.value.split(".")[0];
      groups.set(group, [...(groups.get(group) || []), box.value]);
    }
    return groups;
  };

  const update = () => {
    const groups = chosen();
    const words = search.value.trim().toLowerCase();
    const counts = new Map(boxes.map((box) => [box.value, 0]));
    let count = 0;
    for (const card of cards) {
      const misses = [...groups].filter(([group, keys]) => !keys.includes(card.keys[group])).map(([group]) => group);
      const found = card.text.includes(words);
      card.element.hidden = !found || misses.length > 0;
      count += card.element.hidden ? 0 : 1;
      // Beside a value stands how many a click on it brings: its own group does not narrow it.
      card.keys.forEach((key, group) => {
        if (found && misses.every((missed) => missed === String(group))) counts.set(key, counts.get(key) + 1);
      });
      card.sure = [...groups.keys()].reduce((product, group) => product * card.shares[group], 1);
    }
    const orders = {
      time: (a, b) => a.time - b.time,
      sure: (a, b) => b.sure - a.sure,
      frames: (a, b) => b.frames - a.frames,
    };
    const sorted = [...cards].sort((a, b) => orders[sort.value](a, b) || a.place - b.place);
    if (sorted.some((card, place) => card.element !== people.children[place])) {
      people.append(...sorted.map((card) => card.element));
    }
    for (const box of boxes) box.parentElement.querySelector(".count").textContent = counts.get(box.value);
    document.getElementById("shown").textContent = `${count} of ${cards.length} people`;
    document.getElementById("none").hidden = count > 0;
    const state = new URLSearchParams();
    const keys = [...groups.values()].flat();
    if (keys.length) state.set("show", keys.join(","));
    if (words) state.set("find", search.value.trim());
    if (sort.value !== "time") state.set("order", sort.value);
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  };

  const restore = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const keys = (state.get("show") || "").split(",");
    for (const box of boxes) box.checked = keys.includes(box.value);
    search.value = state.get("find") || "";
    sort.value = ["sure", "frames"].includes(state.get("order")) ? state.get("order") : "time";
    update();
  };

  form.addEventListener("input", update);
  form.addEventListener("change", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", restore);
  form.hidden = cards.length === 0; // without this script the page has all people, and no filters
  restore();
})();
