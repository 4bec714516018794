// Whether what is on record of a DynamoDB source is about the tables that its configuration leads to.

import { describe, expect, test } from "vitest";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { dynamoGround } from "../../../support/dynamodb/dynamo-ground.ts";
import { ScriptedDynamo } from "../../../support/dynamodb/scripted-dynamo.ts";

type Ground = ReturnType<typeof dynamoGround>;

/** A source that has begun, and what of its database has become something else. */
async function recognised(
  change: (ground: Ground) => void | Promise<void>,
  replaced?: (name: string) => ScriptedDynamo,
) {
  const ground = dynamoGround();
  const { reading } = await ground.read();
  await reading.stop();
  await change(ground);
  if (replaced !== undefined) ground.serveBy(replaced(ground.server.name));
  const { connector, configOf, memory, time } = ground;
  const asked = connector.recognise("shop" as SourceId, configOf({}), memory.value ?? {});
  return time.when(
    asked.then(
      () => "recognised",
      (error: { readonly code: string; readonly foreign?: boolean }) =>
        `${error.code}${error.foreign ? ", another's" : ""}`,
    ),
  );
}

/** Another server with a table of the same name. */
function other(account: string, time: Ground["time"]): ScriptedDynamo {
  const server = new ScriptedDynamo(account, time.clock);
  server.createTable("carts");
  return server;
}

describe("a record is recognised", () => {
  test.each<[string, (ground: Ground) => void | Promise<void>]>([
    ["by its stream", () => {}],
    ["by its stream, of a table that was deleted", ({ server }) => server.deleteTable("carts")],
    [
      "by its stream, of a table that was made again",
      async ({ server }) => {
        await server.deleteTable("carts");
        server.createTable("carts");
      },
    ],
    [
      "by its table, whose stream was switched off more than a day ago",
      ({ server }) => {
        const { label } = server.streamOf("carts");
        server.disable("carts");
        server.enable("carts");
        server.forget(label);
      },
    ],
    [
      "by its table, which has no stream any more",
      ({ server }) => {
        const { label } = server.streamOf("carts");
        server.disable("carts");
        server.forget(label);
      },
    ],
  ])("%s", async (_, change) => {
    expect(await recognised(change)).toBe("recognised");
  });
});

describe("a record is not recognised", () => {
  test("by tables of the same names in another account or region", async () => {
    const ground = dynamoGround();
    expect(
      await recognised(
        () => {},
        () => other("elsewhere", ground.time),
      ),
    ).toBe("SOURCE_OTHER_DATABASE, another's");
  });

  test("by a table of the same name that was made anew in the same place, of which nothing tells", async () => {
    const madeAnew = async ({ server }: Ground) => {
      const { label } = server.streamOf("carts");
      await server.deleteTable("carts");
      server.createTable("carts");
      server.forget(label);
    };
    expect(await recognised(madeAnew)).toBe("SOURCE_OTHER_DATABASE, another's");
  });

  test("where none of its tables and streams is there, and nothing of it is taken for lost", async () => {
    const ground = dynamoGround();
    const nowhere = () => new ScriptedDynamo("nowhere", ground.time.clock);
    expect(await recognised(() => {}, nowhere)).toBe("TABLE_NOT_FOUND");
  });
});
