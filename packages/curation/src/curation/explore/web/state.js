// What all views share: the overview, the selection, and the address (which is the state of the page).
import { get } from "./api.js";

export const state = { overview: null, selected: new Map(), shown: [] };
const listeners = new Set();
export const onChange = (listener) => listeners.add(listener);
export const changed = (what) => listeners.forEach((listener) => listener(what));

export async function loadOverview() {
  state.overview = await get("/api/overview");
  changed("overview");
}

export function place() {
  const [path, asked = ""] = location.hash.replace(/^#\//, "").split("?");
  return { view: path || "browse", values: Object.fromEntries(new URLSearchParams(asked)) };
}

export function go(view, values = {}) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== false && value != null);
  const asked = new URLSearchParams(kept).toString();
  const hash = `#/${view}${asked ? `?${asked}` : ""}`;
  if (location.hash === hash) changed("place");
  else location.hash = hash;
}

export function open(key) {
  const { view, values } = place();
  go(view, { ...values, key });
}

export function toggle(image, on) {
  if (on ?? !state.selected.has(image.key)) state.selected.set(image.key, image);
  else state.selected.delete(image.key);
  changed("selection");
}

export function clearSelection() {
  state.selected.clear();
  changed("selection");
}
