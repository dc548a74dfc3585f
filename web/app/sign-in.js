/** The door: sign in, or make an account. */
import { el } from './dom.js';
import { currentLanguage, t, useLanguage } from './i18n.js';
import { mark } from './icons.js';
import { button, field, form } from './parts.js';
import { signIn, signUp } from './session.js';
import { View } from './view.js';

class SignIn extends View {
  #mode = 'in';

  connectedCallback() {
    this.#show(false);
  }

  #show(focus = true) {
    const panel = this.#mode === 'in' ? this.#signIn() : this.#signUp();
    this.replaceChildren(el('main', { class: 'door' },
      el('section', { class: 'door-pitch' }, el('div', { class: 'door-brand' }, mark(), el('span', {}, t('app.name'))),
        el('p', { class: 'door-promise' }, t('door.promise')),
        el('ul', { class: 'door-points' }, ['phone', 'sms', 'private'].map(point => el('li', {}, t(`door.point.${point}`))))),
      el('section', { class: 'door-panel' }, panel, this.#languages())));
    if (focus) this.querySelector('input')?.focus();
  }

  #signIn() {
    const fields = [
      field(t('door.login'), { name: 'login', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true }),
      field(t('door.password'), { name: 'password', type: 'password', autocomplete: 'current-password', required: true }),
    ];
    return el('div', {}, el('h1', {}, t('door.sign_in')),
      form({ fields, label: t('door.sign_in'), submit: ({ login, password }) => signIn(login.trim().toLowerCase(), password) }),
      el('p', { class: 'door-switch' }, t('door.no_account'), ' ', this.#turn('up', t('door.sign_up'))));
  }

  #signUp() {
    const fields = [
      field(t('door.display_name'), { name: 'display_name', autocomplete: 'name', maxlength: '64', required: true }),
      field(t('door.handle'), { name: 'handle', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', maxlength: '32', hint: t('door.handle_hint'), required: true }),
      field(t('door.password'), { name: 'password', type: 'password', autocomplete: 'new-password', hint: t('door.password_hint'), required: true }),
    ];
    const invite = field(t('door.invite'), { name: 'invite', autocomplete: 'off', hint: t('door.invite_hint'), required: true });
    invite.hidden = true;
    const submit = async values => {
      try {
        await signUp({
          handle: values.handle.trim().replace(/^@/, '').toLowerCase(), password: values.password,
          display_name: values.display_name.trim(), locale: currentLanguage(),
          time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
          ...(values.invite ? { invite: values.invite.trim() } : {}) });
      } catch (error) {
        // Only a server that asks for invitations shows the field for one.
        if (error.fields?.some(({ field: name }) => name === 'invite')) invite.hidden = false;
        throw error;
      }
    };
    return el('div', {}, el('h1', {}, t('door.sign_up')),
      form({ fields: [...fields, invite], label: t('door.sign_up'), submit }),
      el('p', { class: 'door-switch' }, t('door.have_account'), ' ', this.#turn('in', t('door.sign_in'))));
  }

  #turn(mode, label) {
    return button(label, { kind: 'link', onclick: () => {
      this.#mode = mode;
      this.#show();
    } });
  }

  #languages() {
    return el('div', { class: 'door-languages', role: 'group', 'aria-label': t('settings.locale') },
      [['en', 'English'], ['ko', '한국어']].map(([code, name]) => el('button', {
        type: 'button', class: 'button link', lang: code, 'aria-pressed': String(code === currentLanguage()),
        onclick: async () => {
          await useLanguage(code);
          this.#show(false);
          this.querySelector(`[lang=${code}]`).focus();
        } }, name)));
  }
}

customElements.define('m-sign-in', SignIn);
