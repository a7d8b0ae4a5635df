// SPDX-License-Identifier: Apache-2.0
// A transaction as it happens: in words, as a picture of the times, and branch by branch. It comes by server-sent events; the page
// remembers when it saw what, and draws that.
'use strict';

const SLOW_MS = 1500; // then the page says what an order waits for

const WORDS = {
  'cart/checkout': ['Cart', 'set your cart aside', 'your cart is emptied', 'your cart is as it was'],
  'catalogue/quote': ['Price', 'check the price', 'the price holds', 'nothing to undo'],
  'stock/reserve': ['Warehouse', 'reserve the pieces', 'the pieces are yours', 'the pieces are back on the shelf'],
  'payment/hold': ['Payment', 'hold the money', 'it is paid', 'the money is free again'],
  'order/place': ['Order book', 'write the order down', 'the order is marked as paid', 'the order is marked as cancelled'],
  'order/give-back': ['Order book', 'mark the order as coming back', 'the order is returned', 'the order stays as it was'],
  'stock/take-back': ['Warehouse', 'expect the pieces', 'the pieces are back on the shelf', 'the pieces stay sold'],
  'payment/refund': ['Payment', 'set the refund aside', 'your money is back', 'the payment stays'],
};

const isOver = view => view.gone || view.resolved_ms > 0;

// What a shopper wants to know. `kind`: 'order' or 'refund'.
function inWords(view, kind, isSlow) {
  const thing = kind === 'refund' ? 'refund' : 'order';
  if (view.silent)
    return ['wait', `We cannot reach the desk that decides on your ${thing} just now. Nothing is lost: this page goes on asking, and shows the answer as soon as there is one.`];
  if (view.gone)
    return ['wait', `Nothing is known of this ${thing} any more, or not yet: your list of orders says what the books say.`];
  const waiting = view.branches.filter(branch => branch.waits_for && (branch.failures > 0 || isSlow) && phaseOf(branch, view) !== 'kept');
  const who = waiting.length ? ` It waits for: ${[...new Set(waiting.map(branch => partOf(branch.action)))].join(', ')}.` : '';
  const state = view.state.toLowerCase();
  if (state === 'confirmed')
    return ['good', view.resolved_ms > 0 ? (thing === 'order' ? 'Your order is paid and yours.' : 'Your money is back, and the order is returned.')
      : `Your ${thing} is decided: it goes through. The last notes are being made.${who}`];
  if (state === 'cancelled')
    return ['bad', `This ${thing} was not made: ${view.reason || 'it took too long'}. ` +
      (view.resolved_ms > 0 ? 'Nothing was charged.' : `What was set aside is being given back, and nothing will be charged.${who}`)];
  return ['wait', `We are still confirming your ${thing}; nothing is lost, and nothing is charged until all is ready.${who}`];
}

function partOf(action) {
  return (WORDS[action] || [action])[0];
}

function branchWords(branch, view) {
  const words = WORDS[branch.action] || [branch.action, 'try', 'confirmed', 'cancelled'];
  if (branch.end === 'END_DONE')
    return view.state.toLowerCase() === 'confirmed' ? ['good', words[2]] : ['bad', words[3]];
  if (branch.try === 'TRY_REFUSED')
    return ['bad', `no: ${branch.reason}`];
  if (branch.is_parked)
    return ['bad', 'needs a person'];
  if (view.decided_ms > 0)
    return branch.owed === 'OWED_NOTHING' ? ['', 'was not begun'] : ['wait', 'is told the decision'];
  if (branch.try === 'TRY_DONE')
    return ['wait', `${words[1]}: done, and waits for the others`];
  return ['wait', `asked to ${words[1]}`];
}

// -- The picture --------------------------------------------------------------------------------

// What of a branch is under way: the colour of its bar.
function phaseOf(branch, view) {
  if (branch.end === 'END_DONE' || branch.try === 'TRY_REFUSED' || branch.owed === 'OWED_NOTHING') return null;
  if (view.decided_ms > 0) return view.state.toLowerCase() === 'confirmed' ? 'end' : 'no';
  return branch.try === 'TRY_DONE' ? 'kept' : 'try';
}

// history: [{at, view}]. Bars: one a branch and phase.
function barsOf(history) {
  const bars = [];
  const first = history[0].at;
  history.forEach((seen, i) => {
    const until = i + 1 < history.length ? history[i + 1].at : seen.until;
    (seen.view.branches || []).forEach((branch, row) => {
      const phase = phaseOf(branch, seen.view);
      if (phase) bars.push({ row, phase, from: seen.at - first, to: until - first });
    });
  });
  return bars;
}

// How long it took by the coordinator's clock.
function lengthOf(view) {
  return view.resolved_ms > 0 ? view.resolved_ms - view.created_ms : 0;
}

// It was over before the first look: what its own times say.
function barsOfPast(view) {
  const bars = [], decided = (view.decided_ms || view.resolved_ms) - view.created_ms;
  const phase = view.state.toLowerCase() === 'confirmed' ? 'end' : 'no';
  view.branches.forEach((branch, row) => {
    bars.push({ row, phase: 'try', from: 0, to: decided });
    if (branch.try !== 'TRY_REFUSED') bars.push({ row, phase, from: decided, to: lengthOf(view) });
  });
  return bars;
}

function drawTimeline(history) {
  const last = [...history].reverse().find(seen => seen.view.branches);
  if (!last) return null;
  const branches = last.view.branches, height = 26 * branches.length + 24;
  const seen = barsOf(history);
  const bars = seen.length > 0 || !isOver(last.view) ? seen : barsOfPast(last.view);
  const span = Math.max(200, history[history.length - 1].until - history[0].at, lengthOf(last.view));
  const scale = ms => 150 + ms / span * 480;
  const svg = drawing('svg', { viewBox: `0 0 650 ${height}`, class: 'timeline', role: 'img',
    'aria-label': `Timeline: ${branches.length} steps in ${Math.round(span)} milliseconds` });
  for (let i = 0; i <= 4; i++) {
    const x = scale(span * i / 4);
    svg.append(drawing('line', { x1: x, x2: x, y1: 4, y2: height - 20, class: 'tick' }));
    svg.append(drawing('text', { x, y: height - 6, 'text-anchor': i === 4 ? 'end' : 'middle', class: 'tick-text' }, duration(span * i / 4)));
  }
  branches.forEach((branch, row) => svg.append(drawing('text', { x: 4, y: 26 * row + 20 }, branch.action)));
  for (const bar of bars)
    svg.append(drawing('rect', { x: scale(bar.from), y: 26 * bar.row + 7, height: 16, rx: 2, class: bar.phase,
      width: Math.max(3, scale(bar.to) - scale(bar.from)) }));
  return svg;
}

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function legend() {
  const list = el('ul', { class: 'legend' });
  for (const [key, words] of [['try', 'being asked'], ['kept', 'ready, waiting for the others'], ['end', 'being confirmed'], ['no', 'being given back']])
    list.append(el('li', {}, el('span', { class: `key-${key}` }), words));
  return list;
}

// -- The table ----------------------------------------------------------------------------------

function drawBranches(view) {
  const body = el('tbody');
  for (const branch of view.branches || []) {
    const [kind, words] = branchWords(branch, view);
    body.append(el('tr', {}, el('td', {}, partOf(branch.action), el('div', { class: 'soft' }, branch.action)),
      el('td', { class: kind }, words),
      el('td', { class: 'n' }, String(branch.failures)),
      el('td', {}, branch.waits_for || '', branch.error && !isOver(view) ? el('div', { class: 'soft' }, branch.error) : '')));
  }
  return el('div', { class: 'wide' }, el('table', {},
    el('thead', {}, el('tr', {}, ...['Step', 'State', 'Failed calls', 'Waits for'].map(words => el('th', { scope: 'col' }, words)))), body));
}

// Fills `place` with a transaction until it is over; returns how to stop.
function watchTransaction(place, gid, onOver) {
  const kind = gid.split('-')[0];
  const history = [];
  const timer = setInterval(() => history.length > 0 && draw(), 500);
  const stop = () => {
    clearInterval(timer);
    source.close();
  };
  const source = new EventSource(`/api/watch/${encodeURIComponent(gid)}`);
  const newest = () => history[history.length - 1];
  // What looks the same as before lasts longer, and is nothing new.
  const sight = view => [view.silent, view.state, view.decided_ms > 0, ...(view.branches || []).map(branch => `${phaseOf(branch, view)}`)].join();
  const note = view => {
    const at = performance.now();
    if (history.length > 0 && sight(newest().view) === sight(view)) Object.assign(newest(), { view, until: at });
    else history.push({ at, until: at, view });
    draw();
  };
  const draw = () => {
    const view = newest().view;
    if (!isOver(view)) newest().until = performance.now();
    const shown = view.branches ? view : ([...history].reverse().find(seen => seen.view.branches) || { view }).view;
    const [mood, words] = inWords(view, kind, performance.now() - history[0].at > SLOW_MS);
    const link = system.console ? el('a', { href: `${system.console}/#/tx/${gid}`, target: '_blank', rel: 'noopener' }, 'the operator’s console') : '';
    place.replaceChildren(el('p', { class: `said ${mood}`, id: 'said' }, words));
    const picture = drawTimeline(history);
    if (picture)
      place.append(el('h2', {}, 'Behind this: one transaction'), el('div', { class: 'wide' }, picture), legend(), drawBranches(shown));
    place.append(el('p', { class: 'soft' }, `Transaction ${gid}. `, link ? 'See it in ' : '', link));
  };
  source.onmessage = event => {
    const view = JSON.parse(event.data);
    note(view);
    if (!isOver(view)) return;
    stop();
    onOver(view);
  };
  // The gateway itself may be gone: the browser asks again by itself.
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) return;
    note({ silent: true });
  };
  return stop;
}
