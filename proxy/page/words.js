/** Figures and times in words. No document, no clock. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const COUNTS = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const DAY_AND_TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

// Characters that could not be seen, or would turn round what stands beside them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]/gu;

const ALL_UTC = /\b(UTC|GMT)$/;
const NONE = "-";

/** The time zone of what `clock` says, as it is on this date: "UTC", or "Europe/Berlin (UTC+2)". */
export function zone(date) {
  const { timeZone: name } = TIME.resolvedOptions();
  const offset = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts(date).at(-1).value;
  return ALL_UTC.test(name) ? "UTC" : `${name} (${offset.replace("GMT", "UTC")})`;
}

/** 10000 as "10,000". */
export const count = (number) => (number === null || number === undefined ? NONE : COUNTS.format(number));

/** Seconds that were measured: "240 ms", "3.2 s", "1 min 15 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 9.95 ? `${seconds.toFixed(1)} s` : age(seconds);
}

/** Seconds that are being counted: "12 s", "1 min 15 s", "3 d 4 h". */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return both(whole, 60, "min", 1, "s");
  return whole < 86400 ? both(whole, 3600, "h", 60, "min") : both(whole, 86400, "d", 3600, "h");
}

/** Seconds in two units, the second left out where it is nothing. */
function both(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest > 0 ? ` ${rest} ${smallName}` : ""}`;
}

/** Bytes: "12.4 MiB". */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return NONE;
  let power = 0;
  while (bytes >= 1023.5 * 1024 ** power && power < UNITS.length - 1) power += 1;
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** A figure of a plot: as many digits as tell something. */
export function figure(number) {
  if (number === null || number === undefined) return NONE;
  return number >= 99.5 ? count(Math.round(number)) : String(Number(number.toPrecision(2)));
}

/** A share of 1: "98.2 %". */
export function percent(share) {
  if (share === null || share === undefined) return NONE;
  return `${Number((share * 100).toFixed(1))} %`;
}

/** A date as the time of day, with the day unless it is `today`'s. */
export function clock(date, today) {
  return (date.toDateString() === today.toDateString() ? TIME : DAY_AND_TIME).format(date);
}

/** A date without the time: "1 May 2026". */
export const day = (date) => DAY.format(date);

/** Text of strangers, all of whose characters can be seen. */
export function visible(text) {
  return text.replace(UNSEEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}
