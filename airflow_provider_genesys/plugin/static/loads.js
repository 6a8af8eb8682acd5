// The page of all loads.
import * as shared from "./shared.js";

const { element, number, lead } = shared;
const STATUSES = Object.keys(shared.STATUSES); // the worst first
const MEASURES = {
  records: ["Records read", (load) => load.counts?.read ?? null],
  bytes: ["Bytes read", (load) => load.bytes_read],
  seconds: ["Seconds of the last attempt", (load) => load.seconds],
  dead_letter_share: ["Share of records rejected, in percent", (load) => 100 * load.dead_letter_share],
  drift: ["Records that differ from the contract", (load) => load.drift],
};
const COLOURS = ["#2d7fd3", "#1f9a8a", "#8d63c9", "#c05600", "#b0892c", "#c22f2f", "#5b6b7d", "#3f9e4d"];
const DAY = 86_400_000;
const MOST_DAYS = 800;
const MOST_ROWS = 200;

const at = (id) => document.getElementById(id);
const filters = at("filters");
const chosen = (name) => filters.elements[name].value;
let data = null;
let chart = null;

const dayOf = (load) => (load.window_start || load.started_at || "").slice(0, 10);

function matches(load) {
  const day = dayOf(load);
  return (
    ["dag_id", "kind", "sink"].every((name) => !chosen(name) || load[name] === chosen(name)) &&
    (!chosen("from") || day >= chosen("from")) &&
    (!chosen("to") || day <= chosen("to"))
  );
}

function fill(name, values) {
  const select = filters.elements[name];
  const before = select.value || new URLSearchParams(location.search).get(name) || "";
  select.replaceChildren(element("option", { value: "" }, "all"));
  for (const value of [...new Set(values)].filter(Boolean).sort()) select.append(element("option", { value }, value));
  select.value = [...select.options].some((option) => option.value === before) ? before : "";
}

const worst = (loads) => STATUSES.find((status) => loads.some((load) => load.status === status));

function days(loads) {
  const all = loads.map(dayOf).filter(Boolean).sort();
  if (!all.length) return [];
  const last = Date.parse(all.at(-1));
  const first = Math.max(Date.parse(all[0]), last - MOST_DAYS * DAY);
  return Array.from({ length: (last - first) / DAY + 1 }, (_, i) => new Date(first + i * DAY).toISOString().slice(0, 10));
}

function calendar(loads) {
  const columns = days(loads);
  const byPlace = Map.groupBy
    ? Map.groupBy(loads, (load) => `${load.kind} ${dayOf(load)}`)
    : loads.reduce((map, load) => {
        const place = `${load.kind} ${dayOf(load)}`;
        return map.set(place, [...(map.get(place) || []), load]);
      }, new Map());
  const kinds = [...new Set(loads.map((load) => load.kind))].sort();
  const heads = columns.map((day, i) => {
    const month = i === 0 || day.endsWith("-01");
    return element("th", { scope: "col", class: month ? "month" : null, "aria-label": day }, month ? day.slice(0, 7) : "");
  });
  // A month's name takes the room of the days after it.
  const head = [];
  for (const cell of heads) {
    if (cell.textContent || !head.length) head.push(cell);
    else head.at(-1).colSpan += 1;
  }
  const rows = kinds.map((kind, y) =>
    element("tr", {}, element("th", { scope: "row" }, kind), ...columns.map((day, x) => {
      const here = byPlace.get(`${kind} ${day}`);
      if (!here) return element("td", { role: "gridcell" }, element("span", { class: "cell none" }));
      const status = worst(here);
      const name = `${kind}, ${day}: ${status}, ${here.length === 1 ? "1 load" : `${here.length} loads`}`;
      const cell = { type: "button", class: `cell ${status}`, title: name, "aria-label": name, "data-x": x, "data-y": y };
      const open = { click: () => showDay(kind, day, here) };
      return element("td", { role: "gridcell" }, element("button", { ...cell, tabindex: "-1", on: open }));
    })));
  const grid = element(
    "table",
    { class: "calendar", role: "grid", "aria-label": "Kinds by day of the window", on: { keydown: move } },
    element("thead", {}, element("tr", {}, element("th", {}, ""), ...head)),
    element("tbody", {}, ...rows),
  );
  grid.querySelector("button")?.setAttribute("tabindex", "0");
  at("calendar").replaceChildren(grid);
  at("calendar").scrollLeft = at("calendar").scrollWidth;
}

// One stop of the Tab key; the arrow keys go from load to load.
function move(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const from = event.target.dataset;
  if (!step || from.x === undefined) return;
  event.preventDefault();
  const cells = [...event.currentTarget.querySelectorAll("button")];
  const ahead = cells
    .map((cell) => [cell, Number(cell.dataset.x) - Number(from.x), Number(cell.dataset.y) - Number(from.y)])
    .filter(([, x, y]) => (step[0] ? y === 0 && x * step[0] > 0 : y * step[1] > 0))
    .sort(([, x1, y1], [, x2, y2]) => Math.abs(y1) - Math.abs(y2) || Math.abs(x1) - Math.abs(x2));
  if (!ahead.length) return;
  event.target.setAttribute("tabindex", "-1");
  ahead[0][0].setAttribute("tabindex", "0");
  ahead[0][0].focus();
}

const task = (load) =>
  shared.breakable(`${load.dag_id} · ${load.task_id}${load.map_index >= 0 ? ` [${load.map_index}]` : ""}`);

const COLUMNS = [
  { name: "Status", of: (load) => shared.badge(load.status) },
  { name: "Window (UTC)", of: shared.window_ },
  { name: "Task", of: (load) => (load.run_id ? lead(shared.loadPath(load), task(load)) : task(load)) },
  { name: "Kind", of: (load) => load.kind },
  { name: "Sink", of: (load) => load.sink },
  { name: "Read", number: true, of: (load) => number(load.counts?.read) },
  { name: "Written", number: true, of: (load) => number(load.counts?.written) },
  { name: "Rejected", number: true, of: (load) => number(load.counts?.dead_letters) },
  { name: "Took", number: true, of: (load) => shared.duration(load.seconds) },
];

function showDay(kind, day, loads) {
  at("day").replaceChildren(
    element("h3", {}, `${kind}, ${day}`),
    element("div", { class: "scroll" }, shared.table(`Loads of ${kind} on ${day}`, COLUMNS, loads)),
  );
}

function attention(entries) {
  const columns = [
    { name: "Status", of: (entry) => shared.badge(entry.status) },
    { name: "Window (UTC)", of: shared.window_ },
    { name: "Task", of: (entry) => lead(entry.run_id ? shared.loadPath(entry) : shared.dagPath(entry.dag_id), task(entry)) },
    { name: "What happened", of: (entry) => entry.why.slice(0, 1).toUpperCase() + entry.why.slice(1) },
    { name: "What to do", of: (entry) => entry.todo },
  ];
  const shown = entries.slice(0, MOST_ROWS);
  const more = entries.length - shown.length;
  at("attention").replaceChildren(
    entries.length
      ? element("div", { class: "scroll" }, shared.table("What needs a person, the worst first", columns, shown))
      : element("p", {}, "Nothing does."),
    more > 0 ? element("p", {}, `${number(more)} more; narrow the filters to see them.`) : "",
    ...backfills(entries.filter((entry) => entry.status === "missing")),
  );
}

// Airflow's form for backfills takes no dates from a link, so they are shown beside it, and as a command.
function backfills(missing) {
  const dags = [...new Set(missing.map((entry) => entry.dag_id))].sort();
  return dags.flatMap((dag) => {
    const here = missing.filter((entry) => entry.dag_id === dag).map((entry) => entry.window_start).sort();
    const lasts = missing.filter((entry) => entry.dag_id === dag).map((entry) => entry.last_start).sort();
    const [first, last] = [here[0], lasts.at(-1)].map((text) => `${new Date(text).toISOString().slice(0, 16)}Z`);
    return [
      element("p", {}, lead(shared.dagPath(dag), `Backfill what is missing of ${dag}`),
        ": click Trigger, then Backfill, and fill in ", time(first), " to ", time(last), ' and "Missing Runs". Or run:'),
      command(`airflow backfill create --dag-id ${dag} --from-date ${first} --to-date ${last}`),
    ];
  });
}

const time = (text) => element("span", { class: "time" }, shared.moment(text));

function command(text) {
  const code = element("code", {}, text);
  const copy = () => {
    getSelection().selectAllChildren(code);
    navigator.clipboard?.writeText(text).then(() => { button.textContent = "Copied"; }, () => {});
  };
  const button = element("button", { type: "button", on: { click: copy } }, "Copy");
  return element("div", { class: "command" }, code, button);
}

function snapshots(entries) {
  const counted = (name) => ({ name: name[0].toUpperCase() + name.slice(1), number: true, of: (entry) => number(entry.snapshot[name]) });
  const columns = [
    { name: "Entity", of: (entry) => lead(shared.loadPath(entry), entry.kind) },
    { name: "Sink", of: (entry) => entry.sink },
    { name: "Read at (UTC)", of: (entry) => shared.moment(entry.ended_at) },
    ...["present", "new", "changed", "returned", "deleted"].map(counted),
  ];
  at("snapshots").replaceChildren(shared.table("Newest snapshot of each listing", columns, entries));
}

function draw(loads) {
  const [label, of] = MEASURES[at("measure").value];
  const done = loads.filter((load) => load.counts && dayOf(load));
  const kinds = [...new Set(done.map((load) => load.kind))].sort();
  const times = [...new Set(done.map((load) => Date.parse(load.window_start || load.started_at) / 1000))].sort((a, b) => a - b);
  const place = new Map(times.map((time, i) => [time, i]));
  const lines = kinds.map((kind) => {
    const line = new Array(times.length).fill(null);
    for (const load of done) {
      if (load.kind === kind) line[place.get(Date.parse(load.window_start || load.started_at) / 1000)] = of(load);
    }
    return line;
  });
  chart?.destroy();
  at("chart").replaceChildren();
  at("chart").setAttribute("role", "img");
  at("chart").setAttribute("aria-label", `${label} by window, a line for each kind: ${kinds.join(", ")}`);
  const colour = getComputedStyle(document.body).color;
  const axis = { stroke: colour, grid: { stroke: "rgba(128,128,128,.25)" }, ticks: { stroke: "rgba(128,128,128,.4)" } };
  const series = kinds.map((kind, i) => ({ label: kind, stroke: COLOURS[i % COLOURS.length], width: 2, spanGaps: true }));
  chart = new uPlot(
    {
      title: label,
      width: Math.max(320, at("chart").clientWidth),
      height: 260,
      padding: [null, 40, null, null], // room for the last date
      tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
      scales: {
        // uPlot would draw a single window at the edge of three years.
        x: { range: (_, first, last) => (times.length === 1 ? [first - 3 * 86400, first + 3 * 86400] : [first, last]) },
        y: { range: (_, least, most) => [Math.min(0, least), most || 1] },
      },
      axes: [
        { ...axis, values: "{YYYY}-{MM}-{DD}", space: 100, incrs: [1, 2, 7, 14, 28, 91, 182, 364].map((days) => days * 86400) },
        { ...axis, size: 80 },
      ],
      series: [{ label: "Window", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...series],
    },
    [times, ...lines],
    at("chart"),
  );
}

function show() {
  const loads = data.loads.filter(matches);
  const missing = data.missing.filter(matches);
  const windows = [...loads, ...missing].filter((load) => load.window_start);
  const sections = {
    attention: loads.length + missing.length,
    calendar: windows.length,
    snapshots: data.snapshots.filter(matches).length,
    charts: loads.some((load) => load.counts),
  };
  for (const [name, wanted] of Object.entries(sections)) at(`h-${name}`).parentElement.hidden = !wanted;
  attention(data.attention.filter(matches));
  calendar(windows);
  at("day").replaceChildren();
  snapshots(data.snapshots.filter(matches));
  if (sections.charts) draw(loads);
  const cut = data.cut ? " Older ones are not shown: choose a DAG." : "";
  at("message").textContent = data.loads.length
    ? `${number(loads.length)} loads, ${number(missing.length)} missing.${cut}`
    : "No DAG that you may see has loaded anything from Genesys Cloud yet.";
}

async function read() {
  document.querySelector("main").setAttribute("aria-busy", "true");
  try {
    const dag = chosen("dag_id");
    data = await shared.ask(`api/loads${dag ? `?dag_id=${encodeURIComponent(dag)}` : ""}`);
    const all = [...data.loads, ...data.missing];
    if (!dag) fill("dag_id", data.dags);
    fill("kind", all.map((load) => load.kind));
    fill("sink", all.map((load) => load.sink));
    show();
  } catch (error) {
    at("message").textContent = error.message;
  }
  document.querySelector("main").setAttribute("aria-busy", "false");
}

shared.followTheme();
at("legend").append(...Object.entries(shared.STATUSES).map(([status, text]) =>
  element("li", {}, element("span", { class: `cell ${status}`, "aria-hidden": "true" }), text)));
at("measure").append(...Object.entries(MEASURES).map(([value, [label]]) => element("option", { value }, label)));
at("measure").addEventListener("change", () => draw(data.loads.filter(matches)));
at("refresh").addEventListener("click", read);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("change", (event) => (event.target.name === "dag_id" ? read() : show()));
addEventListener("resize", () => data && chart && chart.setSize({ width: Math.max(320, at("chart").clientWidth), height: 260 }));
for (const name of ["from", "to"]) filters.elements[name].value = new URLSearchParams(location.search).get(name) || "";
read();
