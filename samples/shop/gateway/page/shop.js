// SPDX-License-Identifier: Apache-2.0
// The shop's pages: which is shown is said after the "#" of the address. Texts go in as text, never as HTML.
'use strict';

let me = { user: 0, csrf: '' }, system = { processes: [], faults: {}, console: '' };
let greeting = ''; // for the page that comes next
let leave = null; // what the page that is left has to stop

// -- Small tools --------------------------------------------------------------------------------

function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawing(name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function money(cents) {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
}

function notice(words, isBad) {
  const place = document.querySelector('#notice');
  place.textContent = words;
  place.className = isBad ? 'bad' : '';
}

async function answerOf(response) {
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (!response.ok) throw Object.assign(new Error(answer.error || `the shop says ${response.status}`), { status: response.status });
  return answer;
}

async function get(path) {
  return answerOf(await fetch(path));
}

async function post(path, body) {
  return answerOf(await fetch(path, { method: 'POST', body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf } }));
}

// Waits for what a button has begun, and says how it went.
async function act(promise, done) {
  try {
    const answer = await promise;
    if (done) notice(done);
    return answer;
  } catch (error) {
    notice(error instanceof TypeError ? 'The shop cannot be reached just now: look again later whether this was done.' : error.message, true);
    return null;
  }
}

// -- Pictures -----------------------------------------------------------------------------------

// Class and path of each part, on 120 x 90.
const PICTURES = [
  ['a M35 40h44v20q0 12-12 12H47q-12 0-12-12z', 'l M79 46q14-2 12 8t-14 8M35 50l-12-8M45 34h24', 'b M53 26h8v8h-8z'],
  ['c M38 28h36v36q0 6-6 6H44q-6 0-6-6z', 'l M74 36q14 0 14 10T74 56M48 20q-4-4 0-8M60 20q-4-4 0-8'],
  ['b M44 18h32l12 30H32z', 'l M60 48v24M44 74h32'],
  ['a M60 50Q36 46 34 20q26 2 26 30zM60 50q2-30 28-28-2 26-28 28z', 'b M44 52h32l-5 22H49z'],
  ['c M60 16a29 29 0 1 0 .1 0z', 'w M60 22a23 23 0 1 0 .1 0z', 'l M60 30v15l10 8'],
  ['b M60 10l26 30-26 22-26-22z', 'l M60 10v52M34 40h52M60 62q-8 8 0 14t-4 10'],
  ['c M22 46q4-30 38-30t38 30q-9-8-19 0-9-8-19 0-10-8-19 0-10-8-19 0z', 'l M60 46v24q0 8-8 8t-8-7'],
  ['a M38 30q0-16 22-16t22 16v40q0 6-6 6H44q-6 0-6-6z', 'w M46 46h28v18H46z', 'l M50 14q0-6 10-6t10 6M60 46v6'],
  ['b M30 62q0-36 30-36t30 36z', 'l M26 62h68M60 26v-6M60 62v8'],
  ['w M30 15h60v60H30z', 'l M30 15h60v60H30z', 'a M30 15h15v15H30zM60 15h15v15H60zM45 30h15v15H45zM75 30h15v15H75zM30 45h15v15H30zM60 45h15v15H60zM45 60h15v15H45zM75 60h15v15H75z'],
  ['w M48 36h24v40H48z', 'l M48 36h24v40H48zM60 36v-6', 'b M60 10q10 12 0 20-10-8 0-20z'],
  ['c M36 12h48v66H36z', 'w M46 22h28v14H46z', 'l M42 12v66'],
  ['a M26 24q34 22 68 0v14q-14 8-24 10l8 28H62l-4-26q-16 0-32-12z', 'l M64 76v6M70 76v6M76 76v6'],
  ['b M28 42h64l-8 32H36z', 'l M36 42q0-28 24-28t24 28M32 52h56M34 62h52'],
  ['c M50 16h20v10q14 10 14 26 0 22-24 22T36 52q0-16 14-26z', 'l M60 16q0-8 8-10'],
  ['b M24 32h72v40H24z', 'w M32 40h28v24H32z', 'l M40 32L70 12M72 44h16M72 54h16M72 62h8'],
  ['c M60 12a27 27 0 1 0 .1 0z', 'a M46 22q14-6 20 4l-6 10-12 2zM62 44q14-2 16 8l-12 10z', 'l M60 66v10M44 78h32'],
  ['a M32 22h24q-4-12 4-12t4 12h24v24q-12-4-12 5t12 3v22H32V52q12 6 12-3t-12-3z'],
  ['b M30 26q30-8 60 0 6 20 0 42-30 8-60 0-6-22 0-42z', 'l M44 36l32 22M76 36L44 58'],
  ['c M26 46l52-26 8 16-52 26z', 'l M60 52l-14 26M60 52l14 26M84 18l6 12'],
  ['b M22 28h76v12q-8 0-8 7t8 7v12H22V54q8 0 8-7t-8-7z', 'l M44 34v28', 'w M54 40h30v4H54zM54 50h22v4H54z'],
];

function picture(product) {
  const svg = drawing('svg', { viewBox: '0 0 120 90', class: 'picture', role: 'img', 'aria-label': product.name });
  svg.append(drawing('rect', { width: 120, height: 90, class: 'back' }));
  for (const part of PICTURES[product.item - 1] || [])
    svg.append(drawing('path', { class: part[0], d: part.slice(2) }));
  return svg;
}

// -- Looking round ------------------------------------------------------------------------------

function availability(product) {
  if (product.available === undefined) return el('span', { class: 'soft' }, 'the warehouse does not answer just now');
  return product.available > 0 ? el('span', { class: 'soft' }, `${product.available} left`) : el('span', { class: 'bad' }, 'sold out');
}

function stars(product) {
  return product.reviews ? `${'★'.repeat(Math.round(product.stars))}${'☆'.repeat(5 - Math.round(product.stars))} (${product.reviews})` : 'no reviews yet';
}

async function showProducts(main, words) {
  const products = (await get(`/api/products?q=${encodeURIComponent(words)}`)).filter(product => product.item <= 20);
  const list = el('ul', { class: 'grid' });
  for (const product of products)
    list.append(el('li', { class: 'card' }, el('a', { href: `#/product/${product.item}` }, picture(product), el('div', {}, product.name)),
      el('p', {}, product.about), el('div', { class: 'row' }, el('span', { class: 'price' }, money(product.unit_cents)), availability(product))));
  main.replaceChildren(el('h1', {}, words ? `What has “${words}”` : 'Everything'),
    products.length ? list : el('p', {}, 'Nothing has these words.'));
}

async function showProduct(main, item) {
  const product = (await get('/api/products')).find(one => one.item === Number(item));
  if (!product) throw new Error('there is no such product');
  const reviews = await get(`/api/reviews/${product.item}`);
  const quantity = el('input', { type: 'number', id: 'quantity', min: 1, max: 100, value: 1 });
  const add = el('button', { class: 'main', id: 'add' }, 'Into the cart');
  const buy = el('button', { id: 'buy' }, 'Buy at once');
  const key = newKey(); // of what the button on this page orders: pressed twice, it is one order
  add.onclick = () => act(addToCart(product.item, Number(quantity.value)), `${product.name} is in your cart.`);
  buy.onclick = () => order('/api/buy', { key, item: product.item, quantity: Number(quantity.value), total_cents: product.unit_cents * Number(quantity.value) }, buy);
  const list = el('ul', {});
  for (const review of reviews) list.append(el('li', {}, el('b', {}, `${'★'.repeat(review.stars)} ${review.author}: `), review.words));
  main.replaceChildren(el('div', { class: 'split' }, picture(product), el('div', {}, el('h1', {}, product.name), el('p', {}, product.about),
    el('p', {}, el('span', { class: 'price' }, money(product.unit_cents)), ' ', availability(product)), el('p', { class: 'soft' }, stars(product)),
    me.user ? el('div', { class: 'row' }, el('label', {}, 'Quantity ', quantity), add, buy) : el('p', {}, el('a', { href: '#/sign-in' }, 'Sign in'), ' to buy.'))),
    el('h2', {}, 'Reviews'), reviews.length ? list : el('p', { class: 'soft' }, 'Nobody has said anything yet.'), me.user ? reviewForm(product) : '');
}

function reviewForm(product) {
  const number = el('select', { id: 'stars' }, ...[5, 4, 3, 2, 1].map(n => el('option', { value: n }, '★'.repeat(n))));
  const words = el('textarea', { id: 'review', rows: 2, maxlength: 400, required: '' });
  const form = el('form', { class: 'tall' }, el('label', {}, 'Stars', number), el('label', {}, 'What do you think of it?', words), el('button', {}, 'Write the review'));
  form.onsubmit = async event => {
    event.preventDefault();
    if (await act(post('/api/reviews', { item: product.item, stars: Number(number.value), words: words.value }), 'Thank you.')) show();
  };
  return form;
}

// -- Buying -------------------------------------------------------------------------------------

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(36).padStart(2, '0')).join('').slice(0, 24);
}

async function addToCart(item, quantity) {
  const cart = await get('/api/cart');
  const line = cart.lines.find(one => one.item === item);
  return post('/api/cart', { item, quantity: quantity + (line ? line.quantity : 0) });
}

// The same key again is the same order: so it is safe to ask again until it is known to have arrived.
async function order(path, body, button) {
  button.disabled = true;
  for (let tries = 0; ; tries++) {
    // A request that got no answer may have arrived.
    const answer = await act(post(path, body).catch(error => {
      if (error instanceof TypeError) return { is_known: false };
      throw error;
    }));
    if (answer && answer.is_known) {
      notice('');
      location.hash = `#/order/${answer.gid}`;
      return;
    }
    if (!answer) break;
    if (tries === 30) {
      notice('We still do not know whether your order has arrived. Press the button again: it is the same order.', true);
      break;
    }
    notice('We do not know yet whether your order has arrived. Nothing is lost: it is being sent again, as the same order.');
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
  button.disabled = false;
}

async function showCart(main) {
  const [cart, products] = await Promise.all([get('/api/cart'), get('/api/products')]);
  let total = 0;
  const body = el('tbody');
  for (const line of cart.lines) {
    const product = products.find(one => one.item === line.item);
    const quantity = el('input', { type: 'number', min: 0, max: 100, value: line.quantity, 'aria-label': `Quantity of ${product.name}` });
    quantity.onchange = async () => {
      await act(post('/api/cart', { item: line.item, quantity: Number(quantity.value) }));
      show();
    };
    total += product.unit_cents * line.quantity;
    body.append(el('tr', {}, el('td', {}, el('a', { href: `#/product/${line.item}` }, product.name)), el('td', { class: 'n' }, quantity),
      el('td', { class: 'n' }, money(product.unit_cents * line.quantity))));
  }
  const wallet = await get('/api/wallet').catch(() => null);
  const buy = el('button', { class: 'main', id: 'checkout' }, `Buy for ${money(total)}`);
  const key = newKey();
  buy.onclick = () => order('/api/checkout', { key, total_cents: total }, buy);
  main.replaceChildren(el('h1', {}, 'Cart'), cart.lines.length
    ? el('div', {}, el('table', {}, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Product'), el('th', { scope: 'col', class: 'n' }, 'Quantity'), el('th', { scope: 'col', class: 'n' }, 'Price'))), body), el('p', {}, buy))
    : el('p', {}, 'Your cart is empty.'),
    cart.is_ordering ? el('p', { class: 'wait' }, 'This cart is being ordered just now: see ', el('a', { href: '#/orders' }, 'your orders'), '.') : '',
    el('p', { class: 'soft' }, wallet ? `Your wallet: ${money(wallet.available_cents)} available, ${money(wallet.held_cents)} held, ${money(wallet.paid_cents)} paid.` : 'The cashier does not answer just now.'));
}

const STATES = { PENDING: ['wait', 'being confirmed'], PAID: ['good', 'paid'], CANCELLED: ['bad', 'not made; nothing was charged'], RETURNING: ['wait', 'being given back'], RETURNED: ['', 'returned'] };

async function showOrders(main) {
  const [answer, products] = await Promise.all([get('/api/orders'), get('/api/products').catch(() => [])]);
  const nameOf = item => (products.find(one => one.item === item) || { name: `item ${item}` }).name;
  const body = el('tbody');
  const known = new Set((answer.orders || []).map(one => one.gid));
  for (const one of (answer.open || []).filter(open => open.gid.startsWith('order-') && !known.has(open.gid)))
    body.append(el('tr', {}, el('td', {}, el('a', { href: `#/order/${one.gid}` }, 'An order')), el('td', { class: 'wait state' }, 'being confirmed'), el('td'), el('td')));
  for (const one of answer.orders || []) {
    const [mood, words] = STATES[one.state] || ['', one.state];
    body.append(el('tr', {}, el('td', {}, el('a', { href: `#/order/${one.gid}` }, one.lines.map(line => `${line.quantity} × ${nameOf(line.item)}`).join(', ') || 'an order'),
      el('div', { class: 'soft' }, new Date(one.placed_ms).toLocaleString())),
      el('td', { class: `state ${mood}` }, words), el('td', { class: 'n' }, money(one.total_cents)), el('td', {}, refundButton(one))));
  }
  main.replaceChildren(el('h1', {}, 'Your orders'),
    answer.orders ? '' : el('p', { class: 'wait' }, 'The order book does not answer just now: what you ordered is safe, and will be shown again.'),
    answer.open ? '' : el('p', { class: 'wait' }, 'The desk that decides on orders does not answer just now: orders under way wait for it, and nothing is lost.'),
    body.children.length ? el('div', { class: 'wide' }, el('table', {}, el('thead', {}, el('tr', {}, ...['Order', 'State', 'Total', ''].map(words => el('th', { scope: 'col' }, words)))), body)) : el('p', {}, 'You have ordered nothing yet.'));
}

function refundButton(one) {
  if (one.state !== 'PAID' || !one.gid.startsWith('order-')) return '';
  const button = el('button', {}, 'Give back');
  const key = newKey();
  button.onclick = () => order('/api/refund', { key, gid: one.gid }, button);
  return button;
}

function showOrder(main, gid) {
  const place = el('div', { 'aria-live': 'polite' }, el('p', {}, 'Asking…'));
  main.replaceChildren(el('h1', {}, gid.startsWith('refund-') ? 'Giving back' : 'Your order'), place, el('p', {}, el('a', { href: '#/orders' }, 'All your orders')));
  leave = watchTransaction(place, gid, () => drawNav());
}

// -- Signing in ---------------------------------------------------------------------------------

function showSignIn(main, isNew) {
  const name = el('input', { id: 'name', autocomplete: 'username', maxlength: 40, required: '' });
  const password = el('input', { id: 'password', type: 'password', autocomplete: isNew ? 'new-password' : 'current-password', maxlength: 128, required: '' });
  const form = el('form', { class: 'tall card' }, el('label', {}, 'Name', name), el('label', {}, 'Password', password, isNew ? el('span', { class: 'soft' }, 'at least 8 characters') : ''),
    el('button', { class: 'main', id: 'go' }, isNew ? 'Register' : 'Sign in'));
  form.onsubmit = async event => {
    event.preventDefault();
    const answer = await act(post(isNew ? '/api/register' : '/api/sign-in', { name: name.value, password: password.value }));
    if (!answer) return;
    me = answer;
    greeting = isNew ? `Welcome, ${me.name}. There are 500.00 in your wallet.` : `Hello, ${me.name}.`;
    refreshSystem();
    location.hash = '#/';
  };
  main.replaceChildren(el('h1', {}, isNew ? 'Register' : 'Sign in'), form,
    isNew ? el('p', {}, 'You are known here already? ', el('a', { href: '#/sign-in' }, 'Sign in')) : el('p', {}, 'New here? ', el('a', { href: '#/register' }, 'Register')));
}

async function signOut() {
  if (!await act(post('/api/sign-out', {}), 'You are signed out.')) return;
  me = { user: 0, csrf: '' };
  refreshSystem();
  location.hash = '#/';
  show();
}

async function drawNav() {
  const nav = document.querySelector('#nav');
  if (!me.user) {
    nav.replaceChildren(el('a', { href: '#/sign-in' }, 'Sign in'), el('a', { href: '#/register' }, 'Register'));
    return;
  }
  const out = el('button', { class: 'plain', id: 'sign-out' }, `Sign out ${me.name}`);
  out.onclick = signOut;
  nav.replaceChildren(el('a', { href: '#/cart' }, 'Cart'), el('a', { href: '#/orders' }, 'Orders'), me.role === 2 ? el('a', { href: '#/seller' }, 'Seller') : '', out);
}

// -- Which page ---------------------------------------------------------------------------------

async function show() {
  const main = document.querySelector('#main');
  const [, page, rest] = location.hash.match(/^#\/([^/]*)\/?(.*)$/) || [null, '', ''];
  if (leave) leave();
  leave = null;
  drawNav();
  try {
    if (page === 'product') await showProduct(main, rest);
    else if (page === 'search') await showProducts(main, decodeURIComponent(rest));
    else if (page === 'sign-in' || page === 'register') showSignIn(main, page === 'register');
    else if (page === 'seller') await showSeller(main);
    else if (page === 'cart') await showCart(main);
    else if (page === 'orders') await showOrders(main);
    else if (page === 'order') showOrder(main, rest);
    else await showProducts(main, '');
  } catch (error) {
    if (error.status === 401) {
      me = { user: 0, csrf: '' };
      location.hash = '#/sign-in';
      return;
    }
    const again = el('button', {}, 'Try again');
    again.onclick = show;
    main.replaceChildren(el('p', { class: 'said wait' }, error instanceof TypeError ? 'The shop cannot be reached just now.' : `Just now this cannot be shown: ${error.message}.`), again);
  }
}

document.querySelector('#search').onsubmit = event => {
  event.preventDefault();
  location.hash = `#/search/${encodeURIComponent(document.querySelector('#words').value)}`;
};
window.onhashchange = () => {
  notice(greeting);
  greeting = '';
  show();
  document.querySelector('#main').focus();
};
get('/api/me').then(answer => { me = answer; }, () => {}).then(async () => {
  await refreshSystem();
  setInterval(refreshSystem, 2000);
  show();
});
