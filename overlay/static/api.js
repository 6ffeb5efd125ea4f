// HTTP requests to the server.

/** GET, or POST if there is a body. Returns the JSON, null for an empty answer; throws an Error with one plain line and a code. */
export async function request(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
  } catch {
    throw new Error("Not connected: the server does not answer.");
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.text ?? "That did not work."), { code: said.code });
  return said;
}

export const recordUrl = (record, what = "") => `/api/records/${encodeURIComponent(record)}${what}`;

/** "today 10:14", "3 Nov 09:00" */
export function dayAndTime(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 86_400_000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return `${days === 0 ? "today" : days === 1 ? "yesterday" : date.toLocaleDateString([], { day: "numeric", month: "short", year: days > 300 ? "numeric" : undefined })} ${time}`;
}
