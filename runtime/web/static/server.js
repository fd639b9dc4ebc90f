// Requests to the line. Every address is relative, so that a proxy may serve the page from a folder of its own.

const LIMIT_MS = 5000;

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(LIMIT_MS), credentials: "same-origin" });
  if (answer.status === 401) location.reload(); // the token is asked for
  if (answer.ok || answer.status === 304) return answer;
  let told = `the line answered ${answer.status}`;
  try { told = (await answer.json()).error ?? told; } catch { /* no JSON */ }
  throw Object.assign(new Error(told), { status: answer.status });
}

// Who acts, for the line's audit; as a header may hold it.
export const who = {
  get name() { try { return localStorage.getItem("name") ?? ""; } catch { return ""; } },
  set name(text) { try { localStorage.setItem("name", text); } catch { /* not kept */ } },
};

export const get = async (path) => (await ask(path)).json();

export const post = async (path, data) =>
  (await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Wordsight": "1", "X-Name": encodeURIComponent(who.name) },
    body: JSON.stringify(data),
  })).json();

export async function picture(path) {
  const answer = await ask(path);
  if (answer.status === 304) return null;
  const told = (name) => answer.headers.get(name);
  return { number: Number(told("X-Frame")), score: Number(told("X-Score")), decision: told("X-Decision"), blob: await answer.blob() };
}

export const part = encodeURIComponent;
