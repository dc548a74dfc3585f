/** One's own photo: shown, chosen, taken away. It is cut square and made small here, before it is sent. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { attempt, avatar, button, nameOf, toast } from './parts.js';
import { now, set } from './store.js';
import { View } from './view.js';

/** Large enough for a phone's call screen, small enough for every sync. */
const SIDE_PX = 512;
const QUALITY = 0.86;

/** Loads the photo into the state, if there is one. */
export async function loadPhoto() {
  try {
    show(await api.file('/v1/me/photo'));
  } catch (error) {
    if (error.status === 404) show(null);
  }
}

function show(blob) {
  const { photo } = now();
  if (photo) URL.revokeObjectURL(photo);
  set({ photo: blob ? URL.createObjectURL(blob) : null });
}

/** The middle of a picture as a small square JPEG. */
async function squared(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) throw Object.assign(new Error('not a picture'), { code: 'photo_unreadable' });
  const side = Math.min(picture.width, picture.height);
  const canvas = el('canvas', { width: SIDE_PX, height: SIDE_PX });
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  // Behind what is transparent: JPEG knows no transparency and would make it black.
  context.fillStyle = '#fff';
  context.fillRect(0, 0, SIDE_PX, SIDE_PX);
  context.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, SIDE_PX, SIDE_PX);
  picture.close();
  return new Promise((done, fail) => canvas.toBlob(blob => (blob ? done(blob) : fail(new Error('no picture'))), 'image/jpeg', QUALITY));
}

class Photo extends View {
  connectedCallback() {
    loadPhoto();
    this.watch(({ photo, account }) => [photo, account?.display_name], () => this.#show());
  }

  #show() {
    const { photo, account } = now();
    const file = el('input', { type: 'file', accept: 'image/*', class: 'unseen', tabindex: '-1', 'aria-label': t('photo.choose'), onchange: () => this.#send(file.files[0]) });
    fill(this, avatar(nameOf(account), { size: 'large', photo }), file,
      el('div', { class: 'photo-actions' },
        button(t(photo ? 'photo.change' : 'photo.choose'), { kind: 'link', onclick: () => file.click() }),
        photo ? button(t('photo.remove'), { kind: 'link', onclick: () => this.#remove() }) : null));
  }

  #send(file) {
    if (!file) return;
    attempt(async () => {
      const picture = await squared(file);
      await api.upload('/v1/me/photo', picture);
      show(picture);
      toast(t('common.saved'));
      this.querySelector('button')?.focus();
    });
  }

  #remove() {
    attempt(async () => {
      await api.delete('/v1/me/photo');
      show(null);
      this.querySelector('button')?.focus();
    });
  }
}

customElements.define('m-photo', Photo);
