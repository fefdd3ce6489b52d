// Browse with filters, and the answers of a search: the same grid.
import { download, get } from "./api.js";
import { $, el, empty, menu, number, toast } from "./dom.js";
import { go, state } from "./state.js";
import { grid, tile } from "./tiles.js";

const PAGE = 60;

function filters(values) {
  const set = (name) => (value) => go("browse", { ...values, key: "", [name]: value });
  const all = (text) => ({ value: "", text });
  const of = (rows) => rows.map((row) => ({ value: row.name, text: `${row.name}  (${number(row.count)})` }));
  const o = state.overview;
  return el("div", { class: "filters" },
    menu("Decision", [all("in and out"), { value: "kept", text: `in (${number(o.kept)})` },
      { value: "dropped", text: `out (${number(o.dropped)})` }], values.decision ?? "", set("decision")),
    menu("Reason", [all("any reason"), ...of(o.why)], values.why ?? "", set("why")),
    o.sources.length > 1 && menu("Source", [all("all sources"), ...of(o.sources)], values.source ?? "", set("source")),
    o.clusters.length > 0 && menu("Cluster", [all("all clusters"), ...of(o.clusters)], values.cluster ?? "", set("cluster")),
    o.by_hand > 0 && menu("By hand", [all("whoever decided"), { value: "true", text: `by hand (${number(o.by_hand)})` }],
      values.by_hand ?? "", set("by_hand")));
}

function exporter(values, total) {
  const form = el("select", { "aria-label": "Form of the export" },
    [["parquet", "Parquet"], ["csv", "CSV"], ["txt", "file list"]].map(([value, text]) => el("option", { value }, text)));
  const filter = { decision: values.decision ?? "", why: values.why ?? "", source: values.source ?? "",
    cluster: values.cluster ?? "", by_hand: Boolean(values.by_hand) };
  const start = () => download({ form: form.value, filter }).catch((error) => toast(error.message, true));
  return el("div", { class: "export" }, form,
    el("button", { class: "button", type: "button", onclick: start }, `Export ${number(total)}`));
}

export async function browse(values) {
  const asked = { decision: values.decision, why: values.why, source: values.source, cluster: values.cluster, by_hand: values.by_hand };
  let first = 0;
  const page = () => get("/api/images", { ...asked, first, count: PAGE });
  const found = await page();
  const pictures = grid(found.images);
  state.shown = found.images;
  const more = el("button", { class: "button more", type: "button", onclick: load }, "More");
  async function load() {
    more.disabled = true;
    first += PAGE;
    try {
      const next = await page();
      pictures.append(...next.images.map((image) => tile(image)));
      state.shown = state.shown.concat(next.images);
    } catch (error) { toast(error.message, true); }
    more.disabled = false;
    more.hidden = first + PAGE >= found.total;
  }
  more.hidden = PAGE >= found.total;
  const watch = new IntersectionObserver((seen) => { if (seen[0].isIntersecting && !more.hidden && !more.disabled) load(); }, { rootMargin: "600px" });
  watch.observe(more);
  return [el("div", { class: "toolbar" }, filters(values), exporter(values, found.total)),
    found.total ? pictures : empty("Nothing here", "No image passes these filters."), more];
}

export async function search(values, picture) {
  const head = (text, extra) => el("div", { class: "toolbar" }, el("h2", {}, text), extra);
  if (picture) {
    state.shown = picture.images;
    const own = el("img", { class: "asked", src: picture.address, alt: "the picture that was asked for" });
    return [head("Nearest to your picture", own), grid(picture.images)];
  }
  if (values.beginning) {
    const found = await get(`/api/key/${encodeURIComponent(values.beginning)}`);
    state.shown = found.images;
    return [head(`${number(found.total)} keys begin with ${values.beginning}`),
      found.total ? grid(found.images) : empty("No such key", "Keys are 24 hexadecimal digits; the first few are enough.")];
  }
  if (values.like) {
    const found = await get(`/api/neighbours/${values.like}`, { model: $("model").value, count: 120 });
    state.shown = found.images;
    const own = el("img", { class: "asked", src: `/picture/${values.like}?side=128`, alt: "" });
    return [head(`Neighbours by ${$("model").value}`, own), grid(found.images)];
  }
  return [empty("Search", "Type words or the beginning of a key above, or drop a picture anywhere on this page.")];
}
