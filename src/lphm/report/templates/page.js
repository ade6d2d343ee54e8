"use strict";
const maps = JSON.parse(document.getElementById("maps").textContent);
const short = (value) => String(Number(value.toPrecision(4)));

function show(name, choice) {
  const svg = document.getElementById(name);
  const { lowest, limits, values } = maps[name];
  svg.style.setProperty("--limit", limits[choice]);
  svg.querySelectorAll(".cells rect").forEach((cell, at) => {
    const value = values[choice][at];
    cell.style.setProperty("--value", value);
    const title = cell.firstChild;
    title.textContent = title.textContent.slice(0, title.textContent.lastIndexOf(": ") + 2) + short(value);
  });
  svg.querySelector(".high").textContent = short(limits[choice]);
  svg.querySelector(".low").textContent = short(lowest * limits[choice]);
  const range = `entries from ${short(Math.min(...values[choice]))} to ${short(Math.max(...values[choice]))}`;
  svg.setAttribute("aria-label", svg.getAttribute("aria-label").replace(/entries from \S+ to \S+$/, range));
}

for (const select of document.querySelectorAll("select[data-maps]")) {
  const update = () => select.dataset.maps.split(" ").forEach((name) => show(name, Number(select.value)));
  select.addEventListener("change", update);
  select.parentElement.hidden = select.options.length < 2;
  if (select.value !== "0") update();
}

function read(event) {
  const cell = event.target.closest(".cells rect");
  if (cell) cell.closest(".panel").querySelector(".reading").textContent = cell.firstChild.textContent;
}
document.addEventListener("pointerover", read);
document.addEventListener("click", read);
