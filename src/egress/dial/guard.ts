// Holds every address against what may be reached, at the moment of connecting: what a name leads to is looked up once, and the
// connection goes to what was judged. So a name that leads elsewhere a moment later changes nothing.

import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { TransientError } from "../../errors.ts";
import { bareHost, refusedRange } from "./address.ts";

/** All addresses of a name, in the resolver's order. */
export type Resolve = (name: string, options: LookupOptions) => Promise<readonly LookupAddress[]>;

const systemResolve: Resolve = (name, options) =>
  new Promise((resolve, reject) => {
    lookup(name, { ...options, all: true, verbatim: true }, (error, found) => (error ? reject(error) : resolve(found)));
  });

export interface Guard {
  /** For `net.connect` and `tls.connect`: hands out allowed addresses alone, and fails where there is none. */
  readonly lookup: LookupFunction;
  /** Why a host that is an address already, which nobody looks up, may not be connected to; undefined where it may, or is a name. */
  refused(host: string): TransientError | undefined;
}

/**
 * @param endpoint for the error
 * @param resolve asked for a name that is not being looked up already: the system's look-ups hold one of few threads each
 */
export function guardOf(
  endpoint: string,
  { allowPrivate, resolve = systemResolve }: { readonly allowPrivate: boolean; readonly resolve?: Resolve | undefined },
): Guard {
  const asking = new Map<string, Promise<readonly LookupAddress[]>>();
  const ask = (name: string, { family, hints }: LookupOptions): Promise<readonly LookupAddress[]> => {
    const key = `${name} ${family ?? ""} ${hints ?? ""}`;
    const known = asking.get(key);
    if (known !== undefined) return known;
    const asked = resolve(name, { ...(family !== undefined && { family }), ...(hints !== undefined && { hints }) });
    asking.set(key, asked);
    const forget = (): void => void asking.delete(key);
    asked.then(forget, forget);
    return asked;
  };
  const allowed = (found: readonly LookupAddress[]): readonly LookupAddress[] => {
    if (allowPrivate) return found;
    const open = found.filter(({ address }) => refusedRange(address) === undefined);
    const [first] = found;
    if (open.length === 0 && first !== undefined) throw refusal(endpoint, refusedRange(first.address) ?? "");
    return open;
  };
  return {
    lookup: (name, options, callback) => {
      ask(name, options)
        .then(allowed)
        .then(
          (found) => {
            const [first] = found;
            if (first === undefined) callback(noAddress(endpoint), "");
            else if (options.all) callback(null, [...found]);
            else callback(null, first.address, first.family);
          },
          (error: NodeJS.ErrnoException) => callback(error, ""),
        );
    },
    refused: (host) => {
      const address = bareHost(host);
      if (allowPrivate || isIP(address) === 0) return undefined;
      const range = refusedRange(address);
      return range === undefined ? undefined : refusal(endpoint, range);
    },
  };
}

function refusal(endpoint: string, range: string): TransientError {
  return new TransientError("ENDPOINT_ADDRESS_REFUSED", `the endpoint ${endpoint} leads to ${range}`, {
    hint: `where that is meant: endpoints.${endpoint}.allowPrivate: true`,
  });
}

function noAddress(endpoint: string): TransientError {
  return new TransientError(
    "ENDPOINT_UNREACHABLE",
    `the endpoint ${endpoint} cannot be reached: its name has no address`,
    {
      hint: "see that its url, or smtp, is right",
    },
  );
}
