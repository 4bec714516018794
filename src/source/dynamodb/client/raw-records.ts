// Answers with records or items as the bytes that came: the SDK drops the value of an attribute that is called `__proto__`, at any depth.
// It is told once for a client, for what is added to a command has all that the SDK does put together anew for each request.

import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";

export interface RawAnswer {
  readonly bytes: Buffer;
  /** When the server says that it answered, ms since 1970. */
  readonly at: number | undefined;
}

interface RawResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  body: unknown;
  raw?: RawAnswer;
}

const EMPTY: RawAnswer = { bytes: Buffer.from("{}"), at: undefined };
const answers = new WeakMap<object, RawAnswer>();

/** From now on the client parses nothing of a good answer to `GetRecords`, or to `Scan`. */
export function keepRaw(client: DynamoDBClient | DynamoDBStreamsClient, command: "GetRecords" | "Scan"): void {
  // The two stacks differ in the types of their commands alone.
  const middlewareStack = client.middlewareStack as DynamoDBStreamsClient["middlewareStack"];
  const isKept = (context: { readonly commandName?: unknown }): boolean => context.commandName === `${command}Command`;
  middlewareStack.add(
    (next, context) => {
      if (!isKept(context)) return next;
      return async (args) => {
        const result = await next(args);
        const response = result.response as RawResponse;
        if (response.statusCode !== 200) return result;
        const at = Date.parse(response.headers.date ?? "") || undefined;
        response.raw = { bytes: await bytesOf(response.body as AsyncIterable<Uint8Array>), at };
        response.body = EMPTY.bytes;
        return result;
      };
    },
    { step: "deserialize", priority: "low", name: "takeRaw" },
  );
  middlewareStack.add(
    (next, context) => {
      if (!isKept(context)) return next;
      return async (args) => {
        const result = await next(args);
        const { raw } = result.response as RawResponse;
        if (raw !== undefined && result.output !== undefined) answers.set(result.output, raw);
        return result;
      };
    },
    { step: "deserialize", priority: "high", name: "keepRaw" },
  );
}

/** What such a client has answered. */
export function rawAnswer(output: object): RawAnswer {
  return answers.get(output) ?? EMPTY;
}

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}
