"use strict";
const maps = JSON.parse(document.getElementById("maps").textContent);
const short = (value) => String(Number(value.toPrecision(4)));

function show(name, choice) {
  const svg = document.getElementById(name);
  const { signed, limits, values } = maps[name];
  const cells = svg.querySelectorAll(".cells rect");
  const last = svg.querySelectorAll(".bar rect").length - 1;
  const limit = limits[choice];
  cells.forEach((cell, at) => {
    const value = values[choice][at];
    const share = signed ? (value / limit + 1) / 2 : value / limit;
    const level = Math.min(last, Math.max(0, Math.floor(share * last + 0.5)));
    cell.setAttribute("class", svg.dataset.scheme + level);
    const title = cell.firstChild;
    title.textContent = title.textContent.slice(0, title.textContent.lastIndexOf(": ") + 2) + short(value);
  });
  svg.querySelector(".high").textContent = short(limit);
  if (signed) svg.querySelector(".low").textContent = short(-limit);
}

function describe(name, choice) {
  const svg = document.getElementById(name);
  const values = maps[name].values[choice];
  const ends = "entries from " + short(Math.min(...values)) + " to " + short(Math.max(...values));
  const label = svg.getAttribute("aria-label");
  svg.setAttribute("aria-label", label.slice(0, label.lastIndexOf("entries from ")) + ends);
}

for (const select of document.querySelectorAll("select[data-maps]")) {
  const names = select.dataset.maps.split(" ");
  const update = () => names.forEach((name) => {
    show(name, Number(select.value));
    describe(name, Number(select.value));
  });
  select.addEventListener("change", update);
  select.parentElement.hidden = select.options.length < 2;
  if (select.value !== "0") update();
}

function read(event) {
  const cell = event.target.closest(".cells rect");
  if (!cell) return;
  const block = cell.closest("details") || cell.closest(".scroll").parentElement;
  const lines = [...block.querySelectorAll(".reading")];
  const after = (line) => cell.compareDocumentPosition(line) & Node.DOCUMENT_POSITION_FOLLOWING;
  const line = lines.find(after);
  if (line) line.textContent = cell.firstChild.textContent;
}
document.addEventListener("pointerover", read);
document.addEventListener("click", read);
