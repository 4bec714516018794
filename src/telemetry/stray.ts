// Errors that nobody is left to catch (a promise that is not awaited, a driver's socket): whose work they come from.

import { AsyncLocalStorage } from "node:async_hooks";
import { BugError } from "../errors.ts";

type Owner = (thrown: unknown) => void;

const owners = new AsyncLocalStorage<Owner>();

/** Runs the work; what it began, and nobody catches, comes to `owner`, which must not throw, however much later. */
export function owned<Result>(owner: Owner, work: () => Result): Result {
  return owners.run(owner, work);
}

/**
 * Hands an uncaught error to whose work it comes from; whether there was one. Call it where the process learns of such an
 * error. One that says of itself that Millrace is broken is nobody's: then the process must end.
 */
export function takeStray(thrown: unknown): boolean {
  const owner = owners.getStore();
  if (owner === undefined || thrown instanceof BugError) return false;
  owner(thrown);
  return true;
}
