// What events carry of a collection's documents: by the source's options, and by whether the collection stores them.

import type { CarriedImages, ImagesOf } from "../../capabilities.ts";
import type { CollectionFacts } from "../facts/collection-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { storeImages } from "./judge.ts";

/** Which of the images that are read are there only where the collection stores them, or the source asks for them. */
export function openImages({ op, images }: ImagesOf): readonly ("before" | "after")[] {
  return images.filter((image) => (image === "before" ? op !== "created" : op !== "created" && op !== "deleted"));
}

/** @param found the collection as it is; undefined where it is not there, and then its events are by the options alone */
export function carriedImages(
  { images }: Pick<MongoConfig, "images">,
  { namespace, name, op }: ImagesOf,
  found: CollectionFacts | undefined,
): CarriedImages {
  const stores = found?.images ?? true;
  const has = (image: "before" | "after"): boolean =>
    (image === "after" && op === "created") || images[image] === "lookup" || (images[image] === "stored" && stores);
  const carried = (["before", "after"] as const).filter(has);
  const asked = (["before", "after"] as const).filter((image) => !has(image) && images[image] === "none");
  const why = [
    ...asked.map((image) => `the source's option images.${image} is "none"`),
    ...(stores ? [] : ["the collection stores no images"]),
  ];
  const fix = [
    ...asked.map((image) => `Set images.${image} to "stored" on the source.`),
    ...(stores ? [] : [`In mongosh: ${storeImages(namespace, name)}`]),
  ];
  return { images: carried, tellsChanged: true, why: why.join(", and "), fix: fix.join(" ") };
}
