// A tile per image: picture, cosine, whether it is in, a box to choose it.
import { el } from "./dom.js";
import { open, state, toggle } from "./state.js";

const FATE = { 1: ["in", "in"], 0: ["out", "out"], "-1": ["open", "undecided"] };

export function badge(image) {
  const [kind, text] = FATE[image.kept];
  return el("span", { class: `badge ${kind}`, title: image.reason ?? "" }, image.by_hand ? `${text} ✎` : text);
}

export function tile(image, side = 256) {
  const picture = el("img", { src: `/picture/${image.key}?side=${side}`, alt: "", loading: "lazy", decoding: "async" });
  picture.addEventListener("error", () => picture.replaceWith(el("span", { class: "gone" }, "gone")));
  const box = el("input", {
    type: "checkbox", checked: state.selected.has(image.key), title: "Choose",
    "aria-label": `Choose ${image.key}`, onchange: (event) => toggle(image, event.target.checked),
  });
  return el("figure", { class: `tile ${FATE[image.kept][0]}`, "data-key": image.key },
    el("button", { class: "picture", title: image.reason ?? image.key, "aria-label": `Open ${image.key}`,
      onclick: (event) => (event.shiftKey || event.ctrlKey ? toggle(image) : open(image.key)) }, picture),
    box,
    el("figcaption", {}, image.cosine == null ? null : el("b", {}, image.cosine.toFixed(3)), badge(image),
      el("span", { class: "size" }, `${image.width}×${image.height}`)));
}

export function grid(images) {
  return el("div", { class: "grid" }, images.map((image) => tile(image)));
}

export function syncBoxes(root) {
  for (const figure of root.querySelectorAll(".tile")) {
    const on = state.selected.has(figure.dataset.key);
    figure.classList.toggle("chosen", on);
    figure.querySelector("input").checked = on;
  }
}
