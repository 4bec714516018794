// Which errors of the bus pass by themselves: it is away, or a right was taken from the worker's user and may be given back.

import { ConfigError, type MillraceError, TransientError } from "../../errors.ts";

export function mayPass(error: unknown): error is MillraceError {
  return error instanceof TransientError || isDenied(error);
}

export function isDenied(error: unknown): error is ConfigError {
  return error instanceof ConfigError && error.code === "BUS_PERMISSION";
}
