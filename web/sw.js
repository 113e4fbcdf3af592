// The service worker: it keeps whole builds, so that the page opens when its
// server cannot be reached, and never with files of two builds. index.html comes
// from the network where that answers in time, with all its files named by the
// build it belongs to; what is below app/ never changes and comes from what is
// kept. Nothing else is kept or looked at, neither symbols nor the demo core.
//
// The build puts this file beside index.html, where it sees the whole page, with
// a line in front that sets `build`: {hash, files: {name: its SHA-256}, later}. What
// is later is kept once it was used, or when the page asks for the rest.

const PREFIX = 'coredrop-';
const cacheName = PREFIX + build.hash;
const INDEX = 'index.html';

// A network that hangs counts as none.
const PATIENCE_MS = 3000;

addEventListener('install', (event) => {
  skipWaiting();
  event.waitUntil(keep());
});

// keep fetches the build, and keeps it only when all of it is there and right.
async function keep() {
  const entries = await Promise.all([...Object.keys(build.files), INDEX].map(async (name) => {
    // What the browser has of it already may be a part only: then once more.
    const answer = await right(name, name === INDEX ? 'no-cache' : 'default') || await right(name, 'reload');
    if (!answer) throw new Error(`${name} is not this build's`);
    return [name, answer];
  }));
  const cache = await caches.open(cacheName);
  await Promise.all(entries.map(([name, answer]) => cache.put(name, answer)));
}

// right gives the answer for a name if it is what the build says, else null.
async function right(name, cache) {
  const answer = await fetch(name, { cache });
  if (!answer.ok) throw new Error(`${answer.status} for ${name}`);
  const data = await answer.arrayBuffer();
  const whole = name === INDEX ? new TextDecoder().decode(data).includes(`app/${build.hash}/`) : await sha256(data) === build.files[name];
  return whole ? new Response(data, { headers: answer.headers }) : null;
}

// keepLater keeps a file of the build that no visit needs, if it is right.
async function keepLater(name, answer) {
  const data = await answer.arrayBuffer();
  if (await sha256(data) !== build.later[name]) return;
  await (await caches.open(cacheName)).put(name, new Response(data, { headers: answer.headers }));
}

// keepRest keeps all that is later. What does not arrive is asked for another time.
async function keepRest() {
  const cache = await caches.open(cacheName);
  for (const name of Object.keys(build.later)) {
    if (await cache.match(name)) continue;
    const answer = await fetch(name);
    if (answer.ok) await keepLater(name, answer);
  }
}

addEventListener('message', (event) => {
  if (event.data?.keep === build.hash) event.waitUntil(keepRest().catch(() => {}));
});

async function sha256(data) {
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', data))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    // The build before this one stays: pages that are open still use it.
    const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== cacheName);
    for (const name of old.slice(0, -1)) await caches.delete(name);
    await clients.claim();
    for (const client of await clients.matchAll()) client.postMessage({ build: build.hash });
  })());
});

addEventListener('fetch', (event) => {
  const { request } = event, { origin, pathname, searchParams } = new URL(request.url), scope = new URL(registration.scope);
  if (request.method !== 'GET' || origin !== scope.origin || !pathname.startsWith(scope.pathname)) return;
  const name = pathname.slice(scope.pathname.length) || INDEX;
  if (name.startsWith('app/')) event.respondWith(kept(request, name));
  else if (name === INDEX || name in build.files || name in build.later) event.respondWith(searchParams.has('kept') ? kept(request, name) : page(request, name));
});

// page gives what has one name in every build: a newer one is never held back.
async function page(request, name) {
  const fresh = fetch(request), late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const first = await Promise.race([fresh, late]).catch(() => null);
  if (first && first.ok) {
    if (build.later[name]) await keepLater(name, first.clone());
    return first;
  }
  return await (await caches.open(cacheName)).match(name) || first || fresh;
}

// kept gives what is kept under a name, in this build or the one before.
async function kept(request, name) {
  const newest = await (await caches.open(cacheName)).match(name);
  if (newest) return newest;
  const older = await caches.match(new URL(name, registration.scope));
  if (older) return older;
  const answer = await fetch(request);
  if (answer.ok && build.later[name]) await keepLater(name, answer.clone());
  return answer;
}
