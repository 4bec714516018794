// What an administrator runs in mongosh for a source: a role with no more than it needs, and a user that has it. Made here, run by
// a person.

import type { SourceId } from "../../../event/source-id.ts";
import { storeImages } from "../check/judge.ts";
import { driver } from "../client/driver.ts";
import { isExclusion } from "../options/collection-pattern.ts";
import type { MongoConfig } from "../options/config.ts";

type RoleOptions = Pick<MongoConfig, "url" | "databases" | "collections" | "images">;

const DEFAULT_USER = "millrace";

/** The role, the user of the url (or `millrace` where it names none) and, where they are asked for, what makes images stored. */
export function roleText(id: SourceId, config: RoleOptions, as?: string): readonly string[] {
  const { user, home } = userOf(config.url, as);
  const role = `millrace_${id}`;
  const mine = { role, db: "admin" };
  return [
    `db.getSiblingDB("admin").createRole({`,
    `  role: ${quoted(role)},`,
    "  privileges: [",
    ...privileges(config.databases).map((line) => `    ${line}`),
    "  ],",
    "  roles: [],",
    "});",
    `db.getSiblingDB(${quoted(home)}).createUser({ user: ${quoted(user)}, pwd: passwordPrompt(), roles: [${inline(mine)}] });`,
    `// where the user is there already: db.getSiblingDB(${quoted(home)}).grantRolesToUser(${quoted(user)}, [${inline(mine)}]);`,
    ...imagesText(config),
  ];
}

/** Lines of an array, each with what it is for. */
function privileges(databases: readonly string[]): readonly string[] {
  const privilege = (resource: object, ...actions: readonly string[]): string =>
    `{ resource: ${inline(resource)}, actions: ${JSON.stringify(actions).replaceAll(",", ", ")} },`;
  const all = { db: "", collection: "" };
  return [
    ...databases.map((db) => privilege({ db, collection: "" }, "find", "changeStream", "listCollections")),
    ...(databases.length > 1
      ? ["// several databases are one change stream of the whole cluster, which needs the right to all of them:"]
      : []),
    ...(databases.length > 1 ? [privilege(all, "find", "changeStream")] : []),
    "// how far the oplog reaches back; without it only the lag is known, and not how near the source is to losing its place:",
    privilege({ db: "local", collection: "oplog.rs" }, "find", "collStats"),
    "// which cluster this is, so that another one behind the same address is noticed (a replica set, a sharded cluster):",
    privilege({ cluster: true }, "replSetGetConfig"),
    privilege({ db: "config", collection: "version" }, "find"),
  ];
}

/** The worker itself never changes a collection, so its role needs no `collMod`. */
function imagesText({ databases, collections, images }: RoleOptions): readonly string[] {
  if (images.before !== "stored" && images.after !== "stored") return [];
  const included = collections.filter((pattern) => !isExclusion(pattern));
  const named = included.filter((pattern) => !pattern.includes("*"));
  const open = included.filter((pattern) => pattern.includes("*"));
  const [only, second] = databases;
  const isKnown = only !== undefined && second === undefined;
  return [
    '// images: "stored" needs collections that store them; for somebody with collMod on the database:',
    ...(isKnown ? named.map((name) => `${storeImages(only, name)};`) : []),
    ...(open.length > 0 || !isKnown
      ? [
          `// the statement for each collection of ${(isKnown ? open : included).map(quoted).join(", ")}: npx millrace check`,
        ]
      : []),
  ];
}

/** Who the url says that the worker is, and the database that knows the password. */
function userOf(url: string, as: string | undefined): { readonly user: string; readonly home: string } {
  const { credentials } = new (driver().MongoClient)(url).options; // it only reads the url: nothing is connected
  if (as !== undefined) return { user: as, home: "admin" };
  return { user: credentials?.username || DEFAULT_USER, home: credentials?.source || "admin" };
}

function inline(object: object): string {
  const members = Object.entries(object).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return `{ ${members.join(", ")} }`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
