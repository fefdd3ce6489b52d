// One image: large, why it is in or out, its group, its neighbours, decisions over it.
import { get, post } from "./api.js";
import { $, el, number, toast } from "./dom.js";
import { changed, go, open, place, state, toggle } from "./state.js";
import { badge, tile } from "./tiles.js";

const SAID = { keep: "kept by hand", drop: "dropped by hand", merge: "merged by hand", split: "split from its group by hand" };

export function close() {
  const { view, values } = place();
  go(view, { ...values, key: "" });
}

export async function decide(action, keys, note, into) {
  state.overview = await post("/api/overrides", { action, keys, note, into: into ?? null });
  toast(`${number(keys.length)} ${keys.length === 1 ? "image" : "images"}: ${SAID[action]}; build will honour it`);
  changed("decisions");
}

export async function takeBack(keys) {
  state.overview = await post("/api/overrides/remove", { keys });
  toast("taken back");
  changed("decisions");
}

function explanation(lines) {
  const keyed = /([0-9a-f]{24})/;
  return el("div", { class: "why" }, lines.slice(1).map((line) => {
    const parts = line.trim().split(keyed);
    return el("p", { class: line.startsWith("    ") ? "inner" : "" }, parts.map((part) => (keyed.test(part) && part.length === 24
      ? el("button", { class: "link key", type: "button", onclick: () => open(part) }, part.slice(0, 10)) : part)));
  }));
}

function actions(image) {
  const note = el("input", { class: "note", placeholder: "Note (why?)", maxLength: 500, "aria-label": "Note" });
  const run = (action, into) => () => decide(action, [image.key], note.value, into).catch((error) => toast(error.message, true));
  const undo = () => takeBack([image.key]).catch((error) => toast(error.message, true));
  return el("div", { class: "actions" }, note,
    el("div", { class: "buttons" },
      el("button", { class: "button in", type: "button", id: "keep", onclick: run("keep") }, "Keep"),
      el("button", { class: "button out", type: "button", id: "drop-it", onclick: run("drop") }, "Drop"),
      image.group_size > 1 && el("button", { class: "button", type: "button", id: "split", onclick: run("split") }, "Split from group"),
      image.overrides.length > 0 && el("button", { class: "button", type: "button", id: "undo", onclick: undo }, "Take back"),
      el("button", { class: "button", type: "button", onclick: () => toggle(image) }, state.selected.has(image.key) ? "Chosen ✓" : "Choose")));
}

function copyable(text) {
  const copy = async () => { await navigator.clipboard?.writeText(text); toast("copied"); };
  return el("button", { class: "link path", type: "button", title: "Copy", onclick: copy }, text);
}

export async function show(key) {
  const panel = $("detail");
  if (!key) { panel.hidden = true; panel.replaceChildren(); document.body.classList.remove("detailed"); return; }
  let image;
  try { image = await get(`/api/image/${key}`); } catch (error) { toast(error.message, true); close(); return; }
  const near = el("div", { class: "strip wrap", id: "neighbours" });
  const heading = el("h3", {}, "Neighbours");
  panel.replaceChildren(
    el("div", { class: "head" }, el("code", {}, image.key), badge(image),
      el("button", { class: "close", type: "button", title: "Close (Esc)", "aria-label": "Close", onclick: close }, "×")),
    el("div", { class: "large" }, el("img", { src: `/picture/${image.key}?side=1024`, alt: "" })),
    el("p", { class: `verdict ${image.kept === 1 ? "in" : "out"}` }, image.lines[0].replace(image.key, "").trim()),
    actions(image),
    el("h3", {}, "Why"), explanation(image.lines),
    el("p", { class: "muted" }, `${image.width} × ${image.height} px · `, copyable(image.uri)),
    ...(image.group_size > 1 ? [
      el("h3", {}, `Its group, ${number(image.group_size)} images`),
      el("div", { class: "strip wrap", id: "group" }, image.group.map((one) => tile(one, 128)))] : []),
    heading, near);
  panel.hidden = false;
  panel.scrollTop = 0;
  document.body.classList.add("detailed");
  changed("selection");
  if (!state.overview.models.length) { near.append("no vectors yet: curate embed"); return; }
  try {
    const model = $("model").value;
    const found = await get(`/api/neighbours/${key}`, { model, count: 18 });
    heading.append(el("span", { class: "muted" }, ` by ${model}`),
      el("button", { class: "link", type: "button", onclick: () => go("search", { like: key, key }) }, "more"));
    near.append(...found.images.map((one) => tile(one, 128)));
    changed("selection");
  } catch (error) { near.append(error.message); }
}

