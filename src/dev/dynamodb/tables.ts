// The tables of the double: items by their keys, and the stream that their changes go into.

import { invalid } from "./fault.ts";
import type { KeyAttribute, Stream } from "./streams.ts";
import { type Attribute, canonicalText, type Item } from "./values.ts";

export interface AttributeDefinition {
  readonly AttributeName: string;
  readonly AttributeType: "S" | "N" | "B";
}

/** Which item, and where it lies. */
export interface ItemKey {
  readonly text: string;
  readonly keys: Item;
  /** Of the partition key alone: it decides upon the shard. */
  readonly partition: string;
}

export class Table {
  readonly name: string;
  readonly arn: string;
  readonly id: string;
  /** The partition key first. */
  readonly keySchema: readonly KeyAttribute[];
  readonly definitions: readonly AttributeDefinition[];
  /** Ms since 1970. */
  readonly createdAt: number;
  readonly items = new Map<string, Item>();
  readonly tags = new Map<string, string>();
  /** The newest, which may be switched off. */
  stream: Stream | undefined;
  /** The attribute that says when an item is over. */
  ttl: string | undefined;

  constructor(options: Pick<Table, "name" | "arn" | "id" | "keySchema" | "definitions" | "createdAt">) {
    this.name = options.name;
    this.arn = options.arn;
    this.id = options.id;
    this.keySchema = options.keySchema;
    this.definitions = options.definitions;
    this.createdAt = options.createdAt;
  }

  /** @throws DynamoFault where a key attribute is missing, or of another type */
  keyOf(item: Item): ItemKey {
    const parts = this.keySchema.map(({ AttributeName: name }) => {
      const attribute = Object.hasOwn(item, name) ? item[name] : undefined;
      if (attribute === undefined)
        throw invalid(`One or more parameter values were invalid: Missing the key ${name} in the item`);
      const wanted = this.definitions.find(({ AttributeName }) => AttributeName === name)?.AttributeType ?? "S";
      if (!Object.hasOwn(attribute, wanted))
        throw invalid(`One or more parameter values were invalid: Type mismatch for key ${name} expected: ${wanted}`);
      if (attribute[wanted] === "")
        throw invalid(
          `One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: ${name}`,
        );
      return [name, attribute] as const satisfies readonly [string, Attribute];
    });
    const [partition] = parts;
    if (partition === undefined) throw invalid("a table has no key");
    const keys = Object.fromEntries(parts);
    return { text: canonicalText({ M: keys }), keys, partition: canonicalText(partition[1]) };
  }

  /** The key alone. @throws DynamoFault where there is more, or less */
  onlyKeyOf(key: Item): ItemKey {
    if (Object.keys(key).length !== this.keySchema.length)
      throw invalid("The provided key element does not match the schema");
    return this.keyOf(key);
  }
}
