// The frame of the page: tabs, search, what the address asks for.
import { post, postPicture } from "./api.js";
import { bar } from "./bar.js";
import { browse, search } from "./browse.js";
import { byHand } from "./byhand.js";
import { close, show } from "./detail.js";
import { $, el, empty, number, toast } from "./dom.js";
import { groups } from "./groups.js";
import { map } from "./map.js";
import { go, loadOverview, onChange, place, state } from "./state.js";
import { grid, syncBoxes } from "./tiles.js";

const VIEWS = { browse, search: (values) => search(values, picture), words, map, groups, byhand: byHand };
const TABS = [["browse", "Browse"], ["map", "Map"], ["groups", "Duplicates"], ["byhand", "By hand"]];
let picture = null;
let drawn = "";
let turn = 0;

async function words(values) {
  const found = await post("/api/search/words", { words: values.words, model: $("model").value });
  state.shown = found.images;
  return [el("div", { class: "toolbar" }, el("h2", {}, `Nearest to “${values.words}”`)), grid(found.images)];
}

function stats() {
  const o = state.overview;
  $("name").textContent = o.name;
  document.title = `${o.name} – Winnow explorer`;
  const chip = (value, text, kind, target) => el("button", { class: `chip ${kind}`, type: "button", onclick: () => go(...target) }, el("b", {}, number(value)), ` ${text}`);
  const share = el("div", { class: "share", title: "in and out" }, el("i", { class: "in" }), el("i", { class: "out" }));
  share.children[0].style.flexGrow = o.kept;
  share.children[1].style.flexGrow = o.dropped;
  $("stats").replaceChildren(chip(o.images, "images", "", ["browse"]), chip(o.kept, "in", "in", ["browse", { decision: "kept" }]),
    chip(o.dropped, "out", "out", ["browse", { decision: "dropped" }]), chip(o.groups, "groups", "", ["groups"]),
    chip(o.by_hand, "by hand", "", ["byhand"]), share);
  if ($("model").options.length === 0) {
    $("model").append(...o.models.map((model) => el("option", { value: model.name }, model.name)));
    $("model").hidden = o.models.length === 0;
  }
}

function tabs(view) {
  $("tabs").replaceChildren(...TABS.map(([name, text]) => el("a", { href: `#/${name}`, "aria-current": name === view ? "page" : "false" }, text)));
}

async function draw(force = false) {
  const { view, values } = place();
  const { key, ...rest } = values;
  tabs(view);
  const wanted = JSON.stringify([view, rest, view === "search" ? picture?.address : ""]);
  const now = ++turn;
  if (force || wanted !== drawn) {
    drawn = wanted;
    if (!force) { $("view").replaceChildren(el("div", { class: "loading" })); scrollTo(0, 0); }
    let shown;
    try { shown = await (VIEWS[view] ?? browse)(rest); } catch (error) { shown = [empty("That did not work", error.message)]; }
    if (now !== turn && !force) return;
    const seen = scrollY;
    $("view").replaceChildren(...shown.filter(Boolean));
    $("view").className = view;
    if (force) scrollTo(0, seen);
  }
  await show(key);
  syncBoxes(document);
}

async function byPicture(file) {
  if (!file) return;
  try {
    const found = await postPicture(file, $("model").value);
    if (picture) URL.revokeObjectURL(picture.address);
    picture = { ...found, address: URL.createObjectURL(file) };
    go("search", {});
  } catch (error) { toast(error.message, true); }
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("query").value.trim();
  picture = null;
  if (/^[0-9a-f]{4,24}$/i.test(text)) go("search", { beginning: text.toLowerCase(), key: text.length === 24 ? text.toLowerCase() : "" });
  else if (text) go("words", { words: text });
});
$("file").addEventListener("change", (event) => { byPicture(event.target.files[0]); event.target.value = ""; });
$("model").addEventListener("change", () => { picture = null; draw(true); });
addEventListener("dragover", (event) => { event.preventDefault(); $("drop").hidden = false; });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
addEventListener("drop", (event) => { event.preventDefault(); $("drop").hidden = true; byPicture(event.dataTransfer.files[0]); });
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("detail").hidden) close();
  if (event.key === "/" && !/INPUT|SELECT/.test(document.activeElement.tagName)) { event.preventDefault(); $("query").focus(); }
});
addEventListener("hashchange", () => draw());
onChange((what) => {
  if (what === "overview") stats();
  if (what === "place") draw();
  if (what === "selection") { bar(); syncBoxes(document); }
  if (what === "decisions") { stats(); draw(true); }
});

try {
  await loadOverview();
  await draw();
  document.body.dataset.ready = "yes";
} catch (error) {
  $("view").replaceChildren(empty("The explorer does not answer", error.message));
}
