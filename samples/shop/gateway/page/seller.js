// SPDX-License-Identifier: Apache-2.0
// The seller's page, and the panel that breaks the system on purpose.
'use strict';

const POINTS_MAX = 120; // of a plot: a minute

function drawPlot(title, names, series) {
  const most = Math.max(1, ...series.flat());
  const svg = drawing('svg', { viewBox: '0 0 300 120', class: 'plot', preserveAspectRatio: 'none', role: 'img',
    'aria-label': `${title}: ${names.map((name, i) => `${name} ${series[i][series[i].length - 1]}`).join(', ')}` });
  svg.append(drawing('line', { x1: 0, x2: 300, y1: 119, y2: 119 }));
  series.forEach((values, i) => svg.append(drawing('polyline', { class: 'abc'[i], 'vector-effect': 'non-scaling-stroke',
    points: values.map((value, x) => `${x / (POINTS_MAX - 1) * 300},${116 - value / most * 110}`).join(' ') })));
  const key = el('ul', { class: 'legend' });
  names.forEach((name, i) => key.append(el('li', {}, el('span', { class: `key-${'abc'[i]}` }), `${name} `,
    el('b', {}, title === 'Money' ? money(series[i][series[i].length - 1]) : String(series[i][series[i].length - 1])))));
  return el('section', { class: 'card' }, el('h2', {}, title), svg, key);
}

function drawShelves(stock, products) {
  const body = el('tbody');
  for (const shelf of stock) {
    const all = Math.max(1, shelf.available + shelf.reserved + shelf.sold);
    const bar = drawing('svg', { viewBox: '0 0 100 10', class: 'bar', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    let x = 0;
    for (const [key, value] of [['a', shelf.available], ['b', shelf.reserved], ['c', shelf.sold]]) {
      bar.append(drawing('rect', { x, y: 0, height: 10, width: value / all * 100, class: key }));
      x += value / all * 100;
    }
    const product = products.find(one => one.item === shelf.item);
    body.append(el('tr', {}, el('td', {}, product ? product.name : `item ${shelf.item}`), el('td', { class: 'n' }, String(shelf.warehouse)),
      el('td', { class: 'n' }, String(shelf.available)), el('td', { class: 'n' }, String(shelf.reserved)), el('td', { class: 'n' }, String(shelf.sold)), el('td', {}, bar)));
  }
  return el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {},
    ...['Product', 'Warehouse', 'Available', 'Reserved', 'Sold', ''].map((words, i) => el('th', { scope: 'col', class: i > 0 && i < 5 ? 'n' : '' }, words)))), body));
}

async function showSeller(main) {
  if (me.role !== 2) {
    main.replaceChildren(el('h1', {}, 'Seller'), el('p', {}, 'Sign in as the seller to see this: the name is “seller”, and the start of the shop prints the password.'));
    return;
  }
  const products = await get('/api/products');
  const plots = el('div', { class: 'plots' }), shelves = el('div'), missing = el('p', { class: 'wait' });
  const flash = el('button', { class: 'main', id: 'flash' }, 'Flash sale: 1,000 buyers, 100 pieces');
  const result = el('p', { id: 'flash-result', role: 'status' });
  flash.onclick = async () => {
    flash.disabled = true;
    result.textContent = 'Selling…';
    try {
      const sale = await post('/api/flash', {});
      result.textContent = `${sale.confirmed} of ${sale.buyers} buyers got a piece, ${sale.refused} were told that it is sold out` +
        `${sale.unknown ? `, ${sale.unknown} do not know yet` : ''}. That took ${duration(sale.elapsed_ms)}: ${Math.round(sale.buyers * 1000 / Math.max(1, sale.elapsed_ms))} checkouts a second.`;
    } catch (error) {
      result.textContent = error.message;
    }
    flash.disabled = false;
  };
  main.replaceChildren(el('h1', {}, 'Seller'), el('p', {}, flash), result, missing, plots, priceForm(products), el('h2', {}, 'Shelves'), shelves);
  const stock = [[], [], []], cash = [[], []], orders = [[], [], []];
  const push = (series, values) => values.forEach((value, i) => {
    series[i].push(value);
    if (series[i].length > POINTS_MAX) series[i].shift();
  });
  const source = new EventSource('/api/figures');
  source.onmessage = event => {
    const now = JSON.parse(event.data);
    const sum = name => now.stock.reduce((total, shelf) => total + shelf[name], 0);
    const silent = ['stock', 'money', 'orders'].filter(name => !now[name]);
    missing.textContent = silent.length ? `Does not answer just now: ${silent.join(', ')}. The last figures stay.` : '';
    if (now.stock) push(stock, [sum('available'), sum('reserved'), sum('sold')]);
    if (now.money) push(cash, [now.money.held_cents, now.money.paid_cents]);
    if (now.orders) push(orders, [now.orders.pending, now.orders.paid, now.orders.cancelled]);
    plots.replaceChildren();
    if (stock[0].length) plots.append(drawPlot('Pieces', ['available', 'reserved', 'sold'], stock));
    if (cash[0].length) plots.append(drawPlot('Money', ['held', 'paid'], cash));
    if (orders[0].length) plots.append(drawPlot('Orders', ['open', 'paid', 'cancelled'], orders));
    if (now.stock) shelves.replaceChildren(drawShelves(now.stock, products));
  };
  leave = () => source.close();
}

function priceForm(products) {
  const item = el('select', { id: 'price-item' }, ...products.slice(0, 20).map(product => el('option', { value: product.item }, product.name)));
  const cents = el('input', { id: 'price', type: 'number', min: '0.01', step: '0.01', required: '' });
  const form = el('form', { class: 'row card' }, el('label', {}, 'Price of ', item), el('label', {}, 'is now ', cents), el('button', {}, 'Set the price'));
  form.onsubmit = event => {
    event.preventDefault();
    act(post('/api/price', { item: Number(item.value), unit_cents: Math.round(Number(cents.value) * 100) }), 'The price is changed.');
  };
  return form;
}

// -- Break it -----------------------------------------------------------------------------------

const SERVICES = ['stock', 'payment', 'order', 'catalogue', 'cart'];

function drawProcess(process) {
  const fault = system.faults[process.name] || {};
  const says = process.state !== 'running' ? process.state : fault.delay_ms ? `slow: ${fault.delay_ms} ms` : fault.refuses ? 'refuses' : 'running';
  const tasks = process.name.endsWith('database') ? (process.state === 'cut' ? ['mend'] : ['cut'])
    : process.state === 'stopped' ? ['start'] : process.state === 'frozen' ? ['thaw', 'kill'] : ['stop', 'kill', 'freeze'];
  if (SERVICES.includes(process.name) && process.state === 'running')
    tasks.push(...(fault.delay_ms || fault.refuses ? ['well'] : ['slow', 'refuse']));
  return el('tr', {}, el('td', {}, process.name), el('td', { class: says === 'running' ? 'good' : 'bad' }, says),
    el('td', {}, ...tasks.map(verb => {
      const button = el('button', { 'aria-label': `${verb} ${process.name}`, 'data-task': `${verb} ${process.name}` }, verb);
      button.onclick = () => act(post('/api/break', { name: process.name, verb }).then(refreshSystem));
      return button;
    })));
}

async function refreshSystem() {
  const panel = document.querySelector('#break');
  if (!me.user) {
    panel.replaceChildren();
    return;
  }
  try {
    system = await get('/api/system');
  } catch {
    return; // what is shown stays
  }
  let details = panel.querySelector('details');
  if (!details) {
    details = el('details', {}, el('summary', {}, 'Break it'), el('p', { class: 'soft' },
      'Stop a service, make it slow, kill the coordinator, cut a database — then buy something, and see what the page says. Start it again, and see that nothing was lost.'), el('div', { class: 'wide' }));
    details.ontoggle = refreshSystem;
    panel.replaceChildren(details);
  }
  const drawn = JSON.stringify(system);
  if (details.dataset.drawn === drawn) return; // a button keeps its focus
  details.dataset.drawn = drawn;
  const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.task : null;
  details.querySelector('div').replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, ...['Part', 'State', 'What to do to it'].map(words => el('th', { scope: 'col' }, words)))),
    el('tbody', {}, ...system.processes.filter(process => process.name !== 'gateway').map(drawProcess))));
  const again = focus && details.querySelector(`[data-task="${CSS.escape(focus)}"]`);
  if (again) again.focus();
}
