// What arguments and options are read as.

import { InvalidArgumentError } from "commander";

/** Names, parted by commas. */
export function list(text: string): readonly string[] {
  return text.split(",").map((id) => id.trim());
}

/** Up to a day. @throws InvalidArgumentError */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError("expected a number of seconds up to 86400");
  return value;
}

/** The number of a message, from 1. @throws InvalidArgumentError */
export function sequence(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("expected a sequence number from 1");
  return value;
}
