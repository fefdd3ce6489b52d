// Elements without markup: text from the data can never become tags.
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

export const $ = (id) => document.getElementById(id);
export const number = (value) => value.toLocaleString("en");

let hiding = 0;
export function toast(text, bad = false) {
  const box = $("toast");
  box.textContent = text;
  box.className = bad ? "bad" : "";
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { box.hidden = true; }, bad ? 8000 : 3500);
}

export function empty(title, text) {
  return el("div", { class: "empty" }, el("h2", {}, title), el("p", {}, text));
}

export function menu(label, options, value, onchange) {
  const choice = el("select", { onchange: (event) => onchange(event.target.value) },
    options.map((option) => el("option", { value: option.value, selected: option.value === value }, option.text)));
  return el("label", { class: "field" }, el("span", {}, label), choice);
}
