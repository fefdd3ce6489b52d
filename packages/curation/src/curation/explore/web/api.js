// Requests to the explorer's own server. Every failure is a sentence.
async function answer(response) {
  if (response.ok) return response;
  let sentence = `the server answered ${response.status}`;
  try { sentence = (await response.json()).error ?? sentence; } catch { /* the status will do */ }
  throw new Error(sentence);
}

function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== false && value != null);
  return new URLSearchParams(kept).toString();
}

export async function get(path, values = {}) {
  const asked = query(values);
  return (await answer(await fetch(asked ? `${path}?${asked}` : path))).json();
}

async function send(path, body, headers) {
  return answer(await fetch(path, { method: "POST", body, headers: { "X-Winnow": "1", ...headers } }));
}

export async function post(path, value) {
  return (await send(path, JSON.stringify(value), { "Content-Type": "application/json" })).json();
}

export async function postPicture(file, model) {
  const path = `/api/search/picture?${query({ model })}`;
  return (await send(path, file, { "Content-Type": "application/octet-stream" })).json();
}

export async function download(value) {
  const response = await send("/api/export", JSON.stringify(value), { "Content-Type": "application/json" });
  const name = /filename=(\S+)/.exec(response.headers.get("Content-Disposition"))?.[1] ?? "winnow-export";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
