// Collections that store no images though the source asks for them: their events lack what was asked for, and a person is told.

import type { MongoClient } from "mongodb";
import type { SourceId } from "../../event/source-id.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Notice } from "../source.ts";
import { lackingImages } from "./check/judge.ts";
import { readCollections } from "./facts/collection-facts.ts";
import type { MongoConfig } from "./options/config.ts";

export interface ImageWatchOptions {
  readonly id: SourceId;
  readonly config: MongoConfig;
  readonly client: MongoClient;
  readonly log: Logger;
}

/** How long a list of collections is taken for true: they come and go. */
const LOOK_EVERY_MS = 10_000;

export class ImageWatch {
  readonly #options: ImageWatchOptions;
  #notices: readonly Notice[] = [];
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ImageWatchOptions) {
    this.#options = options;
  }

  get notices(): readonly Notice[] {
    return this.#notices;
  }

  /** Looks, where images are asked for and it is time to. @throws what the driver throws */
  async look(): Promise<void> {
    const { id, config, client, log } = this.#options;
    const { before, after } = config.images;
    if (before !== "stored" && after !== "stored") return;
    if (performance.now() - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = performance.now();
    const lacking = lackingImages(config, await readCollections(client, config));
    const notices = lacking.map(({ subject, message, fix }) => ({
      code: "IMAGES_NOT_STORED",
      message: `${subject}: ${message}`,
      hint: fix,
    }));
    // Once for each: status shows it all the time.
    for (const { code, message, hint } of notices)
      if (!this.#notices.some((told) => told.message === message))
        log.warn("source_images_missing", { source: id, code, hint }, message);
    this.#notices = notices;
  }
}
