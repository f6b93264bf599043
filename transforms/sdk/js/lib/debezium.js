// What Debezium makes of values that JSON has no type for, and back.

import { Rejection } from "./rejection.js";

export const UNAVAILABLE = "__debezium_unavailable_value";

export function isUnavailable(value) {
  return value === UNAVAILABLE;
}

export function bytes(base64) {
  let binary;
  try {
    binary = atob(base64);
  } catch {
    throw new Rejection(`\`${base64}\` is not base64`);
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function decimal(base64, scale) {
  const value = bytes(base64);
  // Postgres: at most 131,072 digits before the point and 16,383 after it.
  if (value.length > 65_536 || Math.abs(scale) > 131_072) {
    throw new Rejection(`a decimal of ${value.length} bytes and scale ${scale} is too long`);
  }
  let hex = "0x0";
  value.forEach((byte) => {
    hex += byte.toString(16).padStart(2, "0");
  });
  const whole = BigInt.asIntN(value.length * 8, BigInt(hex));
  const sign = whole < 0n ? "-" : "";
  let digits = String(whole < 0n ? -whole : whole);
  if (scale <= 0) {
    return sign + (digits === "0" ? digits : digits + "0".repeat(-scale));
  }
  digits = digits.padStart(scale + 1, "0");
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

export function date(days) {
  return iso(days * 86_400_000).slice(0, -"T00:00:00.000Z".length);
}

export function timestampMillis(millis) {
  return iso(Number(millis));
}

export function timestampMicros(micros) {
  const millis = Math.floor(Number(micros) / 1000);
  return finer(millis, Number(micros) - millis * 1000, 3);
}

export function timestampNanos(nanos) {
  // Nanoseconds since 1970 are beyond what a number holds.
  const count = BigInt(nanos);
  const rest = ((count % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return finer(Number((count - rest) / 1_000_000n), rest, 6);
}

function finer(millis, rest, digits) {
  return `${iso(millis).slice(0, -1)}${String(rest).padStart(digits, "0")}Z`;
}

function iso(millis) {
  const time = new Date(millis);
  if (Number.isNaN(time.getTime())) {
    throw new Rejection(`${millis} milliseconds since 1970 are beyond every calendar`);
  }
  return time.toISOString();
}
