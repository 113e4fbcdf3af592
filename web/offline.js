// The page kept in the browser, and the word that a newer one is there.

/**
 * keepOffline asks the browser to keep the page. Not on plain http, nor in some
 * private windows: then the page needs its server.
 * @param {import('./store.js').Store} store
 * @param {(text: string) => void} log
 */
export async function keepOffline(store, log) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  const { build, offline } = store.state;
  serviceWorker.addEventListener('message', ({ data }) => {
    if (data && data.build && data.build !== build.hash) store.dispatch({ type: 'update' });
  });
  if (offline) return; // nothing is asked of the network
  const again = Boolean(serviceWorker.controller); // it gave this page
  try {
    const registration = await serviceWorker.register(new URL('sw.js', document.baseURI), { updateViaCache: 'none' });
    // A tab that stays open for days learns of it when it is looked at again.
    document.addEventListener('visibilitychange', () => { if (!document.hidden) registration.update().catch(() => {}); });
    // Who comes back may want all of it without a network: what a first visit does
    // without is fetched once nothing else is to be done. Not for who saves bytes.
    if (again && !(/** @type {any} */ (navigator).connection?.saveData)) (window.requestIdleCallback || setTimeout)(() => registration.active?.postMessage({ keep: build.hash }));
  } catch (error) {
    log(`the page is not kept for use offline: ${/** @type {Error} */ (error).message}`);
  }
}
