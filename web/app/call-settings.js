/** How one wants to be called: do not disturb, what rings, forwarding, screening, voicemail with its greeting, the PIN. */
import { api } from './api.js';
import { el } from './dom.js';
import { number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, field, form, toast } from './parts.js';
import { keep, recall } from './storage.js';
import { now } from './store.js';
import { View } from './view.js';
import { GreetingRecorder, asWav } from './voice-recorder.js';
import './call-icons.js';
import './call-look.js';
import './pin.js';

const RING_SECONDS = [10, 15, 20, 25, 30, 40, 60];
const MESSAGE_SECONDS = [30, 60, 120, 180];

class CallSettings extends View {
  #settings = null;

  connectedCallback() {
    this.#page(el('p', { role: 'status' }, t('list.loading')));
    api.get('/v1/me/call-settings').then(settings => {
      this.#settings = settings;
      if (this.isConnected) this.#show();
    }, () => this.#page(el('p', { role: 'alert' }, t('error.offline')), button(t('common.try_again'), { onclick: () => this.connectedCallback() })));
  }

  #page(...children) {
    this.replaceChildren(el('div', { class: 'page' },
      el('a', { class: 'button bare always-back', href: '#/settings', title: t('common.back') }, icon('back'), el('span', { class: 'unseen' }, t('common.back'))),
      el('h1', { tabindex: '-1' }, t('calls.settings')), ...children));
  }

  #show() {
    const settings = this.#settings;
    this.#page(card('callset.reach', this.#reach(settings)), card('callset.forward', this.#forward(settings)),
      card('callset.voicemail', this.#voicemail(settings.voicemail), this.#greeting()), card('callset.pin', el('m-pin')));
  }

  async #save(patch) {
    const { pin_set: _, ...whole } = { ...this.#settings, ...patch };
    this.#settings = await api.put('/v1/me/call-settings', whole) ?? { ...this.#settings, ...patch };
    toast(t('common.saved'));
  }

  #reach(settings) {
    const mobiles = (now().account?.mobiles ?? []).filter(({ state }) => state === 'verified');
    const here = check('ring_here', t('callset.ring_here'), recall('ring', true));
    here.input.addEventListener('change', () => keep('ring', here.input.checked ? null : false));
    // Without a choice it is the phone that was heard from last.
    const last = check('last_phone', t('callset.last_phone'), settings.also_ring === null);
    const also = mobiles.map(mobile => check(`also:${mobile.id}`, t('callset.also', { number: number(mobile.number) }), settings.also_ring?.includes(mobile.id)));
    const follow = () => also.forEach(node => { node.hidden = last.input.checked; });
    last.input.addEventListener('change', follow);
    last.hidden = !mobiles.length;
    follow();
    const order = field(t('callset.order'), { name: 'ring', control: select([['together', t('callset.together')], ['in_order', t('callset.in_order')]], settings.ring) });
    order.hidden = !mobiles.length;
    const patience = field(t('callset.patience'), { name: 'ring_seconds', control: select(withValue(RING_SECONDS, settings.ring_seconds).map(n => [n, t('callset.seconds', { n })]), settings.ring_seconds) });
    const dnd = check('do_not_disturb', t('callset.dnd'), settings.do_not_disturb, t('callset.dnd_hint'));
    const screening = check('screening', t('callset.screening'), settings.screening, t('callset.screening_hint'));
    return form({ fields: [here, dnd, screening, last, ...also, order, patience], label: t('common.save'), kind: '', submit: values => this.#save({
      do_not_disturb: dnd.input.checked, screening: screening.input.checked, ring: values.ring, ring_seconds: Number(values.ring_seconds),
      also_ring: last.input.checked ? null : mobiles.filter((_, index) => also[index].input.checked).map(({ id }) => id),
    }) });
  }

  #forward(settings) {
    const to = field(t('callset.forward_to'), { name: 'forward_to', type: 'tel', value: settings.forward_to ?? '', autocomplete: 'off', hint: t('callset.forward_hint') });
    const when = field(t('callset.forward_when'), { name: 'forward_when', control: select(['no_answer', 'busy', 'always'].map(name => [name, t(`callset.when_${name}`)]), settings.forward_when) });
    return form({ fields: [to, when], label: t('common.save'), kind: '', submit: values => this.#save({
      forward_to: values.forward_to.replace(/[^+\d]/g, '') || null, forward_when: values.forward_when,
    }) });
  }

  #voicemail(voicemail) {
    const on = check('enabled', t('callset.voicemail_on'), voicemail.enabled);
    const mail = check('by_mail', t('callset.by_mail'), voicemail.by_mail);
    const sms = check('by_sms', t('callset.by_sms'), voicemail.by_sms);
    const text = field(t('callset.greeting_text'), { name: 'greeting_text', control: el('textarea', { class: 'input', rows: '3', maxlength: '300' }), value: voicemail.greeting_text ?? '', hint: t('callset.greeting_hint') });
    const most = field(t('callset.seconds_max'), { name: 'seconds_max', control: select(withValue(MESSAGE_SECONDS, voicemail.seconds_max).map(n => [n, t('callset.seconds', { n })]), voicemail.seconds_max) });
    return form({ fields: [on, text, most, mail, sms], label: t('common.save'), kind: '', submit: values => this.#save({ voicemail: {
      ...this.#settings.voicemail, enabled: on.input.checked, greeting_text: values.greeting_text.trim(), seconds_max: Number(values.seconds_max), by_mail: mail.input.checked, by_sms: sms.input.checked,
    } }) });
  }

  /** A greeting in one's own voice goes before the words that are read out. */
  #greeting() {
    const recorder = new GreetingRecorder();
    const drop = button(t('callset.greeting_drop'), { hidden: !this.#settings.voicemail.greeting_recorded, onclick: () => attempt(async () => {
      await api.upload('/v1/me/call-settings/greeting', new Blob([], { type: 'audio/wav' }));
      drop.hidden = true;
      toast(t('common.saved'));
    }) });
    const sample = el('audio', { controls: true, hidden: true });
    let wav = null;
    const take = blob => {
      wav = blob;
      sample.src = URL.createObjectURL(blob);
      sample.hidden = save.hidden = false;
    };
    const record = button(t('callset.record'), { glyph: 'record', onclick: () => attempt(async () => {
      if (!recorder.running) {
        await recorder.start(() => record.click());
        record.querySelector('span').textContent = t('callset.record_stop');
        return;
      }
      record.querySelector('span').textContent = t('callset.record');
      take(await recorder.stop());
    }) });
    const file = el('input', { type: 'file', accept: 'audio/*', class: 'unseen', tabindex: '-1', 'aria-label': t('callset.file'), onchange: () => attempt(async () => file.files[0] && take(await asWav(file.files[0]))) });
    const save = button(t('callset.greeting_save'), { kind: 'primary', hidden: true, onclick: () => attempt(async () => {
      await api.upload('/v1/me/call-settings/greeting', wav);
      save.hidden = true;
      drop.hidden = false;
      toast(t('common.saved'));
    }) });
    this.atEnd(() => recorder.cancel());
    return el('div', { class: 'stack' }, el('h3', {}, t('callset.own_voice')), el('p', { class: 'hint' }, t('callset.own_voice_hint')),
      el('div', { class: 'form-actions' }, record, button(t('callset.file'), { onclick: () => file.click() }), file, drop), sample, el('div', { class: 'form-actions' }, save));
  }
}

function card(title, ...body) {
  return el('section', { class: 'card' }, el('h2', {}, t(title)), body);
}

/** A box to tick with its words, as a field of a form; errors of the server stand below it like below any other. */
function check(name, label, checked, hint = '') {
  const id = `call-${name}`;
  const input = el('input', { type: 'checkbox', id, name, checked: Boolean(checked), 'aria-describedby': hint ? `${id}-hint` : null });
  const node = el('div', { class: 'field', dataset: { field: name } }, el('div', { class: 'check' }, input, el('label', { for: id }, label)),
    el('p', { class: 'field-error', id: `${id}-error`, hidden: true }), hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null);
  node.input = input;
  return node;
}

function select(options, chosen) {
  return el('select', { class: 'input' }, options.map(([value, label]) => el('option', { value: String(value), selected: value === chosen }, label)));
}

function withValue(values, value) {
  return [...new Set([...values, value])].filter(Boolean).sort((a, b) => a - b);
}

customElements.define('m-call-settings', CallSettings);
