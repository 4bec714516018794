// Global tables: each replica's stream has all writes, those of other regions too.

import { about, type Finding } from "../../../telemetry/finding.ts";
import type { CheckContext } from "../../connector.ts";
import type { ReadTable } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { tableFilter } from "../options/table-pattern.ts";

/** @param others the other sources of the configuration */
export function replicaFindings(
  tables: readonly ReadTable[],
  { region }: Pick<DynamoConfig, "region">,
  others: CheckContext<DynamoConfig>["others"],
): readonly Finding[] {
  return tables.flatMap(({ table, arn, replicas = [] }) => {
    const here = region ?? arn.split(":")[3] ?? "";
    const elsewhere = replicas.filter((one) => one !== here);
    if (elsewhere.length === 0) return [];
    const { ok, warn } = about(`table ${table}`);
    const twice = [...others].find(
      ([, other]) => other.region !== region && other.region !== here && tableFilter(other.tables)(table),
    );
    const where = `it is a global table, with replicas in ${elsewhere.join(", ")}`;
    if (twice === undefined)
      return [
        ok("GLOBAL_TABLE", `${where}: the stream of ${here} has the writes of all regions; read it in one alone`),
      ];
    return [
      warn(
        "GLOBAL_TABLE",
        `${where}, and the source ${twice[0]} reads it in another region: each change arrives once from each`,
        `Read it in one region alone: leave ${table} out of tables of one of the two.`,
      ),
    ];
  });
}
