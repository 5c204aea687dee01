// What pages need besides plain HTML: the live stream, ages of instants, theme, menu, focus.
//
// One event stream a page, closed while the page is hidden (browsers allow six connections a server).
// An event becomes `live-TOPIC` on the body; the parts that follow it fetch themselves again by htmx.
(() => {
  'use strict';
  const body = document.body;
  const one = (selector, within = document) => within.querySelector(selector);

  // --- The live stream ---
  const RETRY_MS = [500, 1000, 2000, 5000];
  const SILENCE_MS = 30000; // The server sends something at least every 10 s.
  let source = null;
  let failures = 0;
  let lastId = null;
  let retry = null;
  let watchdog = null;
  let paused = false;

  const topics = () => [...new Set([...document.querySelectorAll('[data-topic]')].map((part) => part.dataset.topic))];
  const refresh = (topic) => { if (!paused) body.dispatchEvent(new CustomEvent(`live-${topic}`)); };
  const refreshAll = () => topics().forEach(refresh);

  const show = (state, word) => {
    const mark = one('[data-stream]');
    if (!mark || mark.dataset.stream === state) return;
    mark.dataset.stream = state;
    one('[data-stream-word]', mark).textContent = word;
    const dropped = one('[data-dropped]');
    if (state === 'down' && dropped.hidden) {
      one('[data-dropped-since]', dropped).textContent = new Date().toLocaleTimeString();
    }
    dropped.hidden = state !== 'down';
  };

  const close = () => {
    clearTimeout(retry);
    clearTimeout(watchdog);
    if (source) source.close();
    source = null;
  };

  const dropped = () => {
    close();
    failures += 1;
    if (failures > 1) show('down', 'stream down');
    retry = setTimeout(open, RETRY_MS[Math.min(failures, RETRY_MS.length) - 1]);
  };

  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(dropped, SILENCE_MS);
  };

  function open() {
    close();
    if (!body.dataset.events || document.hidden) return;
    source = new EventSource(body.dataset.events);
    heard();
    source.onerror = dropped;
    source.addEventListener('hello', (event) => {
      const missed = lastId !== null && lastId !== event.data;
      if (failures > 0 || missed) refreshAll();
      failures = 0;
      lastId = event.data;
      heard();
      show(paused ? 'paused' : 'live', paused ? 'paused' : 'live');
    });
    source.addEventListener('here', heard);
    for (const topic of topics()) {
      source.addEventListener(topic, (event) => {
        lastId = event.lastEventId;
        heard();
        refresh(topic);
      });
    }
  }

  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  window.addEventListener('pagehide', close);

  const pause = one('[data-pause]');
  if (pause) {
    pause.addEventListener('click', () => {
      paused = !paused;
      pause.setAttribute('aria-pressed', String(paused));
      pause.textContent = paused ? 'Go on' : 'Pause';
      show(paused ? 'paused' : 'live', paused ? 'paused' : 'live');
      if (!paused) refreshAll();
    });
  }

  // --- Ages: "3 s ago" or "in 5 min" behind every instant ---
  const span = (s) => {
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return `${Math.floor(s / 86400)} d`;
  };
  const words = (ms) => {
    const s = Math.round(ms / 1000);
    // Two clocks are never quite equal: what has just happened did not happen in the future.
    return s < -2 ? `in ${span(-s)}` : `${span(Math.max(0, s))} ago`;
  };
  const age = () => {
    const now = Date.now();
    for (const time of document.querySelectorAll('time[datetime]')) {
      const text = words(now - Date.parse(time.dateTime));
      if (time.dataset.age !== text) time.dataset.age = text;
    }
  };
  setInterval(age, 1000);

  // --- What changed is said to those who do not see it ---
  const announce = one('[data-announce]');
  let said = '';
  const say = () => {
    const text = [...document.querySelectorAll('[data-say]')].map((part) => part.dataset.say).join('. ');
    if (said && text !== said && announce) announce.textContent = text;
    said = text;
  };

  // --- Theme: auto, light, dark ---
  const toggle = one('[data-theme-toggle]');
  if (toggle) {
    const root = document.documentElement;
    const order = ['auto', 'light', 'dark'];
    const name = () => toggle.setAttribute('title', `Colours: ${root.dataset.theme || 'auto'}`);
    toggle.addEventListener('click', () => {
      const next = order[(order.indexOf(root.dataset.theme || 'auto') + 1) % order.length];
      if (next === 'auto') {
        delete root.dataset.theme;
        localStorage.removeItem('pleiad-theme');
      } else {
        root.dataset.theme = next;
        localStorage.setItem('pleiad-theme', next);
      }
      name();
    });
    name();
  }

  // --- Menu on small screens, the account's box, "/" for the filter, Escape to close ---
  const burger = one('[data-menu]');
  const menu = one('#menu');
  const setMenu = (isOpen) => {
    menu.classList.toggle('open', isOpen);
    burger.setAttribute('aria-expanded', String(isOpen));
  };
  if (burger) burger.addEventListener('click', () => setMenu(!menu.classList.contains('open')));
  document.addEventListener('keydown', (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (event.key === '/' && !typing) {
      const filter = one('[data-hotkey="/"]');
      if (filter) { event.preventDefault(); filter.focus(); }
    }
    if (event.key === 'Escape') {
      const account = one('details.account[open]');
      if (account) { account.open = false; one('summary', account).focus(); }
      if (burger && menu.classList.contains('open')) { setMenu(false); burger.focus(); }
    }
  });
  document.addEventListener('click', (event) => {
    const account = one('details.account[open]');
    if (account && !account.contains(event.target)) account.open = false;
  });

  // --- A message of the ladder opens when it is the target ---
  const openTarget = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === 'DETAILS') target.open = true;
  };
  window.addEventListener('hashchange', openTarget);

  // --- After each replacement, and at the start ---
  const settle = () => { age(); say(); };
  document.addEventListener('htmx:after:swap', settle);
  openTarget();
  settle();
  const focus = one('[data-focus]');
  if (focus) focus.focus();
  open();
})();
