// What an automation reads of rows, by its triggers, its pattern and its handler: a source may not have all of it.

import type { SourceId } from "../../event/source-id.ts";
import { neededColumns, neededMembers } from "../pattern/event-shape.ts";
import type { LearningPattern } from "../pattern/learning-pattern.ts";
import type { Image, NeededImages, Trigger } from "./trigger.ts";

/** Columns of one collection by their names in events, with what is inside of them: `address.city`. */
export interface NamedColumns {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  readonly columns: readonly string[];
  readonly by: "where" | "trigger";
}

const IMAGES: readonly Image[] = ["before", "after"];

/** What the handler and the trigger read, and apart from it what only `where` does. */
export function neededImages(
  { needs = [], shape, declared }: Trigger,
  where: LearningPattern | undefined,
): readonly NeededImages[] {
  if (where === undefined || shape?.collection === undefined) return needs;
  const clauses = where.compiled.rules.map((rule) => rule.map(({ clause }) => clause));
  const read = needs.flatMap(({ by, images }) => (by === undefined ? images : []));
  const images = neededMembers(clauses, IMAGES).filter((image) => !read.includes(image));
  if (images.length === 0) return needs;
  const columns = images.includes("before") && {
    columns: neededColumns(clauses, "before"),
    ...(declared && { properties: declared.properties }),
  };
  return [...needs, { ...shape.collection, images, ...columns, by: "where" }];
}

/** The columns that are named of a collection of which nothing is declared: what is declared is checked where it is compiled. */
export function namedColumns(
  { shape, compares = [] }: Trigger,
  where: LearningPattern | undefined,
): readonly NamedColumns[] {
  if (shape?.collection === undefined) return [];
  const { collection } = shape;
  const named = [
    { ...collection, columns: compares, by: "trigger" as const },
    { ...collection, columns: where?.columns ?? [], by: "where" as const },
  ];
  return named.filter(({ columns }) => columns.length > 0);
}
