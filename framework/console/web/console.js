// SPDX-License-Identifier: Apache-2.0
// The console: pages by the part of the address after #, data from /api (the service Admin) and /metrics, every two seconds.
"use strict";

const POLL_MS = 2000, KEPT = 150, PAGE_SIZE = 100, PAGES_MAX = 20, BULK_MAX = 1000, AUDIT_SIZE = 500;
const state = {session: null, lostAt: 0, lostWhy: "", lastGood: 0, figures: [], page: null, timer: 0, wake: null};
const $ = id => document.getElementById(id);

// ---- Asking -------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, code, text) { super(text); this.status = status; this.code = code; }
}

// What a proxy, a restart or a full machine answers is no answer of the coordinator's.
function isLoss(error) { return !(error instanceof Refused) || error.status >= 502; }

async function ask(path, body) {
  const response = await fetch("/api/" + path, {method: "POST", body: JSON.stringify(body || {}), credentials: "same-origin",
    headers: {"Content-Type": "application/json", "X-Tercet-Console": "1"}, signal: AbortSignal.timeout(12000)});
  const answer = await response.json();
  if (response.ok) return answer;
  throw new Refused(response.status, answer.code, answer.error);
}
const admin = (method, request) => ask("Admin/" + method, request);

async function scrape() {
  const response = await fetch("/metrics", {credentials: "same-origin", signal: AbortSignal.timeout(12000)});
  if (!response.ok) throw new Refused(response.status, "", await response.text());
  return parseMetrics(await response.text());
}

// ---- The banner: whether what is shown is true ---------------------------------------------------

function lost(error) {
  if (error instanceof Refused && error.status === 401) return signOut("You are signed in no more: tercetd was restarted, or its rules changed.");
  if (!isLoss(error)) return say(error.message);
  if (!state.lostAt) state.lostAt = Date.now();
  state.lostWhy = error instanceof Refused ? error.message.trim() : "";
  showBanner();
}

function found() {
  if (state.lostAt) say("tercetd answers again.");
  state.lostAt = 0;
  state.lastGood = Date.now();
  showBanner();
}

function showBanner() {
  document.body.classList.toggle("stale", Boolean(state.lostAt));
  const banner = $("banner"), text = !state.lostAt ? "" : `tercetd does not answer${state.lostWhy ? " (" + state.lostWhy + ")" : ""}. ` +
    (state.lastGood ? `What you see is of ${clock(state.lastGood).slice(11)}, ${seconds((Date.now() - state.lastGood) / 1000)} old. ` : "") + "Asking again.";
  banner.hidden = !state.lostAt;
  if (banner.textContent !== text) banner.textContent = text;
}

function say(text) {
  const line = h("p", {}, text);
  $("note").append(line);
  setTimeout(() => line.remove(), 8000);
}

// ---- Signing in ---------------------------------------------------------------------------------

function signOut(why) {
  state.session = null;
  $("who").replaceChildren();
  $("dialog").open && $("dialog").close();
  if ($("main").querySelector("form.signin")) return; // asked every two seconds: what is typed meanwhile stays
  const problem = h("p", {class: "error", role: "alert"}, why || "");
  const form = h("form", {class: "box signin", onsubmit: async event => {
    event.preventDefault();
    try {
      await ask("sign-in", {token: form.token.value.trim(), name: form.who.value.trim()});
      form.token.value = "";
      await begin();
    } catch (error) {
      problem.textContent = error instanceof Refused ? error.message : "tercetd does not answer: try again.";
      form.token.focus();
    }
  }}, h("h1", {}, "Sign in"), problem,
    h("label", {}, "Token, of the role reader, operator or admin", h("input", {name: "token", type: "password", autocomplete: "off", required: true})),
    h("label", {}, "Your name, for the audit log", h("input", {name: "who", maxlength: 40, autocomplete: "name"})),
    h("div", {class: "row"}, h("button", {class: "main"}, "Sign in")));
  state.page = null;
  $("main").replaceChildren(form);
  form.token.focus();
}

async function begin() {
  state.session = await ask("session");
  found();
  if (!state.session.signed_in) return signOut();
  $("who").replaceChildren(state.session.name || (state.session.needs_token ? "" : "no sign-in needed"),
    state.session.needs_token ? h("button", {type: "button", onclick: async () => { await ask("sign-out").catch(lost); signOut(); }}, "Sign out") : "");
  open();
}

// ---- Pages --------------------------------------------------------------------------------------

const pages = {
  "": overviewPage, transactions: transactionsPage, tx: transactionPage, participants: participantsPage, audit: auditPage,
};

function open() {
  if (!state.session || !state.session.signed_in) return;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const make = pages[name] || pages[""];
  const mark = {tx: "transactions", "": "overview"}[name] ?? name;
  for (const link of document.querySelectorAll("nav a"))
    link.dataset.page === mark ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  const page = {refresh: async () => {}};
  state.page = page;
  $("main").replaceChildren();
  make(page, rest.map(decodeURIComponent).join("/"), new URLSearchParams(query || ""));
  document.title = ($("main").querySelector("h1")?.textContent || "Tercet") + " · Tercet";
  wake();
}

function wake() { clearTimeout(state.timer); state.timer = setTimeout(turn, 0); }

async function turn() {
  clearTimeout(state.timer);
  try {
    if (!state.session) { await begin(); }
    if (state.session?.signed_in) {
      keep(await scrape());
      await state.page?.refresh();
      found();
    }
  } catch (error) { lost(error); }
  if (document.visibilityState !== "hidden") state.timer = setTimeout(turn, POLL_MS);
}

function keep(now) {
  const before = state.figures.at(-1), at = performance.now();
  const rate = (name, labels) => !before ? null : Math.max(0, (now.sum(name, labels) - before.now.sum(name, labels)) / ((at - before.at) / 1000));
  const between = (q, name) => !before ? null : quantile(q, before.now.buckets(name), now.buckets(name));
  if (before && at - before.at < 500) return;
  state.figures.push({at, now, confirmed: rate("tercet_transactions_decided_total", {outcome: "confirmed"}),
    cancelled: rate("tercet_transactions_decided_total", {outcome: "cancelled"}), open: now.sum("tercet_transactions_open"),
    p50: between(0.5, "tercet_transaction_decision_duration_seconds"), p99: between(0.99, "tercet_transaction_decision_duration_seconds"),
    end50: between(0.5, "tercet_transaction_resolution_duration_seconds"), end99: between(0.99, "tercet_transaction_resolution_duration_seconds"),
    commits: rate("tercet_commits_total"), calls: rate("tercet_service_calls_total"), waiting: now.sum("tercet_service_calls_waiting"),
    running: now.sum("tercet_service_calls_running")});
  if (state.figures.length > KEPT) state.figures.shift();
}

// ---- Overview -----------------------------------------------------------------------------------

function overviewPage(page) {
  const cards = h("dl", {class: "cards"}), plots = Array.from({length: 6}, () => h("section", {class: "plot"}));
  const refusal = h("p", {class: "error"});
  $("main").replaceChildren(h("h1", {}, "Overview"), refusal, cards, h("div", {class: "plots"}, plots));
  page.refresh = async () => {
    const statistics = await admin("GetStatistics");
    if (state.page !== page || !state.figures.length) return;
    const {now} = state.figures.at(-1);
    const card = (name, value, kind, link) => h("div", {class: "card " + (kind || "")}, h("dt", {}, name), h("dd", {}, link ? h("a", {href: link}, value) : value));
    const used = now.sum("tercet_store_used_bytes"), limit = now.sum("tercet_store_limit_bytes"), breakers = now.sum("tercet_service_breaker_open");
    const oldest = now.sum("tercet_transaction_oldest_age_seconds"), parked = statistics.parked_branches;
    refusal.textContent = statistics.accepting ? "" : "New transactions are refused: " + statistics.accepting_text;
    cards.replaceChildren(
      card("New work", statistics.accepting ? "taken" : "refused", statistics.accepting ? "" : "bad"),
      card("In flight", count(now.sum("tercet_transactions_open")), "", "#/transactions"),
      card("Oldest", oldest ? seconds(oldest) : "–", oldest > 3600 ? "warn" : ""),
      card("Parked branches", count(parked), parked ? "bad" : "", parked ? "#/transactions?state=parked" : ""),
      card("Open breakers", count(breakers), breakers ? "warn" : "", "#/participants"),
      card("Store in use", `${(100 * used / limit).toFixed(used / limit < 0.1 ? 2 : 0)} % of ${bytes(limit)}`, used / limit > 0.7 ? "warn" : ""),
      card("Headroom", bytes(now.sum("tercet_store_room_bytes"))),
      ...(now.has("tercet_disk_free_bytes") ? [card("Disk free", bytes(now.sum("tercet_disk_free_bytes")))] : []), // none: the store is in memory
      card("Confirmed", count(statistics.confirmed_total)), card("Cancelled", count(statistics.cancelled_total)),
      card("Up for", seconds((Date.now() - statistics.started_ms) / 1000)), card("Version", statistics.version));
    const values = name => state.figures.map(f => f[name]);
    const span = "−" + seconds((state.figures.length - 1) * POLL_MS / 1000);
    const series = (...list) => list.map(([name, key, color]) => ({name, values: values(key), color}));
    drawPlot(plots[0], "Decided, a second", series(["confirmed", "confirmed", 0], ["cancelled", "cancelled", 1]), count, span);
    drawPlot(plots[1], "Until the decision", series(["p50", "p50", 2], ["p99", "p99", 3]), seconds, span);
    drawPlot(plots[2], "Until the end", series(["p50", "end50", 2], ["p99", "end99", 3]), seconds, span);
    drawPlot(plots[3], "In flight", series(["transactions", "open", 2]), count, span);
    drawPlot(plots[4], "Calls of participants", series(["a second", "calls", 0], ["under way", "running", 2], ["waiting", "waiting", 1]), count, span);
    drawPlot(plots[5], "Forced writes, a second", series(["commits", "commits", 2]), count, span);
  };
}

// ---- Transactions -------------------------------------------------------------------------------

const STATES = {open: "unresolved", trying: "trying", confirming: "confirming", cancelling: "cancelling", parked: "parked", confirmed: "confirmed", cancelled: "cancelled", resolved: "resolved"};
const OVER = ["confirmed", "cancelled", "resolved"]; // of these

// Why it was decided so, in the words of tercetctl.
const CAUSES = {UNDECIDED: "undecided", INITIATOR: "asked by the initiator", ALL_TRIED: "all tries done", REFUSED: "a participant refused",
  TRY_UNKNOWN: "a try was not done in time", DEADLINE: "the deadline passed", OPERATOR: "asked by an operator"};

function stateTag(tx) {
  const kind = {TRYING: "try", CONFIRMING: "", CANCELLING: "warn", CONFIRMED: "good", CANCELLED: "warn"}[tx.state] ?? "";
  return [h("span", {class: "tag " + kind}, tx.state.toLowerCase()), tx.parked ? [" ", h("span", {class: "tag bad"}, "parked")] : null];
}

// The branch that needs a person most, and what it waits for: the server's words.
function noteOf(tx) {
  const rank = b => (b.broken ? 8 : 0) + (b.parked ? 4 : 0) + (b.obstacle && b.obstacle.waits_for !== "WAITS_FOR_NOTHING" ? 2 : 0) + (b.last_error ? 1 : 0);
  const worst = [...tx.branches].sort((a, b) => rank(b) - rank(a))[0];
  if (!worst || !rank(worst)) return tx.reason;
  return `${worst.number} ${worst.action}: ${(worst.obstacle && worst.obstacle.text) || worst.last_error}`;
}

function listRequest(query) {
  const request = {page_size: PAGE_SIZE}, wanted = query.get("state") || "open";
  if (wanted === "parked") request.parked = true;
  else if (wanted !== "open" && wanted !== "resolved") request.states = [wanted.toUpperCase()];
  if (OVER.includes(wanted)) request.resolved = true;
  if (query.get("service")) request.service = query.get("service");
  const metadata = query.get("metadata");
  if (metadata) request.metadata = metadata.split(/\s+/).map(pair => { const [key, ...value] = pair.split("="); return {key, value: value.join("=")}; });
  return request;
}

// What the coordinator does not sift: here, as tercetctl does.
function matches(tx, query) {
  const action = query.get("action"), text = (query.get("text") || "").toLowerCase(), minutes = Number(query.get("minutes") || 0);
  if (action && !tx.branches.some(b => b.action === action || b.action.split("/")[1] === action)) return false;
  if (minutes && Date.now() - tx.created_ms < minutes * 60000) return false;
  if (!text) return true;
  return [tx.gid, tx.reason, tx.begun_by, ...tx.branches.flatMap(b => [b.action, b.last_error, b.reason, b.obstacle?.text]), ...tx.metadata.flatMap(m => [m.key, m.value])]
    .some(words => (words || "").toLowerCase().includes(text));
}

async function collect(query, token, limit) {
  const request = listRequest(query), kept = [];
  let looked = 0, next = token || "";
  for (let i = 0; i < PAGES_MAX && kept.length < limit; i++) {
    const answer = await admin("List", {...request, page_token: next});
    looked += answer.transactions.length;
    kept.push(...answer.transactions.filter(tx => matches(tx, query)));
    next = answer.next_page_token;
    if (!next) break;
  }
  return {kept, looked, next};
}

function nothingFound(query, looked) {
  const wanted = query.get("state") || "open", resolved = new URLSearchParams(query);
  resolved.set("state", "resolved");
  const isSifted = [...query.keys()].some(name => name !== "state");
  return h("p", {class: "empty"}, looked ? `None of the ${looked} looked at is like that.` : `No ${STATES[wanted] || wanted} transactions${isSifted ? " like that" : ""}.`,
    OVER.includes(wanted) ? null : [" Those that are over: ", h("a", {href: "#/transactions?" + resolved}, "state resolved"), "."]);
}

function transactionsPage(page, _, query) {
  const isOverOnly = OVER.includes(query.get("state")), age = isOverOnly ? "Took" : "Age";
  const tokens = [""], box = h("div", {class: "scroll"}), more = h("div", {class: "row"}), problem = h("p", {class: "error", role: "alert"});
  const field = (name, label, size, hint) => h("label", {}, label, h("input", {name, value: query.get(name) || "", size, placeholder: hint}));
  const form = h("form", {class: "filters", role: "search", onsubmit: event => {
    event.preventDefault();
    const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    const hash = "#/transactions?" + wanted;
    hash === location.hash ? open() : location.hash = hash;
  }}, h("label", {}, "State", h("select", {name: "state"}, Object.entries(STATES).map(([value, words]) => h("option", {value, selected: (query.get("state") || "open") === value}, words)))),
    field("service", "Service", 12), field("action", "Action", 12), field("metadata", "Metadata", 14, "order=1234"), field("text", "Text", 14, "gid, reason, error"),
    h("label", {}, "Older than, minutes", h("input", {name: "minutes", type: "number", min: 0, value: query.get("minutes") || ""})),
    h("button", {class: "main"}, "Show"));
  const goto = h("form", {class: "filters", onsubmit: event => { event.preventDefault(); location.hash = "#/tx/" + encodeURIComponent(goto.gid.value.trim()); }},
    h("label", {}, "One by its gid", h("input", {name: "gid", size: 28, required: true})), h("button", {}, "Open"));
  const bulk = [["retry", "Retry all"], ["cancel", "Cancel all"], ["settle", "Settle all parked"]].map(([action, words]) =>
    h("button", {type: "button", class: action === "retry" ? "" : "risky", onclick: () => bulkDialog(action, query)}, words + " of these…"));
  $("main").replaceChildren(h("h1", {}, "Transactions"), form, goto, isOverOnly ? "" : h("div", {class: "row", role: "group", "aria-label": "Many at once"}, bulk), problem, box, more);
  page.refresh = async () => {
    let found;
    try { found = await collect(query, tokens.at(-1), PAGE_SIZE); problem.textContent = ""; }
    catch (error) {
      if (!(error instanceof Refused) || error.status >= 500 || error.status === 401) throw error;
      problem.textContent = error.message;
      return;
    }
    if (state.page !== page || box.contains(document.activeElement) && document.activeElement.matches("a:focus")) return;
    const {kept, looked, next} = found;
    const line = tx => h("tr", {}, cell("Transaction", h("a", {href: "#/tx/" + encodeURIComponent(tx.gid), class: "mono"}, tx.gid)), cell("State", stateTag(tx)),
      cell("Begun", clock(tx.created_ms), "nowrap"), cell(age, seconds(((tx.resolved_ms || Date.now()) - tx.created_ms) / 1000), "nowrap"),
      cell("Branches", tx.branches.map(b => b.action).slice(0, 4).join(", ") + (tx.branches.length > 4 ? ` and ${tx.branches.length - 4} more` : "")), cell("Note", noteOf(tx), "note"));
    box.replaceChildren(kept.length ? table(`${kept.length} shown${looked > kept.length ? `, of ${looked} looked at` : ""}`, ["Transaction", "State", "Begun", age, "Branches", "Note"], kept.map(line), true)
      : nothingFound(query, looked));
    more.replaceChildren(tokens.length > 1 ? h("button", {type: "button", onclick: () => { tokens.pop(); wake(); }}, "Previous page") : "",
      next ? h("button", {type: "button", onclick: () => { tokens.push(next); wake(); }}, "Next page") : "");
  };
}

function cell(label, content, kind) { return h("td", {"data-label": label, class: kind || ""}, h("span", {}, content)); }

function table(caption, heads, rows, folds) {
  return h("table", {class: folds ? "fold" : ""}, caption ? h("caption", {}, caption) : null, h("thead", {}, h("tr", {}, heads.map(head => h("th", {scope: "col"}, head)))), h("tbody", {}, rows));
}

// ---- One transaction ----------------------------------------------------------------------------

function obstacleLine(b) {
  const service = b.action.split("/")[0], help = b.obstacle.advice;
  const isPaused = b.obstacle.waits_for === "WAITS_FOR_RESUME";
  return [`branch ${b.number} ${b.action}: ${b.obstacle.text}`, help ? h("div", {class: "help"}, h("span", {}, help),
    isPaused ? h("button", {type: "button", "data-keep": "resume" + b.number, onclick: () => pauseDialog({service, paused: true})}, `Resume ${service}…`) : null,
    h("a", {href: "#/participants", "data-keep": "participants" + b.number}, "Participants")) : null];
}

function whyLines(tx) {
  if (isOver(tx)) return [`It is over: ${tx.state.toLowerCase()}${tx.reason ? ", " + tx.reason : ""}.`];
  const lines = tx.branches.filter(b => b.obstacle && b.obstacle.waits_for !== "WAITS_FOR_NOTHING")
    .map(obstacleLine);
  if (!lines.length && tx.state === "TRYING")
    lines.push(`It waits for its initiator: ${tx.branches.filter(b => b.try_state === "TRY_DONE").length} of ${tx.branches.length} tries are done. ` +
      `Its deadline (${clock(tx.deadline_ms)}) cancels it if nobody decides.`);
  else if (tx.cancels_for) lines.push(`It is cancelled at ${clock(tx.cancels_ms)} unless the try of branch ${tx.cancels_for} is done by then.`);
  else if (tx.cancels_ms) lines.push(`Its deadline (${clock(tx.deadline_ms)}) cancels it if it is not decided by then.`);
  return lines.length ? lines : ["Nothing keeps it: it is about to end."];
}

function transactionPage(page, gid) {
  const box = h("div", {});
  let shown = "";
  $("main").replaceChildren(h("p", {}, h("a", {href: "#/transactions"}, "Transactions")), h("h1", {class: "mono"}, gid), box);
  page.refresh = async () => {
    let tx;
    try { tx = await admin("Show", {gid, history: true}); }
    catch (error) {
      if (!(error instanceof Refused) || error.status >= 500 || error.status === 401) throw error;
      box.replaceChildren(h("p", {class: "box error", role: "alert"}, error.message), error.status !== 404 ? "" :
        h("p", {}, "See the ", h("a", {href: "#/transactions"}, "unresolved"), " and the ", h("a", {href: "#/transactions?state=resolved"}, "resolved"),
          " transactions for what there is; resolved ones are forgotten after tercetd's --retention."));
      return;
    }
    if (state.page !== page) return;
    const key = JSON.stringify(tx) + narrow.matches;
    if (isOver(tx) && key === shown || box.contains(document.activeElement) && key === shown) return;
    shown = key;
    const focused = document.activeElement?.dataset?.keep;
    box.replaceChildren(...transactionParts(tx));
    if (focused) box.querySelector(`[data-keep="${focused}"]`)?.focus();
  };
}

// Why a confirm would be refused; empty: the coordinator is to be asked. Where a try was refused and it goes on all the same
// (keep_on_refusal), it may be confirmed without that branch.
function confirmRefusal(tx) {
  const missing = tx.branches.find(b => b.try_state === "TRY_WAITING" || b.try_state === "TRY_CALLING");
  if (!missing || tx.branches.some(b => b.try_state === "TRY_REFUSED" || b.try_state === "TRY_NOT_KNOWN")) return "";
  return `It cannot be confirmed yet: every try must be known to be done, and that of branch ${missing.number} ${missing.action} is not.`;
}

function transactionParts(tx) {
  const refusal = tx.state === "TRYING" ? confirmRefusal(tx) : "";
  const button = (words, keep, kind, act) => h("button", {type: "button", class: kind, "data-keep": keep, onclick: act}, words);
  const actions = isOver(tx) ? null : h("div", {class: "row", role: "group", "aria-label": "What can be done"},
    button("Retry now…", "retry", "", () => actDialog("retry", tx, 0)),
    tx.state === "TRYING" ? [h("button", {type: "button", class: "risky", "data-keep": "confirm", disabled: Boolean(refusal), "aria-describedby": "confirm-refusal", onclick: () => actDialog("confirm", tx, 0)}, "Confirm…"),
      button("Cancel…", "cancel", "risky", () => actDialog("cancel", tx, 0)), h("span", {id: "confirm-refusal", class: "soft"}, refusal)] : null);
  const facts = [["State", h("span", {}, stateTag(tx))], ["Why so", (CAUSES[tx.cause] || tx.cause) + (tx.reason ? ": " + tx.reason : "")],
    ["Begun", clock(tx.created_ms) + (tx.begun_by ? " by " + tx.begun_by : "")], ["Deadline", clock(tx.deadline_ms)], ["Decided", clock(tx.decided_ms)], ["Over", clock(tx.resolved_ms)],
    ["Number", String(tx.number)], ["Metadata", tx.metadata.map(m => `${m.key}=${m.value}`).join("  ") || "–"]];
  return [actions, h("section", {class: "box", "aria-labelledby": "why-head"}, h("h2", {id: "why-head"}, isOver(tx) ? "How it ended" : "Why it is not over"), h("ul", {class: "why"}, whyLines(tx).map(line => h("li", {}, line)))),
    h("h2", {}, "Timeline"), h("div", {class: "box timeline", tabindex: 0, role: "region", "aria-label": "Timeline, scrolls sideways"}, drawTimeline(tx, Date.now())),
    h("h2", {}, "Branches"), h("div", {class: "scroll"}, table("", ["No.", "Action", "Try", "End", "Failed calls", "Last error", ""], tx.branches.map(b => branchLine(tx, b)), true)),
    attemptsPart(tx), h("h2", {}, "Facts"), h("dl", {class: "facts box"}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))].filter(Boolean);
}

function branchLine(tx, b) {
  const failures = (b.try_failures?.count || 0) + (b.end_failures?.count || 0);
  const canSettle = !isOver(tx) && tx.state !== "TRYING" && b.end_state !== "END_DONE";
  return h("tr", {}, cell("No.", String(b.number)), cell("Action", h("code", {}, b.action)), cell("Try", tryWords(b)),
    cell("End", [endWords(tx, b) || "–", b.parked ? [" ", h("span", {class: "tag bad"}, b.broken ? "broken promise" : "parked")] : null]),
    cell("Failed calls", String(failures)), cell("Last error", b.last_error || b.end_failures?.last_error || b.try_failures?.last_error || b.reason || "–", "note"),
    cell("", canSettle ? h("button", {type: "button", class: "risky", "data-keep": "settle" + b.number, onclick: () => actDialog("settle", tx, b.number)}, "Settle…") : ""));
}

function attemptsPart(tx) {
  const all = tx.branches.flatMap(b => b.history.map(a => ({...a, number: b.number}))).sort((a, b) => b.ended_ms - a.ended_ms);
  if (!all.length) return null;
  return h("details", {}, h("summary", {}, `The last ${all.length} calls`), h("div", {class: "scroll"}, table("Since the coordinator was started; the newest first", ["When", "Branch", "Call", "Took", "Outcome", "Instance"], all.map(a =>
    h("tr", {}, cell("When", clock(a.ended_ms), "nowrap"), cell("Branch", String(a.number)), cell("Call", a.kind.toLowerCase()), cell("Took", seconds(a.took_ms / 1000), "nowrap"),
      cell("Outcome", outcomeOf(a)[1] + (a.error ? ": " + a.error : ""), "note"), cell("Instance", a.instance))), true)));
}

// ---- Acting -------------------------------------------------------------------------------------

const ACTIONS = {
  retry: {title: "Retry now", words: "Every branch that waits is called at once.", call: (tx, branch) => admin("Retry", {gid: tx.gid, branch})},
  confirm: {title: "Confirm the transaction", words: "Decides the transaction: its branches are confirmed. Every try must be known to be done, or it is refused. A decision never changes afterwards.", reason: true, sure: true,
    call: (tx, _, reason) => admin("Decide", {gid: tx.gid, confirm: true, reason})},
  cancel: {title: "Cancel the transaction", words: "Decides the transaction: all branches are cancelled. A decision never changes afterwards.", reason: true, sure: true,
    call: (tx, _, reason) => admin("Decide", {gid: tx.gid, confirm: false, reason})},
  settle: {title: "Settle", words: "Declares that a person has brought this branch to the state that was decided. It is called no more. Bring it there first.", reason: true, sure: true, now: true,
    call: (tx, branch, reason, now) => admin("Settle", {gid: tx.gid, branch, reason, now})},
};

// A form in the dialog; act() throws to stay.
function showDialog(title, content, button, risky, act) {
  const dialog = $("dialog"), problem = h("p", {class: "error", role: "alert"});
  const form = h("form", {onsubmit: async event => {
    event.preventDefault();
    submit.disabled = true;
    try { if (await act(form) !== false) dialog.close(); }
    catch (error) { problem.textContent = error instanceof Refused ? error.message : "tercetd does not answer: whether it was done is not known. Look again before asking again."; }
    submit.disabled = false;
    wake();
  }}, h("h2", {id: "dialog-title"}, title), content, problem);
  const submit = h("button", {class: risky ? "risky" : "main"}, button);
  form.append(h("div", {class: "row"}, submit, h("button", {type: "button", onclick: () => dialog.close()}, "Leave it")));
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.replaceChildren(form);
  dialog.showModal();
  return submit;
}

function reasonField() { return h("label", {}, "Reason (kept with the transaction)", h("input", {name: "reason", required: true, maxlength: 250, autocomplete: "off"})); }

function actDialog(name, tx, branch) {
  const action = ACTIONS[name], b = tx.branches.find(one => one.number === branch);
  const needsNow = action.now && b && !b.parked;
  const content = [h("p", {}, h("code", {}, tx.gid), b ? `, branch ${b.number} ${b.action}` : ""), h("p", {}, action.words),
    action.reason ? reasonField() : null,
    needsNow ? h("label", {class: "check"}, h("input", {type: "checkbox", name: "now", required: true}), "It is not parked: settle it all the same") : null,
    action.sure ? h("label", {class: "check"}, h("input", {type: "checkbox", name: "sure", required: true}), "I have looked, and I am sure") : null];
  showDialog(action.title, content, action.title, action.sure, async form => {
    await action.call(tx, branch, form.reason?.value.trim(), Boolean(form.now?.checked));
    say(`${action.title}: ${tx.gid}${b ? " branch " + b.number : ""}: done.`);
  });
}

// Many at once: first what would be done, then by typing how many that are.
async function bulkDialog(name, query) {
  let found;
  try { found = await collect(query, "", BULK_MAX); } catch (error) { return lost(error); }
  const jobs = found.kept.filter(tx => !isOver(tx) && (name !== "cancel" || tx.state === "TRYING")).flatMap(tx =>
    name === "settle" ? tx.branches.filter(b => b.parked).map(b => ({tx, branch: b.number, words: `${tx.gid} branch ${b.number} ${b.action}`})) : [{tx, branch: 0, words: tx.gid + ", " + tx.state.toLowerCase()}]);
  const action = ACTIONS[name], progress = h("p", {role: "status"});
  if (!jobs.length) return say(`There is nothing to ${name} among these.`);
  const content = [h("p", {}, `${action.words} This would be done to ${jobs.length}${found.next ? " (there are more: again afterwards)" : ""}:`),
    h("div", {class: "list", tabindex: 0, role: "region", "aria-label": "What would be done"}, jobs.slice(0, 100).map(job => h("div", {class: "mono"}, job.words)), jobs.length > 100 ? `and ${jobs.length - 100} more` : ""),
    action.reason ? reasonField() : null, h("label", {}, `Type ${jobs.length} to do it`, h("input", {name: "number", required: true, inputmode: "numeric", pattern: String(jobs.length), autocomplete: "off"})), progress];
  showDialog(`${name[0].toUpperCase() + name.slice(1)} ${jobs.length} at once`, content, `${name === "cancel" ? "Cancel" : action.title} ${jobs.length}`, name !== "retry", async form => {
    const refused = [];
    for (const [i, job] of jobs.entries()) {
      progress.textContent = `${i + 1} of ${jobs.length}`;
      try { await action.call(job.tx, job.branch, form.reason?.value.trim(), false); }
      catch (error) {
        if (!(error instanceof Refused) || error.status >= 500 || error.status === 401 || error.status === 403) throw error;
        refused.push(`${job.words}: ${error.message}`);
      }
    }
    say(`${action.title}: ${jobs.length - refused.length} done${refused.length ? `, ${refused.length} refused: ${refused[0]}` : ""}.`);
  });
}

// ---- Participants -------------------------------------------------------------------------------

function participantsPage(page) {
  const box = h("div", {});
  let shown = "";
  $("main").replaceChildren(h("h1", {}, "Participants"), box);
  page.refresh = async () => {
    const {participants} = await admin("ListParticipants");
    const key = JSON.stringify(participants.map(p => ({...p, oldest_call_ms: Math.round(p.oldest_call_ms / 1000)})));
    if (state.page !== page || key === shown) return;
    shown = key;
    const focused = document.activeElement?.dataset?.keep;
    box.replaceChildren(participants.length ? h("div", {class: "scroll"}, table(`${participants.length} services`, ["Service", "State", "Served by", "Calls", "Waiting", "Oldest call", "Last error", ""], participants.map(participantLine), true))
      : h("p", {class: "empty"}, "Nobody has attached or been asked for yet."));
    if (focused) [...box.querySelectorAll("[data-keep]")].find(one => one.dataset.keep === focused)?.focus();
  };
}

// Of a participant's program and of its library, as far as they were told.
function versions(one) {
  const words = one.application_version ? [one.application_version, one.version && `(${one.version})`].filter(Boolean).join(" ") : one.version;
  return words ? `, version ${words}` : "";
}

function participantLine(p) {
  const served = [...p.instances.map(i => `${i.name} (${i.calls} of ${i.window} calls${versions(i)})`), ...p.targets.map(t => `${t.target} (${t.calls} calls${t.breaker_open ? ", does not answer" : ""}${versions(t)})`)];
  const tags = [p.paused ? ["warn", "paused"] : null, p.breaker_open ? ["bad", `breaker open, ${p.failures} failed`] : null, !served.length ? ["bad", p.unserved_ms ? "nobody for " + seconds((Date.now() - p.unserved_ms) / 1000) : "nobody"] : null].filter(Boolean);
  return h("tr", {}, cell("Service", [h("a", {href: "#/transactions?service=" + encodeURIComponent(p.service)}, p.service), h("div", {class: "soft"}, p.actions.join(", "))]),
    cell("State", tags.length ? tags.map(([kind, words]) => [h("span", {class: "tag " + kind}, words), " "]) : h("span", {class: "tag good"}, "answers")),
    cell("Served by", served.length ? served.map(words => h("div", {}, words)) : "–"), cell("Calls", count(p.calls)), cell("Waiting", count(p.waiting)),
    cell("Oldest call", p.oldest_call_ms ? seconds(p.oldest_call_ms / 1000) : "–", "nowrap"), cell("Last error", p.last_error || "–", "note"),
    cell("", h("button", {type: "button", "data-keep": "pause " + p.service, onclick: () => pauseDialog(p)}, p.paused ? "Resume…" : "Pause…")));
}

function pauseDialog(p) {
  const words = p.paused ? "What waits goes at once." : "Its calls are held back until it is resumed, also after a restart. Deadlines go on.";
  showDialog(`${p.paused ? "Resume" : "Pause"} ${p.service}`, h("p", {}, words), p.paused ? "Resume" : "Pause", false, async () => {
    await admin("Pause", {service: p.service, paused: !p.paused});
    say(`${p.service} is ${p.paused ? "resumed" : "paused"}.`);
  });
}

// ---- Audit --------------------------------------------------------------------------------------

// By the access rules, and in its own words.
function whoActed(e) {
  const says = e.says || `at ${e.peer}`;
  return e.who ? `${e.who} (${says})` : says;
}

function auditPage(page) {
  const box = h("div", {class: "scroll"});
  $("main").replaceChildren(h("h1", {}, "Audit"), h("p", {class: "soft"}, "What operators have done, or asked for in vain, from here, with tercetctl or otherwise, the newest first. It is kept over restarts."), box);
  page.refresh = async () => {
    const {entries, next_before} = await admin("ListAudit", {page_size: AUDIT_SIZE});
    if (state.page !== page) return;
    box.replaceChildren(entries.length ? table("", ["When", "Who", "What", "To", "Reason", "Result"], entries.map(e => h("tr", {}, cell("When", clock(e.at_ms), "nowrap"), cell("Who", whoActed(e)),
      cell("What", e.action), cell("To", e.gid ? [h("a", {href: "#/tx/" + encodeURIComponent(e.gid)}, h("code", {}, e.gid)), e.branch ? ` branch ${e.branch}` : ""] : e.service || "–"), cell("Reason", e.reason || "–", "note"), cell("Result", e.result, "note"))), true) : h("p", {class: "empty"}, "Nothing yet."),
    ...(Number(next_before) ? [h("p", {class: "soft"}, "Older ones: ", h("code", {}, "tercetctl audit --limit 0"))] : []));
  };
}

// ---- Begin --------------------------------------------------------------------------------------

addEventListener("hashchange", () => { open(); $("main").focus(); });
addEventListener("visibilitychange", () => { if (document.visibilityState !== "hidden") wake(); });
addEventListener("keydown", event => {
  if (event.key !== "/" || event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey) return;
  const field = document.querySelector("main input");
  if (field) { event.preventDefault(); field.focus(); }
});
setInterval(showBanner, 1000);
wake();
