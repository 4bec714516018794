// Commands of the AWS CLI that mend what does not hold.

import type { DynamoConfig } from "../options/config.ts";

export type Home = Pick<DynamoConfig, "region" | "endpoint" | "profile">;

/** What carries both images. */
export const VIEW = "NEW_AND_OLD_IMAGES";

/** How a table gets a stream with both images in place of one without. */
export function renewStream(home: Home, table: string): string {
  const [off, on] = [
    setStream(home, table, "StreamEnabled=false"),
    setStream(home, table, `StreamEnabled=true,StreamViewType=${VIEW}`),
  ];
  return `A stream keeps its view type. Let what is in it be read, and switch it off and on again, which is a new stream behind a gap: ${off}, then ${on}`;
}

function setStream(home: Home, table: string, specification: string): string {
  return `aws dynamodb update-table --table-name ${table} --stream-specification ${specification}${flags(home)}`;
}

/** Where it is, as the command takes it. */
export function flags({ region, endpoint, profile }: Home): string {
  const said = { region, profile, "endpoint-url": endpoint };
  return Object.entries(said)
    .map(([flag, value]) => (value === undefined ? "" : ` --${flag} ${quoted(value)}`))
    .join("");
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
