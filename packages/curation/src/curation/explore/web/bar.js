// What can be done with the chosen images.
import { download } from "./api.js";
import { $, el, number, toast } from "./dom.js";
import { clearSelection, state, toggle } from "./state.js";
import { decide, takeBack } from "./detail.js";

export function bar() {
  const box = $("bar");
  const keys = [...state.selected.keys()];
  box.hidden = keys.length === 0;
  if (box.hidden) { box.replaceChildren(); return; }
  const written = box.querySelector(".note")?.value ?? "";
  const note = el("input", { class: "note", placeholder: "Note (why?)", maxLength: 500, value: written, "aria-label": "Note for the chosen" });
  const run = (work) => async () => {
    try { await work(); clearSelection(); } catch (error) { toast(error.message, true); }
  };
  const act = (action, text, kind, into) => el("button", { class: `button ${kind}`, type: "button", "data-act": action,
    onclick: run(() => decide(action, keys.filter((key) => key !== into), note.value, into)) }, text);
  const form = el("select", { "aria-label": "Form of the export" },
    [["parquet", "Parquet"], ["csv", "CSV"], ["txt", "file list"]].map(([value, text]) => el("option", { value }, text)));
  const merge = act("merge", "Merge", "", keys[0]);
  merge.title = "One group of them all; the group of the first chosen keeps its kept image";
  merge.disabled = keys.length < 2;
  box.replaceChildren(
    el("div", { class: "picked" }, [...state.selected.values()].slice(0, 8).map((image) => el("img", { src: `/picture/${image.key}?side=128`, alt: "" }))),
    el("b", {}, `${number(keys.length)} chosen`), note,
    act("keep", "Keep", "in"), act("drop", "Drop", "out"), merge, act("split", "Split", ""),
    el("button", { class: "button", type: "button", onclick: run(() => takeBack(keys)) }, "Take back"),
    el("span", { class: "gap" }), form,
    el("button", { class: "button", type: "button", onclick: () => download({ form: form.value, keys }).catch((error) => toast(error.message, true)) }, "Export"),
    el("button", { class: "link", type: "button", onclick: () => state.shown.forEach((image) => toggle(image, true)) }, "choose all shown"),
    el("button", { class: "link", type: "button", onclick: clearSelection }, "clear"));
}
