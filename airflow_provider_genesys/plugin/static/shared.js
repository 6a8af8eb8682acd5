// What both pages share: how to ask, how to write numbers, and how to lead out of the frame that Airflow shows us in.
export const ROOT = new URL("../", import.meta.url);
const AIRFLOW = new URL("../", ROOT);

export const STATUSES = {
  failed: "failed",
  differs: "differs from Genesys' own counts",
  missing: "missing: no run has loaded it",
  running: "running",
  provisional: "agrees with Genesys, once",
  complete: "complete",
  final: "final: agreed twice, a day apart",
};

// Airflow keeps the theme that its user chose; without one the system decides.
export function followTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = localStorage.getItem("theme");
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
}

export async function ask(path) {
  const answer = await fetch(new URL(path, ROOT), { credentials: "same-origin" });
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("You are not logged in. Log in to Airflow, then open this page again.");
  if (answer.status === 403) throw new Error("You may not see this DAG's task instances and XComs.");
  throw new Error(`Airflow answered ${answer.status}. The API server's log says why.`);
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, then] of Object.entries(value)) made.addEventListener(event, then);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const number = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en"));
export const percent = (share) => `${(100 * share).toFixed(share && share < 0.1 ? 2 : 1)} %`;
export const moment = (text) => (text ? text.slice(0, 16).replace("T", " ") : "–");

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = value ? Math.min(4, Math.floor(Math.log10(Math.max(1, value)) / 3)) : 0;
  return `${(value / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Number(seconds).toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

export function window_(load) {
  if (!load.window_start) return "–";
  const whole = /T00:00(:00)?(\+00:00|Z)?$/;
  const day = whole.test(load.window_start) && whole.test(load.window_end || "");
  const length = new Date(load.window_end) - new Date(load.window_start);
  if (day && length === 86_400_000) return element("span", { class: "time" }, load.window_start.slice(0, 10));
  const times = [load.window_start, load.window_end].map((text) => element("span", { class: "time" }, moment(text)));
  return element("span", {}, times[0], " to ", times[1]);
}

// Long names of DAGs and tasks may go on in the next line after each underscore.
export function breakable(text) {
  const pieces = text.split(/(?<=_)/);
  return element("span", {}, ...pieces.flatMap((piece, i) => (i ? [element("wbr"), piece] : [piece])));
}

export const badge = (status) => element("span", { class: `badge is-${status}`, title: STATUSES[status] }, status);

// The frame may not open windows or lead its parent anywhere; a link of the parent's own document may.
export function lead(path, text, attributes = {}) {
  const url = new URL(path, AIRFLOW).toString();
  const follow = (event) => {
    if (window.parent === window) return;
    event.preventDefault();
    const link = window.parent.document.createElement("a");
    link.href = url;
    link.click();
  };
  return element("a", { href: url, on: { click: follow }, ...attributes }, text);
}

const part = encodeURIComponent;
export function taskPath(load) {
  const mapped = load.map_index >= 0 ? `/mapped/${load.map_index}` : "";
  return `dags/${part(load.dag_id)}/runs/${part(load.run_id)}/tasks/${part(load.task_id)}${mapped}`;
}
export const loadPath = (load) => `${taskPath(load)}/plugin/genesys-load`;
export const dagPath = (dagId) => `dags/${part(dagId)}`;
export function apiPath(load) {
  return `api/load/${part(load.dag_id)}/${part(load.run_id)}/${part(load.task_id)}/${load.map_index}`;
}

export function table(caption, columns, rows) {
  const cell = (tag, column, content) => element(tag, { class: column.number ? "number" : null }, content);
  return element(
    "table",
    { "aria-label": caption },
    element("thead", {}, element("tr", {}, ...columns.map((column) => {
      const head = cell("th", column, column.name);
      head.setAttribute("scope", "col");
      return head;
    }))),
    element("tbody", {}, ...rows.map((row) =>
      element("tr", {}, ...columns.map((column) => cell("td", column, column.of(row)))))),
  );
}
