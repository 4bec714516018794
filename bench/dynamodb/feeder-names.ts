// What the feeder calls its tables and shards.

export const REGION = "eu-west-1";
const SHARD = "shardId-00000001";

export function arnOf(table: string): string {
  return `arn:aws:dynamodb:${REGION}:000000000000:table/${table}`;
}

export function shardName(shard: number): string {
  return `${SHARD}-${String(shard).padStart(6, "0")}`;
}

export function shardIn(name: string): number {
  return Number(name.slice(SHARD.length + 1));
}
