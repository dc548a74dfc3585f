/** The frame of the console: the places, and the one that is shown. */
import { signOut } from '../app/api.js';
import { apply, el, fill } from '../app/dom.js';
import { explain, t } from '../app/i18n.js';
import { mark } from '../app/icons.js';
import { button } from '../app/parts.js';
import { address, place } from './place.js';
import { accounts } from './accounts.js';
import { alarms } from './alarms.js';
import { calls } from './calls.js';
import { carriers } from './carriers.js';
import { consents } from './consents.js';
import { costs } from './costs.js';
import { jobs } from './jobs.js';
import { messages, undecided } from './messages.js';
import { numbers } from './numbers.js';
import { orders } from './orders.js';
import { overview } from './overview.js';
import { trace } from './trace.js';

const PLACES = { overview, alarms, numbers, orders, carriers, costs, messages, undecided, calls, optouts: consents, accounts, jobs };
/** Views without a table that are drawn anew by themselves. */
const LIVELY = ['overview/', 'carriers/'];
const AGAIN_MS = 30_000;

/** The console of an operator. */
export function frame(account) {
  const nav = el('nav', { class: 'side', 'aria-label': t('nav.label') }, el('a', { class: 'side-brand', href: '#/' }, mark(), el('span', {}, t('console.title'))),
    el('ul', {}, Object.keys(PLACES).map(name => el('li', {}, el('a', { href: address(name), dataset: { place: name } }, t(`console.${name}`))))),
    el('p', { class: 'side-me' }, account.display_name),
    el('div', { class: 'side-actions' }, el('a', { href: '/' }, t('console.messenger')), button(t('settings.sign_out'), { kind: 'link', onclick: () => signOut() })));
  const main = el('main', { class: 'desk', id: 'desk', tabindex: '-1' });
  let shown = null;
  /** `quiet`: what is there stays until the new is, and when there is none. */
  const show = async (moveFocus, quiet = false) => {
    const { name, id, query } = place();
    const known = name in PLACES ? name : 'overview';
    for (const link of nav.querySelectorAll('[data-place]')) apply(link, { 'aria-current': link.dataset.place === known ? 'page' : 'false' });
    document.title = `${t(`console.${known}`)} – ${t('app.name')}`;
    const key = `${known}/${id}`;
    const same = key === shown;
    shown = key;
    // A view that can follow its own query stays; its table asks the address what to show.
    if (same && !quiet && main.firstChild?.follow) {
      main.firstChild.follow(query);
      return;
    }
    const node = el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t(`console.${known}`)), el('p', { class: 'muted', role: 'status' }, t('list.loading')));
    if (!quiet) fill(main, node);
    try {
      const view = known === 'messages' && id ? await trace(id) : await PLACES[known](query);
      if (shown === key) fill(main, view);
    } catch (error) {
      if (shown === key && !quiet) fill(main, el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t(`console.${known}`)), el('p', { class: 'form-error', role: 'alert' }, explain(error)),
        button(t('common.try_again'), { onclick: () => { shown = null; show(true); } })));
    }
    if (moveFocus) main.querySelector('h1')?.focus({ preventScroll: true });
  };
  addEventListener('hashchange', () => show(true));
  // A view whose data it has changed itself.
  addEventListener('console:again', () => show(false, true));
  show(false);
  // What stands there is what is; whoever does something there is not disturbed.
  setInterval(() => {
    if (document.hidden || document.querySelector('dialog[open]') || !getSelection().isCollapsed) return;
    if (main.firstChild?.reload) main.firstChild.reload();
    else if (LIVELY.includes(shown) && !main.querySelector(':focus:not(h1)')) show(false, true);
  }, AGAIN_MS);
  const skip = el('a', { class: 'skip', href: '#desk', onclick: event => { event.preventDefault(); main.focus(); } }, t('nav.skip'));
  return el('div', { class: 'console' }, skip, nav, main);
}
