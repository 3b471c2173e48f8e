// Brings the stored snapshots of a built page to life: no kernel, no server, no network.
// A page loads this file as a classic deferred script. It finds every `.lmcourse-widget` element,
// loads the widget's module from the file beside this one, and lets it draw from the stored state.
// Module files cannot be imported from disk (file://), so each one is a classic script that calls
// `lmcourse.register(name, source)`; the source is then imported through a Blob URL.
// Trained weights come the same way, by `lmcourse.registerWeights`, when a widget asks for them.
(() => {
  "use strict";
  const folder = new URL(".", document.currentScript.src);
  const modules = new Map(); // name -> promise of the module
  const sources = new Map(); // name -> text of the module
  const weights = new Map(); // name -> promise of { sha256, bytes }
  const files = new Map(); // name -> { sha256, base64 } of weights that were just loaded

  // The part of anywidget's model that the widgets use. The page is the only reader of the state.
  class Model {
    #state;
    #listeners = new Map();
    constructor(state) {
      this.#state = state;
    }
    get(key) {
      return this.#state[key];
    }
    set(key, value) {
      if (Object.is(this.#state[key], value)) return;
      this.#state[key] = value;
      for (const listener of [...(this.#listeners.get(`change:${key}`) ?? [])]) listener(this, value);
    }
    save_changes() {}
    on(event, listener) {
      if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
      this.#listeners.get(event).add(listener);
    }
    off(event, listener) {
      this.#listeners.get(event)?.delete(listener);
    }
  }

  function element(tag, properties) {
    return Object.assign(document.createElement(tag), properties);
  }

  function loaded(node) {
    return new Promise((resolve, reject) => {
      node.onload = resolve;
      node.onerror = () => reject(new Error(`${node.src || node.href} is missing`));
      document.head.append(node);
    });
  }

  let style;
  function loadStyle() {
    style ??= loaded(element("link", { rel: "stylesheet", href: new URL("widgets.css", folder) }));
    return style;
  }

  async function load(name) {
    if (!sources.has(name)) await loaded(element("script", { src: new URL(`${name}.js`, folder) }));
    const url = URL.createObjectURL(new Blob([sources.get(name)], { type: "text/javascript" }));
    try {
      return (await import(url)).default;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  async function readWeights(name) {
    if (!/^\w+$/.test(name)) throw new Error(`"${name}" is not the name of weights`);
    await loaded(element("script", { src: new URL(`${name}.weights.js`, folder) }));
    const { sha256, base64 } = files.get(name);
    files.delete(name);
    return { sha256, bytes: Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)) };
  }

  // The bytes of a file of trained weights. It is loaded once for all widgets of the page, and tried
  // again after it failed.
  function loadWeights(name) {
    if (!weights.has(name)) {
      const file = readWeights(name);
      weights.set(name, file);
      file.catch(() => weights.delete(name));
    }
    return weights.get(name);
  }

  async function mount(snapshot) {
    snapshot.dataset.state = "loading";
    const live = element("div", { className: "lmcourse-live" });
    try {
      const name = snapshot.dataset.widget;
      if (!/^\w+$/.test(name)) throw new Error(`"${name}" is not the name of a widget`);
      const state = JSON.parse(snapshot.querySelector('script[type="application/json"]').textContent);
      if (!modules.has(name)) modules.set(name, load(name));
      const [module] = await Promise.all([modules.get(name), loadStyle()]);
      snapshot.append(live);
      await module.render({ model: new Model(state), el: live });
      snapshot.dataset.state = "live";
    } catch (error) {
      live.remove();
      snapshot.dataset.state = "failed";
      const message = element("p", { textContent: `This widget could not start: ${error.message}` });
      message.setAttribute("role", "alert");
      snapshot.append(message);
      console.error(error);
    }
  }

  window.lmcourse = {
    register: (name, source) => sources.set(name, source),
    registerWeights: (name, sha256, base64) => files.set(name, { sha256, base64 }),
    weights: loadWeights,
    mount: (root) =>
      Promise.all([...root.querySelectorAll(".lmcourse-widget:not([data-state])")].map(mount)),
  };
  window.lmcourse.ready = window.lmcourse.mount(document);
})();
