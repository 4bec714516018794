// What `millrace init` says and writes differently for each kind of source: told by the url of its database.

import { ConfigError } from "../../errors.ts";

/** One kind as `init` needs it. */
export interface InitKind {
  readonly kind: "postgres" | "mongodb" | "dynamodb";
  /** The option that names what is read, and what it most often holds. */
  readonly option: "tables" | "collections";
  readonly usual: readonly string[];
  /** The file that a DBA runs, and what with. */
  readonly file: string;
  readonly runWith: string;
  /** Whether the source's option `url` says where its database is: else `others` do. */
  readonly hasUrl: boolean;
  /** Options beside `url` and the patterns. @throws ConfigError INIT_DATABASE where the url lacks one */
  readonly others: (url: string) => Readonly<Record<string, string>>;
  /** What DATABASE_URL is to be; undefined for a url that is not written as one. */
  readonly workerUrl: (url: string, user: string) => string | undefined;
  /** For a url that cannot be taken apart; what the worker needs to be given where there is no url. */
  readonly exampleUrl: string;
}

const postgres: InitKind = {
  kind: "postgres",
  option: "tables",
  usual: ["public.*"],
  file: "millrace.sql",
  runWith: "let a DBA run millrace.sql and give the role a password (\\password); then, and NATS_URL likewise:",
  hasUrl: true,
  others: () => ({}),
  workerUrl: (url, user) => {
    if (!URL.canParse(url)) return undefined;
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${encodeURIComponent(user)}:PASSWORD@${host}${pathname}`;
  },
  exampleUrl: "postgres://millrace:PASSWORD@HOST:5432/DATABASE",
};

/** Scheme, hosts, database, options: several hosts are no host to the parser of urls. */
const MONGODB = /^(mongodb(?:\+srv)?:\/\/)(?:[^@/]*@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/;

const mongodb: InitKind = {
  kind: "mongodb",
  option: "collections",
  usual: ["*"],
  file: "millrace.mongosh.js",
  runWith: "let a DBA run millrace.mongosh.js by mongosh, which asks for a password; then, and NATS_URL likewise:",
  hasUrl: true,
  others: (url) => {
    const [, , , database] = MONGODB.exec(url) ?? [];
    if (database) return { database: decodeURIComponent(database) };
    throw new ConfigError("INIT_DATABASE", "the url of the MongoDB names no database to read", {
      hint: "Write it behind the hosts: mongodb://HOST:27017/DATABASE?replicaSet=rs0; nothing was written.",
    });
  },
  // The user that is made is known to the database admin.
  workerUrl: (url, user) => {
    const [, scheme, hosts, , query = ""] = MONGODB.exec(url) ?? [];
    if (scheme === undefined || hosts === undefined) return undefined;
    const options = query.split("&").filter((option) => option !== "" && !/^authSource=/i.test(option));
    return `${scheme}${encodeURIComponent(user)}:PASSWORD@${hosts}/?${[...options, "authSource=admin"].join("&")}`;
  },
  exampleUrl: "mongodb://millrace:PASSWORD@HOST:27017/?replicaSet=rs0&authSource=admin",
};

/** `dynamodb://eu-west-1`, or the url of an endpoint. */
const DYNAMODB = /^(?:dynamodb:\/\/([a-z0-9-]+)\/?|(https?:\/\/[^/]+)\/?)$/;
const AWS_ENDPOINT = /^https:\/\/dynamodb\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/;

const dynamodb: InitKind = {
  kind: "dynamodb",
  option: "tables",
  usual: ["*"],
  file: "millrace.policy.json",
  runWith:
    "let an administrator give millrace.policy.json to the worker's role or user (what stands in capitals is to be replaced); then, and NATS_URL likewise:",
  hasUrl: false,
  others: (url) => {
    const [, region, endpoint = ""] = DYNAMODB.exec(url) ?? [];
    const known = region ?? AWS_ENDPOINT.exec(endpoint)?.[1];
    if (known !== undefined) return { region: known };
    if (endpoint !== "") return { endpoint };
    throw new ConfigError("INIT_DATABASE", "the url of the DynamoDB names no region and no endpoint", {
      hint: "Write dynamodb://eu-west-1, or the endpoint's url: http://127.0.0.1:8000; nothing was written.",
    });
  },
  workerUrl: () => undefined,
  exampleUrl: "export AWS_PROFILE=millrace # or any credentials that the AWS SDK finds by itself",
};

/** By the url's scheme; Postgres where none is given. */
export function initKindOf(url: string): InitKind {
  if (/^(dynamodb|https?):/.test(url)) return dynamodb;
  return /^mongodb(\+srv)?:/.test(url) ? mongodb : postgres;
}
