// Keeps the work of tx() from ending its transaction: a BEGIN, COMMIT or ROLLBACK on the client it is given does not run.

import { PoisonError } from "../../errors.ts";
import { causesOf } from "../outcome/readable.ts";

/** Strings, names, dollar quotes and comments: nothing in them is a statement. */
const QUOTED =
  /--[^\n]*|\/\*[\s\S]*?\*\/|\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/g;
const WORD = /\b(?:begin|start|commit|end|rollback|abort|prepare)\b/i;
const CONTROL =
  /^(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:(?:work|transaction)\s+)?to\b))\b/i;

/** Whether one of the statements in a text begins or ends a transaction; a savepoint does neither. */
export function controlsTransaction(text: string): boolean {
  if (!WORD.test(text)) return false;
  const bare = text.replace(QUOTED, " ");
  if (/\bbegin\s+atomic\b/i.test(bare)) return false; // the body of a function
  return bare.split(";").some((statement) => CONTROL.test(statement.trim()));
}

/** What such a statement ends with instead. */
function refused(): PoisonError {
  return new PoisonError(
    "TX_CONTROL_REFUSED",
    "a BEGIN, COMMIT or ROLLBACK in the work of tx() was kept from running: it would take the effect from its inbox entry",
    { hint: "leave them to tx(); a part of the work that may fail goes into a savepoint" },
  );
}

/** Where one has run past us: on a driver that cannot be guarded. */
export function endedInside(): PoisonError {
  return new PoisonError(
    "TX_ENDED_INSIDE",
    "the work of tx() ended its transaction by a COMMIT or ROLLBACK of its own",
    {
      hint: "see which of its effects are committed; then leave BEGIN, COMMIT and ROLLBACK to tx(), and use savepoints",
    },
  );
}

/**
 * Whether the work has tried to end its transaction, or has: a second try would do the same, or a part of it twice. The error
 * that says so: drizzle wraps it.
 */
export function controlError(error: unknown): PoisonError | undefined {
  for (const one of causesOf(error)) {
    if (one instanceof PoisonError && ["TX_CONTROL_REFUSED", "TX_ENDED_INSIDE"].includes(one.code)) return one;
  }
  return undefined;
}

type Call = (...args: readonly unknown[]) => unknown;

/** A client of pg whose `query` refuses them while `refuses()`; all else is the client's. */
export function guardedClient<Client extends object>(client: Client, refuses: () => boolean): Client {
  return guarded(client, {
    query:
      (query) =>
      (first, ...rest) => {
        const text = typeof first === "string" ? first : (first as { readonly text?: unknown } | undefined)?.text;
        if (!refuses() || typeof text !== "string" || !controlsTransaction(text)) return query(first, ...rest);
        const told = rest.at(-1);
        if (typeof told !== "function") return Promise.reject(refused());
        process.nextTick(told, refused());
        return undefined;
      },
  });
}

/** A transaction of postgres.js that refuses them, in its savepoints too. */
export function guardedSql<Sql extends object>(sql: Sql): Sql {
  const checked = (text: string): void => {
    if (controlsTransaction(text)) throw refused();
  };
  const members: Members = {
    unsafe:
      (unsafe) =>
      (text, ...rest) => {
        checked(String(text));
        return unsafe(text, ...rest);
      },
    savepoint:
      (savepoint) =>
      (...args) =>
        savepoint(...args.map((arg) => (isWork(arg) ? (inner: object) => arg(guardedSql(inner)) : arg))),
  };
  return guarded(sql, members, (args) => {
    const [strings] = args as readonly (readonly string[] | undefined)[];
    if (Array.isArray(strings) && "raw" in strings) checked(strings.join("?"));
  });
}

type Members = Readonly<Record<string, (original: Call) => Call>>;

function guarded<Target extends object>(
  target: Target,
  members: Members,
  before: (args: readonly unknown[]) => void = () => {},
): Target {
  return new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const own = typeof name === "string" && Object.hasOwn(members, name) ? members[name] : undefined;
      return own === undefined ? value.bind(target) : own(value.bind(target) as Call);
    },
    apply: (_, self, args: readonly unknown[]) => {
      before(args);
      return Reflect.apply(target as Call, self, args);
    },
  });
}

function isWork(value: unknown): value is (sql: object) => unknown {
  return typeof value === "function";
}
