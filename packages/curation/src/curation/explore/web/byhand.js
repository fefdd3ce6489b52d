// All decisions by hand, the newest first.
import { get } from "./api.js";
import { el, empty, number, toast } from "./dom.js";
import { open } from "./state.js";
import { takeBack } from "./detail.js";

function line(said) {
  const undo = () => takeBack([said.key]).catch((error) => toast(error.message, true));
  const short = (key) => el("button", { class: "link key", type: "button", onclick: () => open(key) }, key.slice(0, 10));
  return el("tr", {}, el("td", {}, el("img", { src: `/picture/${said.key}?side=128`, alt: "", loading: "lazy" })),
    el("td", {}, short(said.key)),
    el("td", {}, el("span", { class: `badge ${said.action === "keep" ? "in" : said.action === "drop" ? "out" : "open"}` }, said.action),
      said.into ? [" into ", short(said.into)] : null),
    el("td", {}, said.note), el("td", { class: "muted" }, `${said.at.slice(0, 16).replace("T", " ")} UTC`),
    el("td", {}, el("button", { class: "button", type: "button", onclick: undo }, "Take back")));
}

export async function byHand() {
  const found = await get("/api/overrides");
  if (!found.total) return [empty("Nothing decided by hand", "Open an image and keep, drop or split it; choose several to merge them. `curate build` honours it.")];
  return [el("div", { class: "toolbar" }, el("h2", {}, `${number(found.total)} decisions by hand`)),
    el("table", { class: "said" }, el("tbody", {}, found.overrides.map(line)))];
}
