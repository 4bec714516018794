// This package's version, for `--version`, the status and the writer's marker.

import manifest from "../package.json" with { type: "json" };

export const version: string = manifest.version;
