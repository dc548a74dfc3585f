/** Light, dark, or whatever the system says. */
import { keep, recall } from './storage.js';

/** The choice: `system`, `light` or `dark`. */
export function theme() {
  return recall('theme', 'system');
}

/** Keeps a choice and shows it. */
export function chooseTheme(choice) {
  keep('theme', choice === 'system' ? null : choice);
  applyTheme();
}

/** Shows the choice that was kept. */
export function applyTheme() {
  const choice = theme();
  if (choice === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}
