// Finds and reads the configuration file; what it holds is checked later, by resolve.ts.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, relative, resolve } from "node:path";
import { glob } from "tinyglobby";
import { realClock, within } from "../clock.ts";
import { ConfigError, MillraceError, toError } from "../errors.ts";
import { automationId, refuseOtherVersion, refuseUnfitList } from "./made-by.ts";
import { namesIn, type RuleCompiler, readRules } from "./rule-files.ts";

const NAMES: readonly string[] = ["ts", "mts", "js", "mjs", "json", "yaml", "yml"].map(
  (end) => `millrace.config.${end}`,
);

export interface LoadOptions {
  /** The file named by --config, relative to `directory`; without it the first `millrace.config.*` there. */
  readonly file?: string | undefined;
  readonly directory: string;
  /** Modules that a configuration imports from this process: `{ millrace }`. */
  readonly modules: Readonly<Record<string, unknown>>;
  /** False leaves the automations' modules alone, and the rules. */
  readonly automations: boolean;
  /** Makes automations of files of rules. @throws ConfigError */
  readonly rules?: RuleCompiler;
  /** Whether modules that this process has loaded before are loaded again. */
  readonly fresh?: boolean;
  /** What one module may take to load: one that waits for ever would leave nothing but an exit code. Default 30 s. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 30_000;

/**
 * What the configuration file holds, its automations loaded.
 * @throws ConfigError CONFIG_NOT_FOUND, CONFIG_LOAD_FAILED, AUTOMATIONS_NOT_FOUND, AUTOMATION_DUPLICATE, AUTOMATION_VERSION, RULES_NOT_FOUND, and what
 * is wrong with a rule
 */
export async function loadConfigFile(options: LoadOptions): Promise<unknown> {
  const file = findConfigFile(options.file, options.directory);
  const load = moduleLoader(options.modules, options.fresh, options.patienceMs);
  const config = await read(file, load);
  if (typeof config !== "object" || config === null) return config;
  const { automations, rules, ...rest } = config as { readonly automations?: unknown; readonly rules?: unknown };
  if (!options.automations) return rest;
  const directory = dirname(file);
  const found = automations === undefined ? undefined : await loadAutomations(automations, file, load);
  if (typeof rules !== "string" || options.rules === undefined)
    return { ...rest, ...(found && { automations: found.automations }), ...(rules !== undefined && { rules }) };
  const compiled = await options.rules(await readRules(rules, directory), namesIn(rest));
  for (const { automation, place } of compiled) {
    const id = automationId(automation);
    const other = id === undefined ? undefined : found?.placeOf(id);
    if (id !== undefined && other !== undefined) throw duplicate(id, other, place);
  }
  // A list that is none is the schema's to refuse.
  const written = found?.automations ?? [];
  if (!Array.isArray(written)) return { ...rest, automations: written };
  return { ...rest, automations: [...written, ...compiled.map(({ automation }) => automation)] };
}

/** @throws ConfigError CONFIG_NOT_FOUND */
export function findConfigFile(named: string | undefined, directory: string): string {
  const candidates = named === undefined ? NAMES : [named];
  const found = candidates.map((name) => resolve(directory, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw named === undefined
    ? new ConfigError("CONFIG_NOT_FOUND", `there is no millrace.config.* in ${directory}`, {
        hint: `Write ${join(directory, "millrace.config.ts")}, or name another file with --config FILE.`,
      })
    : new ConfigError("CONFIG_NOT_FOUND", `there is no file ${resolve(directory, named)}`, {
        hint: "Give --config the path of a configuration file.",
      });
}

async function read(file: string, load: ModuleLoader): Promise<unknown> {
  if ([".json", ".yaml", ".yml"].includes(extname(file))) return readData(file);
  const config = (await load(file)).default;
  if (config !== undefined) return config;
  throw new ConfigError("CONFIG_LOAD_FAILED", `${file} has no default export`, {
    hint: "Write `export default defineConfig({ … })`.",
  });
}

/** Wrong JSON is read as the YAML that it might be: that parser's errors tell the line and quote nothing of the file. */
async function readData(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8");
  if (extname(file) === ".json") {
    try {
      return JSON.parse(text);
    } catch {
      // The parser below tells where.
    }
  }
  const { LineCounter, parseDocument } = await import("yaml");
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter });
  const [error] = document.errors;
  if (error === undefined) return document.toJS();
  const { line, col } = lineCounter.linePos(error.pos[0]);
  throw new ConfigError(
    "CONFIG_LOAD_FAILED",
    `${file}:${line}:${col}: ${error.code.toLowerCase().replaceAll("_", " ")}`,
    {
      hint: "Mend the file; what is before that place may be what is wrong.",
    },
  );
}

interface LoadedAutomations {
  readonly automations: unknown;
  /** Where the one of this id is written. */
  placeOf(id: string): string | undefined;
}

/**
 * The automations themselves: those of a glob's modules in the order of their files, or the given list as it is.
 * @param setting the `automations` of the configuration in `config`
 * @throws ConfigError AUTOMATIONS_NOT_FOUND, AUTOMATION_DUPLICATE, AUTOMATION_VERSION, CONFIG_LOAD_FAILED
 */
async function loadAutomations(setting: unknown, config: string, load: ModuleLoader): Promise<LoadedAutomations> {
  const directory = dirname(config);
  if (typeof setting !== "string") {
    if (Array.isArray(setting)) refuseUnfitList(setting, `${relative(directory, config)}: automations`);
    const ids = new Set(Array.isArray(setting) ? setting.map(automationId) : []);
    return { automations: setting, placeOf: (id) => (ids.has(id) ? "the configuration" : undefined) };
  }
  const files = await glob(setting, {
    cwd: directory,
    absolute: true,
    ignore: ["**/node_modules/**", "**/*.d.{ts,mts}", "**/*.{test,spec}.*"],
  });
  const found = new Map<string, { readonly automation: object; readonly file: string }>();
  for (const file of files.sort()) {
    for (const exported of Object.values(await load(file)).flat()) {
      const id = automationId(exported);
      if (id === undefined) continue;
      refuseOtherVersion(exported as object, relative(directory, file));
      const known = found.get(id);
      if (known !== undefined && known.automation !== exported)
        throw duplicate(id, relative(directory, known.file), relative(directory, file));
      found.set(id, known ?? { automation: exported as object, file });
    }
  }
  const placeOf = (id: string): string | undefined => {
    const file = found.get(id)?.file;
    return file === undefined ? undefined : relative(directory, file);
  };
  if (found.size > 0) return { automations: [...found.values()].map(({ automation }) => automation), placeOf };
  if (files.length === 0)
    throw new ConfigError("AUTOMATIONS_NOT_FOUND", `automations: there is no module ${setting}`, {
      hint: "Mend the glob (it is relative to the configuration file), or remove the option.",
    });
  const names = files.slice(0, 3).map((file) => relative(directory, file));
  const what = `${names.join(", ")}${files.length > 3 ? ` and ${files.length - 3} more` : ""} of ${setting}`;
  throw new ConfigError("AUTOMATIONS_NOT_FOUND", `automations: no export of ${what} is an automation`, {
    hint: "Export what automation() returns, or a list of it: export const ship = automation(...).",
  });
}

function duplicate(id: string, first: string, second: string): ConfigError {
  const where = first === second ? `twice in ${first}` : `${first} and ${second}`;
  return new ConfigError("AUTOMATION_DUPLICATE", `two automations are named ${JSON.stringify(id)}: ${where}`, {
    hint: "Give one of them another id; the id is its durable's name.",
  });
}

/** A module's exports. */
export type ModuleLoader = (file: string) => Promise<Readonly<Record<string, unknown>>>;

/**
 * A loader for this process.
 * @param own modules that are given as they are, by the name they are imported by: `millrace` itself, so that what a
 *   configuration imports is the very code that runs it, wherever either of them is installed
 * @param fresh loads again what this process has loaded before
 */
function moduleLoader(own: Readonly<Record<string, unknown>>, fresh = false, patienceMs = PATIENCE_MS): ModuleLoader {
  return async (file) => {
    try {
      const { createJiti } = await import("jiti"); // only now: a worker with a JSON configuration never pays for it
      // No cache on disk: it would lie in a folder that other users of the machine may write.
      const jiti = createJiti(import.meta.url, {
        virtualModules: { ...own },
        fsCache: false,
        moduleCache: !fresh,
        interopDefault: false,
      });
      const loaded = await within(realClock, patienceMs, jiti.import<Record<string, unknown>>(file));
      if (loaded === undefined) throw neverLoaded(file, patienceMs);
      return loaded;
    } catch (error) {
      if (error instanceof MillraceError) throw error;
      const { message } = toError(error);
      const place = error instanceof Error ? placeOf(error) : undefined;
      throw new ConfigError("CONFIG_LOAD_FAILED", `${place ?? file}: ${message.split("\n")[0]?.trim()}`, {
        hint: "Mend the file; it must load without an error by itself.",
        cause: error,
      });
    }
  };
}

function neverLoaded(file: string, patienceMs: number): ConfigError {
  return new ConfigError("CONFIG_LOAD_FAILED", `${file}: it has not loaded within ${patienceMs / 1000} s`, {
    hint: "Await nothing at the top of the file, or of what it imports, that may not come: begin it there, and wait for it in the handler.",
  });
}

/** The file, line and column that is wrong: the parser says it below its message, the runtime in its stack. */
function placeOf({ message, stack = "" }: Error): string | undefined {
  const lines = `${message}\n${stack}`.split("\n");
  const places = lines.map((line) =>
    /^\s+(?:at (?:.* \()?)?(?:file:\/\/)?(\/.+|[A-Za-z]:\\.+):(\d+:\d+)\)?$/.exec(line),
  );
  const found = places.find((place) => place !== null && !/[\\/]node_modules[\\/]/.test(place[1] ?? ""));
  return found ? `${found[1]}:${found[2]}` : undefined;
}
