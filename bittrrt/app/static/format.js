/* Figures as people read them. Nothing here touches the page. */

export const NOTHING = "–";

/** Milliseconds with three digits that count. */
export function ms(value) {
  if (value === null || value === undefined) return NOTHING;
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** A share, 0 to 1. */
export function percent(share) {
  if (share === null || share === undefined) return NOTHING;
  return share === 0 ? "0 %" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** Bytes, in units of 1000. */
export function bytes(count) {
  if (count === null || count === undefined) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

/** Bytes a second. */
export function rate(count) {
  return count ? `${bytes(count)}/s` : NOTHING;
}

export function count(value) {
  return value.toLocaleString("en-US").replaceAll(",", "\u202f");
}

/** A span of time in its two largest units. */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [size, name] = parts[first];
  const whole = Math.floor(seconds / size);
  if (first === parts.length - 1) return `${whole} s`;
  const [next, nextName] = parts[first + 1];
  return `${whole} ${name} ${Math.floor((seconds % size) / next)} ${nextName}`;
}

/** A span of time in its largest unit, for a column. */
export function shortAge(milliseconds) {
  return age(milliseconds).split(" ").slice(0, 2).join(" ");
}

/** The time of day of ms since 1970. */
export function clock(at) {
  const date = new Date(at);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The time of day, with the day if that is another than today. */
export function moment(at) {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(at) : `${date.toLocaleDateString()} ${clock(at)}`;
}

/** A key's fingerprint, short enough for a row. */
export function shortKey(fingerprint) {
  return `${fingerprint.slice(0, 19)}…`;
}
