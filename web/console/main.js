/** Starts the operators' console: who is it, may they, then the frame. */
import { adopt, api, hasSession, onSignedOut, open, signOut } from '../app/api.js';
import { el, fill } from '../app/dom.js';
import { preferredLanguage, t, useLanguage } from '../app/i18n.js';
import { mark } from '../app/icons.js';
import { button, field, form } from '../app/parts.js';
import { applyTheme } from '../app/theme.js';
import { frame } from './frame.js';

applyTheme();
await useLanguage(preferredLanguage(), ['console']);
onSignedOut(door);
await start();

async function start() {
  if (!hasSession()) {
    door();
    return;
  }
  try {
    enter(await api.get('/v1/me'));
  } catch (error) {
    if (error.status !== 401) fill(document.body, alone(el('h1', {}, t('console.title')), el('p', {}, t('error.offline')), button(t('common.try_again'), { kind: 'primary', onclick: start })));
  }
}

async function enter(account) {
  const asked = new URLSearchParams(location.search).get('lang');
  await useLanguage(asked ?? account.locale, ['console']);
  if (account.admin) fill(document.body, frame(account));
  else fill(document.body, alone(el('h1', {}, t('console.not_yours')), el('p', {}, t('console.not_yours_text', { name: account.display_name })),
    el('div', { class: 'form-actions' }, el('a', { class: 'button primary', href: '/' }, t('console.messenger')), button(t('settings.sign_out'), { onclick: () => signOut() }))));
}

function door() {
  document.title = `${t('console.title')} – ${t('app.name')}`;
  const fields = [
    field(t('door.login'), { name: 'login', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true }),
    field(t('door.password'), { name: 'password', type: 'password', autocomplete: 'current-password', required: true }),
  ];
  fill(document.body, alone(el('h1', {}, t('console.title')), el('p', {}, t('console.door')),
    form({ fields, label: t('door.sign_in'), submit: async ({ login, password }) => {
      await enter(adopt(await open.post('/v1/sessions', { login: login.trim().toLowerCase(), password })));
    } })));
  document.querySelector('input').focus();
}

function alone(...children) {
  return el('main', { class: 'alone' }, mark(), children);
}
