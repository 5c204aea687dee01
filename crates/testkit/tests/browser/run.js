// The two web faces in a real browser, against the demo's real processes.
//
//   PLEIAD=path/to/pleiad node run.js [name of a test …]
//
// Told as a person would tell it: log in, change the password, deploy by keyboard, watch a node get cut off.
// Every page is examined by axe in both colour schemes. A test that cannot be made fails; none is skipped.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PLEIAD = process.env.PLEIAD ?? 'pleiad';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const MANAGER = 'https://127.0.0.1:7443';
const SERVER = 'https://127.0.0.1:7501';
const NODE = 'https://127.0.0.1:7502';
const PASSWORD = 'a password of our own';
const READY_MS = 60_000;
const LIVE_MS = 10_000; // Isolated is known within 3 s; the page follows within its own half second.

const dir = mkdtempSync(join(tmpdir(), 'pleiad-browser-'));
let demo;
let browser;

const must = (condition, words) => { if (!condition) throw new Error(words); };
const pleiad = (...words) => spawnSync(PLEIAD, ['demo', '--dir', dir, ...words], { encoding: 'utf8' });

async function until(what, words, ms = READY_MS) {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    if (await what()) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`not within ${ms} ms: ${words}`);
}

async function startDemo() {
  demo = spawn(PLEIAD, ['demo', '--dir', dir], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [demo.stdout, demo.stderr]) stream.on('data', (text) => { said += text; });
  await until(() => {
    must(demo.exitCode === null, `the demo ended: ${said}`);
    return said.includes('from a second terminal');
  }, 'the demo is in service');
}

async function stopDemo() {
  if (!demo || demo.exitCode !== null) return;
  const ended = new Promise((done) => demo.once('exit', done));
  demo.kill('SIGINT');
  await ended;
}

/** A fresh visitor. Errors of scripts and blocked content fail the test that caused them. */
async function visitor(options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 860 },
    ...options,
  });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (fault) => page.faults.push(fault.message));
  page.on('console', (line) => {
    if (line.type() === 'error' && /Content Security Policy|Uncaught/.test(line.text())) page.faults.push(line.text());
  });
  return page;
}

async function logIn(page, base, user, password) {
  await page.goto(`${base}/login`);
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).press('Enter');
  await page.waitForURL((url) => url.pathname !== '/login');
}

function firstLogin() {
  const [user, password] = readFileSync(join(dir, 'manager.txt'), 'utf8').trim().split(' ');
  return { user, password };
}

/** `name user password`, a line each. */
function memberLogin(wanted) {
  const lines = readFileSync(join(dir, 'logins.txt'), 'utf8').trim().split('\n').map((line) => line.split(' '));
  const [, user, password] = lines.find(([name]) => name === wanted) ?? [];
  must(password, `no login of ${wanted}`);
  return { user, password };
}

async function logInAtMember(page, name, base) {
  const { user, password } = memberLogin(name);
  await logIn(page, base, user, password);
}

async function ownPassword(page, base, user, first, own) {
  await logIn(page, base, user, first);
  if (new URL(page.url()).pathname !== '/password') return;
  await page.getByLabel('Present password').fill(first);
  await page.getByLabel('New password', { exact: true }).fill(own);
  await page.getByLabel('New password again').fill(own);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === '/login');
  await logIn(page, base, user, own);
}

async function examine(page, base, path) {
  await page.goto(base + path);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(AXE);
    const found = await page.evaluate(() => window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    }));
    const words = found.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.target.join(' ')).join(', ')}`);
    must(words.length === 0, `${path} (${colorScheme}): ${words.join('; ')}`);
  }
  must(page.faults.length === 0, `${path}: ${page.faults.join('; ')}`);
}

/** Presses Tab until this element has the focus; a walk that does not reach it within 120 presses has lost it. */
async function walkTo(page, locator, words) {
  const handle = await locator.elementHandle();
  for (let presses = 0; presses < 120; presses += 1) {
    if (await handle.evaluate((element) => element === document.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not reach ${words}`);
}

const tests = {
  async 'the first login leads to a password of one\'s own'() {
    const page = await visitor();
    const { user, password } = firstLogin();
    await page.goto(`${MANAGER}/operations`);
    must(page.url().includes('/login?next='), 'nobody sees a page without a login');
    await ownPassword(page, MANAGER, user, password, PASSWORD);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.context().close();
  },

  async 'a region, a multi-site, a cluster server and a node are created by keyboard alone'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    await page.goto(`${MANAGER}/topology`);
    await page.keyboard.press('Tab');
    must(await page.evaluate(() => document.activeElement.textContent === 'Skip to the content'), 'skip link first');
    await page.keyboard.press('Enter');
    await walkTo(page, page.getByRole('link', { name: 'New region' }), 'New region');
    await page.keyboard.press('Enter');
    const fill = async (label, text) => {
      const field = page.getByLabel(label, { exact: true });
      await field.waitFor();
      await walkTo(page, field, label);
      await page.keyboard.type(text);
    };
    await fill('Name', 'Keyboard region');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New multi-site' }).waitFor();
    must(await page.getByRole('status').filter({ hasText: 'is there' }).count() === 1, 'the page says what was done');
    await fill('Name', 'Keyboard site');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New cluster server' }).waitFor();
    await fill('Name', 'Keyboard CS');
    await page.keyboard.press('Enter');
    must(new URL(page.url()).pathname === '/topology/machines/new', 'without an address nothing is created (DCS-06)');
    await fill('Address', '127.0.0.1:9');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Keyboard CS' }).waitFor();
    const configure = page.getByRole('button', { name: 'Configure' });
    must(await configure.isDisabled(), 'configure is not offered before identify');
    must((await page.getByText('Identify it first.').count()) === 1, 'and the page says why');
    await fill('Claim code', 'wrong');
    await page.keyboard.press('Enter');
    const fault = page.getByRole('alert').filter({ hasText: /./ }).first();
    await fault.waitFor();
    must(await fault.evaluate((element) => element === document.activeElement), 'the focus is on the refusal');
    await page.context().close();
  },

  async 'the map says isolated, live, after a cut, and up again after it is healed'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    await page.goto(MANAGER);
    await page.locator('[data-stream=live]').waitFor();
    const cut = page.locator('.map .tag', { hasText: 'isolated' });
    must((await cut.count()) === 0, 'nobody is isolated before the cut');
    const link = page.locator('.map a').last();
    await link.focus();
    const focused = await link.getAttribute('id');
    const done = pleiad('cut', '1');
    must(done.status === 0, `cut: ${done.stderr}`);
    await cut.waitFor({ timeout: LIVE_MS });
    must((await page.evaluate(() => document.activeElement.id)) === focused, 'the focus stays through the swap');
    must(/isolated/.test(await page.locator('[data-announce]').textContent()), 'it is said to those who do not see it');
    const healed = pleiad('heal', '1');
    must(healed.status === 0, `heal: ${healed.stderr}`);
    await cut.waitFor({ state: 'detached', timeout: LIVE_MS });
    await page.context().close();
  },

  async 'a page says so when its stream is down, and goes on by itself'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    await page.locator('[data-stream=live]').waitFor();
    await page.context().setOffline(true);
    await page.locator('[data-dropped]:not([hidden])').waitFor({ timeout: 45_000 });
    await page.context().setOffline(false);
    await page.locator('[data-stream=live]').waitFor({ timeout: LIVE_MS });
    must(await page.locator('[data-dropped]').isHidden(), 'the notice is gone');
    await page.context().close();
  },

  async 'an instant that is to come is not said to be past'() {
    const page = await visitor();
    await page.goto(`${MANAGER}/login`);
    const ages = await page.evaluate(async (instants) => {
      const times = instants.map((ms) => {
        const time = document.createElement('time');
        time.dateTime = new Date(Date.now() + ms).toISOString();
        document.body.append(time);
        return time;
      });
      await new Promise((next) => new MutationObserver(next).observe(document.body, { subtree: true, attributes: true }));
      return times.map((time) => time.dataset.age);
    }, [330_000, -90_000]);
    must(ages[0] === 'in 5 min' && ages[1] === '1 min ago', `ages are ${ages}`);
    await page.context().close();
  },

  async 'a call is shown with its flow, and each arrow leads to its message'() {
    const call = pleiad('call', '2101', '2102');
    must(call.status === 0, `call: ${call.stderr}`);
    const page = await visitor();
    await logInAtMember(page, 'node-1', NODE);
    await page.goto(`${NODE}/calls`);
    await page.locator('#ended-calls tbody a').first().click();
    const arrow = page.locator('.ladder a').first();
    await arrow.waitFor();
    must(/INVITE/.test(await arrow.textContent()), 'the first arrow is the INVITE');
    await arrow.focus();
    await page.keyboard.press('Enter');
    await page.locator('details.message[open] pre').first().waitFor();
    const file = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download pcap' }).click();
    const bytes = readFileSync(await (await file).path());
    must(bytes.length > 24 && bytes.readUInt32LE(0) === 0xa1b2c3d4, 'it is a pcap file');
    await examine(page, NODE, new URL(page.url()).pathname);
    await page.context().close();
  },

  async 'syn_14 syn_16 a node shows common data read-only and names the owner'() {
    const page = await visitor();
    await logInAtMember(page, 'node-1', NODE);
    for (const kind of ['subscriber', 'numbering-range', 'feature-class', 'barred-numbers']) {
      await page.goto(`${NODE}/data/${kind}`);
      must((await page.getByText('these data are managed by the cluster server').count()) === 1, `${kind} names its owner`);
      must((await page.getByRole('link', { name: /^New / }).count()) === 0, `${kind} offers no form`);
    }
    await page.context().close();
  },

  async 'syn_08 a list written at the manager appears on a node\'s open page, and goes when its name is typed'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    const node = await visitor();
    await logInAtMember(node, 'node-1', NODE);
    await node.goto(`${NODE}/data/barred-numbers`);
    await node.locator('[data-stream=live]').waitFor();
    await page.goto(`${MANAGER}/data/barred-numbers`);
    await page.getByRole('link', { name: 'New list' }).click();
    await page.getByLabel('Name').fill('browser-list');
    await page.getByLabel('Barred beginnings').fill('not a number');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').filter({ hasText: /./ }).first().waitFor();
    must((await page.getByLabel('Name').inputValue()) === 'browser-list', 'what was typed is still there');
    await page.getByLabel('Barred beginnings').fill('0900\n0901');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('link', { name: 'browser-list' }).waitFor();
    const shown = node.getByRole('link', { name: 'browser-list' });
    await shown.waitFor({ timeout: LIVE_MS });
    await page.getByRole('link', { name: 'browser-list' }).click();
    const remove = async (text) => {
      await page.getByLabel('Type its key to delete it').fill(text);
      await page.getByRole('button', { name: 'Delete' }).click();
    };
    await remove('another');
    await page.getByText('Nothing was deleted').waitFor();
    await remove('browser-list');
    await page.getByText('is deleted').waitFor();
    await shown.waitFor({ state: 'detached', timeout: LIVE_MS });
    await node.context().close();
    await page.context().close();
  },

  async 'the generated secret of a subscriber is shown once, and an edit leaves it alone'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    await page.goto(`${MANAGER}/data/subscriber`);
    await page.getByRole('link', { name: 'New subscriber' }).click();
    await page.getByLabel('Extension').fill('2103');
    await page.getByLabel('Home').selectOption({ label: 'Node 1 · node-1' });
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByText('shown here and nowhere again').waitFor();
    const secret = await page.locator('.properties code').last().textContent();
    must(secret.length >= 16, 'the secret is long');
    await page.getByRole('link', { name: 'Done' }).click();
    await page.getByRole('link', { name: '2103' }).click();
    must(!(await page.content()).includes(secret), 'it is shown nowhere again');
    await page.getByLabel('Name').fill('Browser');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Subscriber 2103 is saved').waitFor();
    await page.getByRole('cell', { name: 'Browser', exact: true }).waitFor();
    await page.context().close();
  },

  async 'no page of the manager has an accessibility fault, light or dark'() {
    const page = await visitor();
    await logIn(page, MANAGER, 'admin', PASSWORD);
    await page.goto(`${MANAGER}/data/subscriber`);
    const cluster = new URL(page.url()).pathname.replace('/data/subscriber', '');
    await page.goto(MANAGER);
    const machines = await page.locator('.map a').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
    const kinds = ['subscriber', 'numbering-range', 'feature-class', 'barred-numbers', 'special-number'];
    const paths = [
      '/', '/topology', '/topology/regions/new', '/topology/multi-sites/new', '/topology/machines/new', '/operations',
      '/doctor', '/password', `${cluster}/explain?from=2101&to=2201`, ...machines,
      ...kinds.map((kind) => `${cluster}/data/${kind}`), ...kinds.map((kind) => `${cluster}/data/${kind}/new`),
      `${cluster}/data/subscriber/edit/2101`, '/no-such-page',
    ];
    for (const path of paths) await examine(page, MANAGER, path);
    const stranger = await visitor();
    await examine(stranger, MANAGER, '/login');
    await stranger.context().close();
    await page.context().close();
  },

  async 'no page of a call server has an accessibility fault, light or dark'() {
    const page = await visitor();
    // Two machines of one host in one browser: neither logs the other out.
    await logInAtMember(page, 'cs', SERVER);
    await logInAtMember(page, 'node-1', NODE);
    for (const base of [SERVER, NODE]) {
      for (const path of ['/', '/registrations', '/calls', '/explain?from=2101&to=2201', '/data/subscriber', '/data/subscriber/edit/2101']) {
        await examine(page, base, path);
      }
    }
    await page.context().close();
  },

  async 'pages fit a telephone\'s screen'() {
    const page = await visitor({ viewport: { width: 400, height: 800 } });
    await logIn(page, MANAGER, 'admin', PASSWORD);
    for (const path of ['/', '/topology', '/operations', '/doctor']) {
      await page.goto(MANAGER + path);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      must(wider <= 0, `${path} is ${wider} px too wide`);
    }
    await page.getByRole('button', { name: 'Menu' }).click();
    await page.getByRole('link', { name: 'Doctor' }).click();
    await page.getByRole('heading', { name: 'Doctor' }).waitFor();
    await page.context().close();
  },
};

const wanted = process.argv.slice(2);
let failed = 0;
try {
  must(existsSync(CHROMIUM), `there is no ${CHROMIUM}: install chromium`);
  await startDemo();
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  for (const [name, test] of Object.entries(tests)) {
    if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
    const begin = Date.now();
    try {
      await test();
      console.log(`ok      ${name} (${Date.now() - begin} ms)`);
    } catch (fault) {
      failed += 1;
      console.log(`FAILED  ${name}\n        ${fault.message}`);
    }
  }
} finally {
  await browser?.close();
  await stopDemo();
  if (failed === 0) rmSync(dir, { recursive: true, force: true });
}
process.exit(failed === 0 ? 0 : 1);
