// Around each test file: a process runs several of them, and none may find what another one has left.

import { afterAll, vi } from "vitest";
import { cleanUp } from "./servers.ts";

const environment = { ...process.env };

// Before all others, so the last that is called.
afterAll(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(environment, name)) delete process.env[name];
  Object.assign(process.env, environment);
  await cleanUp();
});
