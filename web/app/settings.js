/** Settings: how one is seen, language and time, quiet hours, the look, one's data, and the way out. */
import { api, signOut } from './api.js';
import { el } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, field, form, nameOf, toast } from './parts.js';
import { notifySwitches } from './notify.js';
import { speak } from './session.js';
import { forgetSession, keep, recall } from './storage.js';
import { now, set } from './store.js';
import { chooseTheme, theme } from './theme.js';
import { View } from './view.js';
import './emails.js';
import './photo.js';

const PRESENCES = ['available', 'away', 'busy'];

class Settings extends View {
  connectedCallback() {
    const { account } = now();
    this.replaceChildren(el('div', { class: 'page' }, el('h1', {}, t('nav.settings')),
      el('header', { class: 'person' }, el('m-photo'),
        el('div', {}, el('p', { class: 'person-name' }, nameOf(account)), el('p', { class: 'muted' }, `meari:${account.handle}`))),
      card(t('settings.presence'), this.#presence()),
      card(t('settings.profile'), this.#profile(account)),
      card(t('emails.title'), el('m-emails')),
      card(t('settings.quiet'), this.#quiet(account)),
      card(t('nav.calls'), el('p', {}, t('settings.calls')), el('div', { class: 'form-actions' }, el('a', { class: 'button', href: '#/call-settings' }, icon('call'), t('settings.calls_open')))),
      card(t('settings.notify'), notifySwitches()),
      card(t('settings.theme'), this.#theme()),
      card(t('settings.data'), this.#data()),
      el('div', { class: 'form-actions page-end' }, button(t('settings.sign_out'), { onclick: () => signOut() }))));
  }

  #presence() {
    const kept = recall('presence', { state: 'available', note: '' });
    const state = choices('presence', PRESENCES.map(name => [name, t(`presence.${name}`)]), kept.state);
    const note = field(t('settings.note'), { name: 'note', value: kept.note, maxlength: '140', autocomplete: 'off', hint: t('settings.note_hint') });
    // Another device may have said something else since.
    api.get('/v1/me/presence').then(({ state: said, note: words }) => {
      const choice = state.querySelector(`[value="${CSS.escape(said)}"]`);
      if (choice) choice.checked = true;
      if (document.activeElement !== note.input) note.input.value = words ?? '';
    }).catch(() => {});
    return form({ fields: [state, note], label: t('common.save'), kind: '', submit: async values => {
      const presence = { state: values.presence, note: values.note.trim() || null };
      await api.put('/v1/me/presence', presence);
      keep('presence', { state: presence.state, note: presence.note ?? '' });
      toast(t('common.saved'));
    } });
  }

  #profile(account) {
    const locale = el('select', { class: 'input' }, [['en', 'English'], ['ko', '한국어']].map(([value, name]) => el('option', { value, lang: value, selected: value === account.locale }, name)));
    const zones = el('select', { class: 'input' }, zoneNames(account.time_zone).map(name => el('option', { value: name, selected: name === account.time_zone }, name.replaceAll('_', ' '))));
    const fields = [
      field(t('door.display_name'), { name: 'display_name', value: account.display_name, maxlength: '64', autocomplete: 'name', required: true }),
      field(t('settings.locale'), { name: 'locale', control: locale }),
      field(t('settings.time_zone'), { name: 'time_zone', control: zones, hint: t('settings.time_zone_hint') }),
    ];
    return form({ fields, label: t('common.save'), kind: '', submit: async values => {
      await save({ display_name: values.display_name.trim(), locale: values.locale, time_zone: values.time_zone });
      await speak(values.locale);
      toast(t('common.saved'));
    } });
  }

  #quiet(account) {
    const on = el('input', { type: 'checkbox', name: 'quiet', id: 'quiet-on', checked: Boolean(account.quiet_hours) });
    const from = field(t('settings.quiet_from'), { name: 'from', type: 'time', value: account.quiet_hours?.from ?? '22:00' });
    const to = field(t('settings.quiet_to'), { name: 'to', type: 'time', value: account.quiet_hours?.to ?? '07:00' });
    const times = el('div', { class: 'pair', hidden: !account.quiet_hours }, from, to);
    on.addEventListener('change', () => {
      times.hidden = !on.checked;
    });
    const fields = [el('p', { class: 'hint' }, t('settings.quiet_hint')), el('div', { class: 'check' }, on, el('label', { for: 'quiet-on' }, t('settings.quiet_on'))), times];
    return form({ fields, label: t('common.save'), kind: '', submit: async values => {
      await save({ quiet_hours: on.checked ? { from: values.from, to: values.to } : null });
      toast(t('common.saved'));
    } });
  }

  #theme() {
    const group = choices('theme', ['system', 'light', 'dark'].map(name => [name, t(`settings.theme_${name}`)]), theme());
    group.addEventListener('change', event => chooseTheme(event.target.value));
    return group;
  }

  #data() {
    return el('div', { class: 'stack' },
      el('p', {}, t('settings.export_text')),
      el('div', { class: 'form-actions' }, button(t('settings.export'), { glyph: 'download', onclick: () => attempt(exportAll) })),
      el('p', {}, t('settings.delete_text')),
      el('div', { class: 'form-actions' }, button(t('settings.delete'), { kind: 'danger', onclick: () => remove() })));
  }
}

function card(title, ...body) {
  return el('section', { class: 'card' }, el('h2', {}, title), body);
}

/** A group of radio buttons that looks like one control. */
function choices(name, options, chosen) {
  const node = el('fieldset', { class: 'choices' }, el('legend', { class: 'unseen' }, t(`settings.${name}`)),
    options.map(([value, label]) => el('label', { class: 'choice' }, el('input', { type: 'radio', name, value, checked: value === chosen }), el('span', {}, label))));
  return node;
}

async function save(patch) {
  set({ account: await api.patch('/v1/me', patch) });
}

function zoneNames(current) {
  const names = Intl.supportedValuesOf?.('timeZone') ?? [];
  return [...new Set([current, Intl.DateTimeFormat().resolvedOptions().timeZone, 'UTC', ...names].filter(Boolean))];
}

async function exportAll() {
  const archive = await api.file('/v1/me/export');
  const ending = archive.type.includes('zip') ? 'zip' : archive.type.includes('json') ? 'json' : 'tar';
  const link = el('a', { href: URL.createObjectURL(archive), download: `meari-export.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Deleting an account takes the password: neither a slip nor somebody at an unlocked screen can do it. */
async function remove() {
  const password = field(t('door.password'), { name: 'password', type: 'password', autocomplete: 'current-password', hint: t('settings.delete_password') });
  const sure = await confirmDialog({ title: t('settings.delete_title'), text: t('settings.delete_warning'), yes: t('settings.delete'), danger: true, body: password });
  if (!sure) return;
  await attempt(async () => {
    await api.delete('/v1/me', { password: password.input.value });
    forgetSession();
    location.assign('/');
  });
}

customElements.define('m-settings', Settings);
