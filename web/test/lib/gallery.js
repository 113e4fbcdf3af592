// The gallery: the built page's own panels drawn from a summary, without a core.
// What the page itself draws stays out of the way.

/**
 * draw shows a summary; change is what else the session has. Commands do what they
 * do to the store; what they would do elsewhere is written down in globalThis.acted.
 */
export async function draw(view, summary, change = {}) {
  await view.page.evaluate(async (summary, change) => {
    const from = (name) => import(new URL(`app/${globalThis.coredropBoot.build.hash}/${name}`, document.baseURI));
    const [{ render }, { result }, { bar }, { Store }, { panels }] = await Promise.all(['lit-html/lit-html.js', 'web/frame/result.js', 'web/frame/bar.js', 'web/store.js', 'web/panels.js'].map(from));
    for (const id of ['result', 'start', 'bar-now']) {
      document.getElementById(id).hidden = true;
      document.getElementById(id).id = `page-${id}`;
      const stay = document.createElement('div'); // the page goes on drawing there
      stay.id = id;
      stay.hidden = true;
      document.body.append(stay);
    }
    document.getElementById('gallery')?.remove();
    const box = document.createElement('div');
    box.id = 'gallery';
    document.querySelector('main').append(box);
    const top = document.createElement('div');
    top.id = 'gallery-bar';
    top.style.cssText = 'flex: 1 1 20rem; display: flex; flex-wrap: wrap; gap: .35rem .6rem; min-width: 0'; // as #bar-now
    document.getElementById('bar').append(top);
    const store = globalThis.galleryStore = new Store({ ready: true });
    globalThis.acted = [];
    const act = (id, arg) => {
      globalThis.acted.push(id);
      if (id === 'ui') store.dispatch({ type: 'ui', ...arg });
      if (id === 'show') store.dispatch({ type: 'ui', panel: arg.panel, change: arg.change });
      if (id === 'kernel-log') store.dispatch({ type: 'session', change: { log: '[    0.000000] Linux version 6.1.0\n' } });
      return true;
    };
    // Panel by panel, as the page does.
    let drawn = 1, coming = 0;
    const next = () => {
      drawn++;
      render(result(store.state, act, drawn), box);
      coming = drawn < panels.length ? setTimeout(next) : 0;
      box.dataset.drawn = String(!coming);
    };
    let id = 0;
    store.subscribe((state) => {
      if (state.session && state.session.id !== id) {
        ({ id } = state.session);
        drawn = 1;
        box.dataset.drawn = 'false';
        clearTimeout(coming);
        coming = setTimeout(next);
      }
      render(result(state, act, drawn), box);
      render(bar(state, act), top);
    });
    store.dispatch({ type: 'opened', session: { id: 1, name: summary.file.name, size: summary.file.size, pasted: false, summary, json: '', options: { compat: false, type: '', registers: '' }, dump: null, log: '', stacks: false, changed: false, ...change } });
  }, summary, change);
  await view.page.waitForSelector('#gallery[data-drawn=true]');
}
