// The tab of one task instance.
import * as shared from "./shared.js";

const { element, number } = shared;
const EVERY = 3000;
const ELSEWHERE = "The figures of this load are in an XCom backend, which Airflow's API server does not read. "
  + "The certificate that is kept with the data has them, and so has the end of the task's log.";

const at = (id) => document.getElementById(id);
const [map_index, task_id, run_id, dag_id] = location.pathname.split("/").map(decodeURIComponent).reverse();
const here = { dag_id, run_id, task_id, map_index };

const card = (name, value) => element("div", { class: "card" }, element("span", {}, name), element("b", {}, value));

function bar(label, pieces) {
  const all = pieces.reduce((sum, [, value]) => sum + value, 0) || 1;
  const filled = pieces.filter(([, value]) => value > 0).map(([name, value, style]) => {
    const piece = element("span", { class: style, title: `${name}: ${number(value)}` });
    piece.style.width = `${(100 * value) / all}%`;
    return piece;
  });
  return element("div", { class: "bar", role: "img", "aria-label": label }, ...filled);
}

function account(counts) {
  const { read, written, dead_letters: dead, duplicates } = counts;
  const text = `${number(read)} read = ${number(written)} written + ${number(dead)} rejected + ${number(duplicates)} duplicates`;
  return section("Account",
    element("p", { class: "sum" }, text, read === written + dead + duplicates ? "" : " (does not add up)"),
    bar(text, [["written", written, "written"], ["rejected", dead, "dead"], ["duplicates", duplicates, "duplicates"]]));
}

const section = (name, ...content) => element("section", { "aria-label": name }, element("h2", {}, name), ...content);

function pairs(caption, names, entries) {
  return shared.table(caption, [
    { name: names[0], of: ([name]) => name },
    { name: names[1], number: true, of: ([, value]) => value },
  ], entries);
}

function progress(load) {
  const now = load.progress || {};
  if (!Object.keys(now).length) return load.status === "running" ? element("p", {}, "Nothing is committed yet.") : "";
  const known = typeof now.percent === "number";
  return section("Progress",
    known ? element("progress", { max: "100", value: now.percent, "aria-label": `${now.percent} %` }) : "",
    element("div", { class: "cards" },
      known ? card("Done", `${now.percent} %`) : "",
      card("Records", number(now.records ?? now.record_index)),
      card("Bytes", shared.bytes(now.byte_offset)),
      now.per_second ? card("Records a second", number(now.per_second)) : "",
      typeof now.seconds_left === "number" ? card("Time left", shared.duration(now.seconds_left)) : "",
      card("Last commit (UTC)", shared.moment(now.committed_at)),
      card("Try", number(load.try_number))));
}

function failure(load) {
  const { error, happened, advice } = load.failure;
  return element("div", { class: "advice", role: "alert" },
    element("p", {}, element("b", {}, error ? `${error}: ` : ""), happened),
    element("p", {}, element("b", {}, "What to do: "), advice));
}

function reconciliation(found) {
  const rows = Object.entries(found.counts || {});
  return section("Reconciliation with Genesys' aggregates",
    element("p", {}, element("b", {}, found.verdict), ` (${found.state})`, found.reason ? `: ${found.reason}` : ""),
    rows.length ? shared.table("Counts of Genesys and of the sink", [
      { name: "Metric", of: ([name]) => name },
      { name: "Genesys", number: true, of: ([, counts]) => number(counts.genesys) },
      { name: "Sink", number: true, of: ([, counts]) => number(counts.sink) },
      { name: "Difference", number: true, of: ([, counts]) => number(counts.sink - counts.genesys) },
    ], rows) : "");
}

const DRIFT = {
  unknown: "not in the contract",
  type: "of another type",
  missing: "required, but missing",
  unused: "in the contract, but in no record",
};

function drift(load) {
  const columns = [
    { name: "Field", of: (one) => one.field },
    { name: "What differs", of: (one) => DRIFT[one.kind] || one.kind },
    { name: "Records", number: true, of: (one) => number(one.count) },
  ];
  const added = (load.evolved || []).map((column) => `${column.name} (${column.type})`).join(", ");
  return section("Drift",
    load.drift.length ? shared.table("How records differ from the contract", columns, load.drift) : "",
    added ? element("p", {}, `Columns that were added or became optional: ${added}.`) : "");
}

function complete(load) {
  const phases = Object.entries(load.phases || {});
  const rate = load.seconds ? load.bytes_read / load.seconds : null;
  const rules = Object.entries(load.rules || {});
  return [
    element("div", { class: "cards" },
      card("Records", number(load.counts.read)), card("Bytes", shared.bytes(load.bytes_read)),
      card("Took", shared.duration(load.seconds)), card("Rate", rate ? `${shared.bytes(rate)}/s` : "–"),
      card("Attempts", number(load.attempts)), card("Memory", `${number(Math.round(load.peak_memory_mb))} MB`)),
    load.status === "differs" ? reconciliation(load.reconciliation) : "",
    account(load.counts),
    rules.length ? section("Rejected, by reason", pairs("Dead letters by rule", ["Rule", "Records"], rules.map(([rule, n]) => [rule, number(n)]))) : "",
    load.drift.length || load.evolved?.length ? drift(load) : "",
    phases.length ? section("Phases",
      bar(phases.map(([name, seconds]) => `${name}: ${shared.duration(seconds)}`).join(", "),
        phases.map(([name, seconds], i) => [name, seconds, `phase-${i % 4}`])),
      pairs("Seconds by phase", ["Phase", "Time"], phases.map(([name, seconds]) => [name, shared.duration(seconds)]))) : "",
    load.snapshot ? section("Snapshot", pairs("Entities", ["Of the listing", "Entities"],
      Object.entries(load.snapshot).map(([name, n]) => [name, number(n)]))) : "",
    section("Where it is",
      element("p", {}, element("code", {}, load.location || "–"), load.parts > 1 ? ` · ${number(load.parts)} parts` : ""),
      element("p", {}, `Export ${load.export_id} · load ${load.load_id} · contract ${load.contract} · ${load.delivery}`)),
  ];
}

function show(load) {
  const name = load.window_start ? [load.kind || "Load", ", ", shared.window_(load)] : [load.kind || "Load"];
  const parts = load.status === "failed" ? [failure(load), progress(load)]
    : load.status === "running" ? [progress(load)]
    : load.counts ? complete(load) : [element("p", {}, ELSEWHERE)];
  return element("article", {}, element("h1", {}, ...name, " ", shared.badge(load.status)),
    shared.STATUSES[load.status] === load.status ? "" : element("p", {}, shared.STATUSES[load.status]), ...parts,
    load.reconciliation && !(load.counts && load.status === "differs") ? reconciliation(load.reconciliation) : "");
}

async function read() {
  let again = false;
  try {
    const found = await shared.ask(shared.apiPath(here));
    at("loads").replaceChildren(...found.loads.map(show));
    if (!found.loads.length && found.reconciliation) at("loads").append(reconciliation(found.reconciliation));
    const none = found.operator?.startsWith("Genesys")
      ? "This task instance has nothing to show yet: it has not loaded anything."
      : "This task loads nothing from Genesys Cloud.";
    at("message").textContent = found.loads.length || found.reconciliation ? "" : none;
    again = found.loads.some((load) => load.status === "running");
  } catch (error) {
    at("message").textContent = error.message;
  }
  document.querySelector("main").setAttribute("aria-busy", "false");
  if (again) setTimeout(read, EVERY);
}

shared.followTheme();
read();
