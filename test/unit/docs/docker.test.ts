// What lies under docker/ fits the code: metrics that exist, files that are there, runbooks that alerts point to.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { exportedMetrics } from "../../../docs/metrics-page.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const docker = join(root, "docker");
const text = (file: string): string => readFileSync(join(docker, file), "utf8");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly runbook: string };
}
const alerts = parse(text("prometheus/alerts.yml")) as { groups: [{ rules: Rule[] }] };
const { rules } = alerts.groups[0];
const dashboard = JSON.parse(text("grafana/dashboard.json")) as {
  panels: { title: string; targets: { expr: string }[] }[];
};

/** Every name that the worker exports; a histogram has three. */
function exported(): ReadonlySet<string> {
  const names = exportedMetrics()
    .getMetricsAsArray()
    .flatMap(({ name, type }) => {
      return String(type) === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
    });
  return new Set([...names, "up", "process_start_time_seconds"]);
}

function metricsIn(expression: string): readonly string[] {
  const bare = expression.replace(/\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|"[^"]*"/g, "");
  return [...bare.matchAll(/\b[a-z_]+\b(?!\s*\()/g)].map(([name]) => name).filter((name) => !operators.has(name));
}
const operators = new Set(["or", "and", "job", "instance", "m", "h", "s"]);

test.each(rules.map(({ alert, expr }) => [alert, expr]))(
  "the alert %s asks for metrics that exist",
  (_, expression) => {
    const names = exported();

    expect(metricsIn(expression)).not.toEqual([]);
    expect(metricsIn(expression).filter((name) => !names.has(name))).toEqual([]);
  },
);

test("every panel of the dashboard asks for metrics that exist", () => {
  const names = exported();
  const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

  expect(expressions.length).toBeGreaterThan(15);
  expect(expressions.filter((expression) => metricsIn(expression).length === 0)).toEqual([]);
  expect(expressions.flatMap(metricsIn).filter((name) => !names.has(name))).toEqual([]);
});

test("every alert has a runbook that is there, and a promtool test", () => {
  const tested = new Set(
    (parse(text("prometheus/alerts.test.yml")) as { tests: { alert_rule_test: AlertTest[] }[] }).tests.flatMap((one) =>
      one.alert_rule_test.filter(({ exp_alerts }) => exp_alerts.length > 0).map(({ alertname }) => alertname),
    ),
  );

  expect(rules.filter(({ annotations }) => !existsSync(join(root, annotations.runbook)))).toEqual([]);
  expect(rules.map(({ alert }) => alert).filter((alert) => !tested.has(alert))).toEqual([]);
});

interface AlertTest {
  readonly alertname: string;
  readonly exp_alerts: readonly unknown[];
}

test("runbooks name pages that are there", () => {
  const pages = readdirSync(join(root, "docs/operations")).map((page) => join(root, "docs/operations", page));
  const named = [...pages, join(root, "src/monitor/guard.ts")].flatMap((page) =>
    [...readFileSync(page, "utf8").matchAll(/\bdocs\/[\w/-]+\.md\b/g)].map(([name]) => name),
  );

  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((page) => !existsSync(join(root, page)))).toEqual([]);
});

test("runbooks name commands and options of ours that exist", () => {
  const folder = join(root, "src/cli/program");
  const commands = readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("\n");
  const lines = readdirSync(join(root, "docs/operations")).flatMap((page) =>
    [...readFileSync(join(root, "docs/operations", page), "utf8").matchAll(/npx millrace ([^`#\n]+)/g)].map(
      ([, line]) => (line ?? "").trim().split(/\s+/),
    ),
  );
  const options = new Set(lines.flat().filter((word) => word.startsWith("--")));

  expect(lines.length).toBeGreaterThan(20);
  expect(
    lines.map(([name]) => name).filter((name) => !new RegExp(`\\bcommand\\(\\s*"${name}"`).test(commands)),
  ).toEqual([]);
  expect([...options].filter((option) => !commands.includes(`"${option}`))).toEqual([]);
});

test("the nats-server of the compose file is the recommended one, and `check` can read its monitoring port", () => {
  const recommended = /2\.12 or newer, (\d+\.\d+) recommended/.exec(readFileSync(join(root, "README.md"), "utf8"))?.[1];

  expect(recommended).toBeDefined();
  expect(compose.services.nats?.image).toMatch(new RegExp(`^nats:${recommended}(\\.|-|$)`));
  expect(text("nats/nats.conf")).toMatch(/^http: 0\.0\.0\.0:8222$/m);
});

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[];
  readonly secrets?: readonly string[];
}
const compose = parse(text("compose.yaml")) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
  secrets: Record<string, unknown>;
};

test("the compose file names images with versions, and only files, volumes and secrets that are there", () => {
  const services = Object.entries(compose.services);
  const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0] as string));
  const missing = mounts.filter((from) =>
    from.startsWith("./") ? !existsSync(join(docker, from)) : !(from in compose.volumes),
  );

  expect(missing).toEqual([]);
  for (const [name, { image, build, depends_on = [], secrets = [] }] of services) {
    if (image !== undefined) expect(image, name).toMatch(/:v?\d+\.\d+/);
    if (build !== undefined) expect(existsSync(join(docker, build.context, build.dockerfile)), name).toBe(true);
    expect(depends_on.filter((other) => !(other in compose.services))).toEqual([]);
    expect(secrets.filter((secret) => !(secret in compose.secrets))).toEqual([]);
  }
});

test("the Dockerfile copies only what is there and what .dockerignore lets through, and does not run as root", () => {
  const lines = text("Dockerfile").split("\n");
  const copied = lines.flatMap((line) => /^COPY (?!--from)(.+) \S+$/.exec(line)?.[1]?.split(" ") ?? []);
  const allowed = readFileSync(join(root, ".dockerignore"), "utf8");

  expect(copied.length).toBeGreaterThan(3);
  expect(copied.filter((file) => !existsSync(join(root, file)) || !allowed.includes(`!${file}\n`))).toEqual([]);
  // What npm would install, it has too: the command looks for it.
  const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { files: readonly string[] };
  const needed = files.filter((file) => !/\.md$|^LICENSE$/.test(file));
  expect(needed.filter((file) => !lines.some((line) => line.endsWith(` /opt/millrace/${file}`)))).toEqual([]);
  expect(lines).toContain("USER node");
  expect(lines.filter((line) => line.startsWith("FROM ") && !/:\d/.test(line))).toEqual([]);
});
