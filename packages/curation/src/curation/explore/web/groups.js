// Groups of duplicates: the largest, or the loosest, each as a card; one opened shows all of its images.
import { get } from "./api.js";
import { el, empty, menu, number, toast } from "./dom.js";
import { go, open, state } from "./state.js";
import { tile } from "./tiles.js";

const PAGE = 16;

function card(group) {
  const rest = group.size - group.images.length;
  return el("section", { class: "card", "data-group": group.name },
    el("header", {}, el("b", {}, `${number(group.size)} images`),
      group.inner == null ? null : el("span", { class: "muted", title: "lowest cosine between two of its images" },
        `lowest cosine ${group.inner.toFixed(3)}`),
      el("button", { class: "link open", type: "button", onclick: () => open(group.name) }, "open")),
    el("div", { class: "strip" }, group.images.map((image) => tile(image, 128)),
      rest > 0 ? el("button", { class: "rest", type: "button", onclick: () => open(group.name) }, `+${number(rest)}`) : null));
}

export async function groups(values) {
  const by = values.by ?? "size";
  let first = 0;
  const page = () => get("/api/groups", { by, first, count: PAGE });
  const found = await page();
  state.shown = found.groups.flatMap((group) => group.images);
  const cards = el("div", { class: "cards" }, found.groups.map(card));
  const more = el("button", { class: "button more", type: "button", onclick: load }, "More");
  async function load() {
    more.disabled = true;
    first += PAGE;
    try { cards.append(...(await page()).groups.map(card)); } catch (error) { toast(error.message, true); }
    more.disabled = false;
    more.hidden = first + PAGE >= found.total;
  }
  more.hidden = PAGE >= found.total;
  if (!found.total) return [empty("No duplicates", "Nothing was grouped, or `curate dedup` has not run yet.")];
  const sorted = menu("Sorted by", [{ value: "size", text: "size, the largest first" },
    { value: "loosest", text: "doubt, the loosest first" }], by, (value) => go("groups", { by: value }));
  return [el("div", { class: "toolbar" }, el("h2", {}, `${number(found.total)} groups of duplicates`), sorted), cards, more];
}
