// The service worker: it keeps the page's own files, so that the page opens when
// its server cannot be reached. The network comes first: what is kept is never
// shown while something newer answers. Nothing else is kept or looked at, neither
// symbols nor the demo core.
//
// The build puts this file beside index.html, where it sees the whole page, with
// a line in front that sets `build`: {files: names, hash: of their contents}.

const cacheName = `coredrop-${build.hash}`;
const names = new Set(build.files);

// A network that hangs counts as none.
const PATIENCE_MS = 3000;

addEventListener('install', (event) => {
  skipWaiting();
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(build.files.map((name) => new Request(name, { cache: 'no-cache' })))));
});

addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith('coredrop-') && name !== cacheName) await caches.delete(name);
    }
    await clients.claim();
  })());
});

addEventListener('fetch', (event) => {
  const { request } = event, { origin, pathname } = new URL(request.url), scope = new URL(registration.scope);
  if (request.method !== 'GET' || origin !== scope.origin || !pathname.startsWith(scope.pathname)) return;
  const name = pathname.slice(scope.pathname.length) || 'index.html';
  if (names.has(name)) event.respondWith(answer(request, name));
});

async function answer(request, name) {
  const fresh = fetch(request), late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
  const first = await Promise.race([fresh, late]).catch(() => null);
  if (first && first.ok) return first;
  const cache = await caches.open(cacheName);
  return await cache.match(name) || first || fresh;
}
