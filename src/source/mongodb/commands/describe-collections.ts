// The collections of a source as types are made from: what their validators hold documents to, else what a sample shows.

import type { BSON, Db } from "mongodb";
import type { CollectionSchema, ColumnSchema } from "../../../event/collection-schema.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { unmatched } from "../check/judge.ts";
import { connectMongo } from "../client/connect.ts";
import { translateError } from "../client/errors.ts";
import { readCollections } from "../facts/collection-facts.ts";
import { readSample } from "../facts/sample.ts";
import type { MongoConfig } from "../options/config.ts";
import { documentShape, tidied } from "../shape/document-shape.ts";
import { anyOf, isAnything, join, meet, NOTHING, type ObjectShape, type Shape } from "../shape/shape.ts";
import { shapeSchema, typeNames } from "../shape/shape-schema.ts";
import { validatorShape } from "../shape/validator-shape.ts";
import type { Encoding } from "../values/bson-json.ts";

/** What the server refuses as an `_id`. */
const NO_ID = ["array", "regex", "undefined"] as const;

/** By their names. @throws ConfigError COLLECTION_NOT_FOUND and others; TransientError */
export async function describeCollections(id: SourceId, config: MongoConfig): Promise<readonly CollectionSchema[]> {
  await using client = await connectMongo(id, config);
  try {
    const found = await readCollections(client, config);
    const [missing] = unmatched(config, found);
    if (missing !== undefined) throw missing.error;
    const schemas: CollectionSchema[] = [];
    for (const { namespace, name } of found) schemas.push(await describe(client.db(namespace), name, config));
    return schemas;
  } catch (error) {
    throw translateError(error);
  }
}

async function describe(db: Db, name: string, { encoding, databases }: MongoConfig): Promise<CollectionSchema> {
  const [info] = await db.listCollections({ name }, { nameOnly: false }).toArray();
  const documents = await readSample(db, name);
  const bareName = databases.length === 1;
  return collectionSchemaOf({
    namespace: db.databaseName,
    name,
    options: info?.options ?? {},
    documents,
    encoding,
    bareName,
  });
}

/** What is known of a collection. */
export interface KnownCollection {
  readonly namespace: string;
  readonly name: string;
  /** As the server has them. */
  readonly options: BSON.Document;
  /** Raw. */
  readonly documents: readonly Buffer[];
  readonly encoding: Encoding;
  readonly bareName: boolean;
}

export function collectionSchemaOf(known: KnownCollection): CollectionSchema {
  const { namespace, name, encoding, bareName } = known;
  const { shape, origin, open, idOrigin } = describeDocuments(known);
  const columns = [...shape.members].map(([column, member]): ColumnSchema => {
    const sampled = column === "_id" && idOrigin !== "";
    return {
      name: column,
      number: null,
      type: typeNames(member.shape) + (sampled ? idOrigin : ""),
      nullable: false,
      value: shapeSchema(member.shape, { encoding, open: open || sampled }),
      ...(!member.required && { optional: true }),
    };
  });
  return {
    id: `${namespace}.${name}`,
    namespace,
    collection: name,
    identity: "key",
    key: ["_id"],
    columns,
    documents: { origin, open: open || shape.rest !== undefined, bareName },
  };
}

interface DescribedDocuments {
  readonly shape: ObjectShape;
  /** For a person, and what to add to that for `_id`. */
  readonly origin: string;
  readonly idOrigin: string;
  /** Whether there may be more than was seen, at any depth. */
  readonly open: boolean;
}

function describeDocuments({ options, documents }: KnownCollection): DescribedDocuments {
  const sample = tidied(documents.map((bytes) => documentShape(bytes)).reduce(join, NOTHING)).object;
  const sampledId = sample?.members.get("_id")?.shape ?? anyOf();
  const count = documents.length === 1 ? "one document" : `${documents.length} documents`;
  const shape = isEnforced(options) ? validatorShape(options.validator)?.object : undefined;
  if (shape === undefined) {
    const origin = documents.length === 0 ? "and there is none yet" : `from a sample of ${count}: others may differ`;
    const seen = sample ?? { members: new Map(), rest: undefined };
    return { shape: withId(seen, sampledId), origin, open: true, idOrigin: "" };
  }
  const own = shape.members.get("_id")?.shape ?? shape.rest ?? anyOf();
  const isKnown = !isAnything(own);
  const moderate = options.validationLevel === "moderate" ? ", or updated though they were invalid before," : "";
  return {
    shape: withId(shape, isKnown ? own : sampledId),
    origin: `as its validator has it: documents older than that, or written past it,${moderate} may differ`,
    open: false,
    idOrigin: isKnown || documents.length === 0 ? "" : `, in a sample of ${count}: the validator does not say`,
  };
}

/** Each document has one, and it stands first. */
function withId({ members, rest }: ObjectShape, id: Shape): ObjectShape {
  const types = [...anyOf().types].filter((type) => !NO_ID.some((never) => never === type));
  const shape = isAnything(id) ? id : meet(id, anyOf(types));
  return {
    members: new Map([["_id", { shape, required: true }], ...[...members].filter(([name]) => name !== "_id")]),
    rest,
  };
}

/** Whether the server refuses what is not as the validator has it. */
function isEnforced({ validationAction, validationLevel }: BSON.Document): boolean {
  return validationAction !== "warn" && validationLevel !== "off";
}
