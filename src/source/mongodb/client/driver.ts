// MongoDB's driver, loaded when it is first needed.

import { createRequire } from "node:module";

type Driver = typeof import("mongodb");

let loaded: Driver | undefined;

/** The driver: it takes 24 MB (7.9.0, Node 20), which a worker without a source of this kind does not spend. */
export function driver(): Driver {
  loaded ??= createRequire(import.meta.url)("mongodb") as Driver;
  return loaded;
}
