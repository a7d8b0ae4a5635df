// SPDX-License-Identifier: Apache-2.0
// One transaction as a picture: a lane a branch, time from left to right; what was called, what came of it, the decision, what
// comes next. Whatever the picture says is said in words below it, too.
"use strict";

const LANE = {left: 190, right: 24, top: 34, height: 46, width: 1100, shift: 0};
const NARROW_LANE = {left: 6, right: 10, top: 34, height: 68, width: 340, shift: 30}; // the words are above the bars
const narrow = matchMedia("(max-width: 640px)");

function isOver(tx) { return tx.state === "CONFIRMED" || tx.state === "CANCELLED"; }
function isConfirmed(tx) { return tx.state === "CONFIRMING" || tx.state === "CONFIRMED"; }

function outcomeOf(attempt) {
  if (attempt.outcome === "DONE") return ["done", "done"];
  if (attempt.outcome === "REFUSAL") return ["refused", "refused"];
  if (attempt.outcome === "BROKEN") return ["failed", "broken promise"];
  return ["failed", attempt.outcome === "AGAIN" ? "asked to call again" : "no answer"];
}

// The core has asked for a call; whether it has left, the obstacle tells.
function isUnderWay(branch) { return !branch.obstacle || branch.obstacle.waits_for === "WAITS_FOR_ANSWER" || branch.obstacle.waits_for === "WAITS_FOR_NOTHING"; }

function tryWords(branch) {
  if (branch.owed === "OWED_NOTHING" && branch.try_state !== "TRY_REFUSED") return "its try was never sent";
  if (branch.try_state === "TRY_CALLING" && !isUnderWay(branch)) return "its try waits";
  return {TRY_OWN: "called by the initiator itself", TRY_WAITING: "its try waits", TRY_CALLING: "its try is called", TRY_DONE: "tried",
    TRY_REFUSED: "refused", TRY_NOT_KNOWN: "its try is not known"}[branch.try_state] || "not tried";
}

function endWords(tx, branch) {
  if (branch.end_state === "END_NONE") return "";
  if (branch.settled) return "settled by an operator";
  if (branch.owed === "OWED_NOTHING") return "nothing is owed";
  const word = branch.owed === "OWED_CANCEL" || !isConfirmed(tx) ? "cancel" : "confirm";
  if (branch.end_state === "END_DONE") return word === "cancel" ? "cancelled" : "confirmed";
  return branch.end_state === "END_CALLING" && isUnderWay(branch) ? `its ${word} is called` : `its ${word} waits`;
}

function drawTimeline(tx, nowMs) {
  const {left, right, top, height, width, shift} = narrow.matches ? NARROW_LANE : LANE;
  const begin = tx.created_ms;
  const next = Math.max(0, ...tx.branches.map(b => b.next_attempt_ms ? nowMs + b.next_attempt_ms : 0));
  const last = isOver(tx) ? tx.resolved_ms : Math.max(nowMs, Math.min(next, nowMs + (nowMs - begin) / 3 + 1000));
  const showsDeadline = tx.state === "TRYING" && tx.deadline_ms > begin && tx.deadline_ms < last + 3 * (last - begin + 1000);
  const end = Math.max(last, showsDeadline ? tx.deadline_ms : 0, begin + 1);
  const span = (end - begin) * 1.03;
  const x = ms => left + (width - left - right) * Math.min(1, Math.max(0, (ms - begin) / span));
  const total = top + height * tx.branches.length + 26;
  const picture = svg("svg", {viewBox: `0 0 ${width} ${total}`, role: "img", "aria-labelledby": "timeline-title"});
  picture.append(svg("title", {id: "timeline-title"}, describeTimeline(tx)));

  const rect = (cls, from, to, lane, inset, tip) => {
    const box = svg("rect", {class: cls, x: x(from).toFixed(1), y: top + height * lane + shift + inset, rx: 3,
      width: Math.max(2, x(to) - x(from)).toFixed(1), height: height - shift - 2 * inset});
    if (tip) box.append(svg("title", {}, tip));
    picture.append(box);
  };
  const mark = (cls, ms, words, above) => {
    picture.append(svg("line", {class: cls, x1: x(ms), x2: x(ms), y1: top - 8, y2: total - 22}));
    const anchor = x(ms) > width - 140 ? "end" : "start";
    picture.append(svg("text", {x: x(ms) + (anchor === "end" ? -5 : 5), y: above ? 14 : 26, "text-anchor": anchor}, words));
  };

  tx.branches.forEach((branch, lane) => {
    const decided = tx.decided_ms || last;
    const y = top + height * lane;
    picture.append(svg("line", {class: "axis", x1: 0, x2: width, y1: y, y2: y}));
    picture.append(svg("text", {class: "lane", x: shift ? 11 : 6, y: y + (shift ? 14 : 20)}, fit(`${branch.number}  ${branch.action}`, 28)));
    picture.append(svg("text", {x: shift ? 11 : 6, y: y + (shift ? 28 : 36), class: branch.parked || branch.broken ? "alarm" : ""},
      fit(branch.broken ? "BROKEN PROMISE, parked" : branch.parked ? "PARKED" : endWords(tx, branch) || tryWords(branch), 30)));
    rect("phase-try", begin, Math.min(decided, last), lane, 8, "until the decision: " + tryWords(branch));
    if (tx.decided_ms && branch.owed !== "OWED_NOTHING")
      rect(isConfirmed(tx) && branch.owed !== "OWED_CANCEL" ? "phase-confirm" : "phase-cancel", tx.decided_ms,
        isOver(tx) ? tx.resolved_ms : last, lane, 8, endWords(tx, branch));
    for (const attempt of branch.history) {
      const [cls, words] = outcomeOf(attempt);
      rect("call-" + cls, attempt.ended_ms - attempt.took_ms, attempt.ended_ms, lane, 15,
        `${attempt.kind.toLowerCase()}: ${words}, ${seconds(attempt.took_ms / 1000)}${attempt.instance ? " at " + attempt.instance : ""}${attempt.error ? ": " + attempt.error : ""}`);
    }
    const obstacle = branch.obstacle;
    if (obstacle && obstacle.waits_for === "WAITS_FOR_ANSWER" && obstacle.since_ms)
      rect("call-now", obstacle.since_ms, nowMs, lane, 15, obstacle.text);
    if (branch.next_attempt_ms && nowMs + branch.next_attempt_ms <= begin + span)
      picture.append(svg("path", {class: "next", d: `M${x(nowMs + branch.next_attempt_ms)} ${y + shift + 14} l7 9 l-7 9z`},
        svg("title", {}, `called again in ${seconds(branch.next_attempt_ms / 1000)}`)));
  });
  mark("mark", begin, "begun", true);
  if (tx.decided_ms) mark("mark", tx.decided_ms, isConfirmed(tx) ? "confirm decided" : "cancel decided", false);
  if (showsDeadline) mark("mark-deadline", tx.deadline_ms, "deadline", false);
  if (isOver(tx)) mark("mark", tx.resolved_ms, "over", true);
  else mark("mark-now", nowMs, "now", true);
  picture.append(svg("text", {x: left, y: total - 6}, clock(begin)),
    svg("text", {x: width - right, y: total - 6, "text-anchor": "end"}, "+" + seconds(span / 1000)));
  return picture;
}

function fit(text, size) { return text.length > size ? text.slice(0, size - 1) + "…" : text; }

function describeTimeline(tx) {
  return `Transaction ${tx.gid}, ${tx.state.toLowerCase()}, with ${tx.branches.length} branches: ` + tx.branches
    .map(b => `${b.number} ${b.action}: ${endWords(tx, b) || tryWords(b)}${b.parked ? ", parked" : ""}`).join("; ") + ".";
}
