/** Comma-separated values (RFC 4180). Pure. */

/** Rows of cells as one text. What a spreadsheet would take for a formula is made a text. */
export function csv(rows) {
  return rows.map(row => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

function cell(value) {
  let text = value === null || value === undefined ? '' : String(value);
  if (/^[=@\t\r]/.test(text) || /^[+-](?!\d+(\.\d+)?$)/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
