// Runs the twin as brain.mjs runs the brain: the same Miniflare and workerd, bindings from the same wrangler.toml, one
// direct socket, state where `wrangler d1 … --local --persist-to DIR` looks for it.
//
//   node twin.mjs --state DIR --port N --vars FILE --control N --root DIR
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { subscribe } from "node:diagnostics_channel";
import { parseArgs } from "node:util";

const HOST = "127.0.0.1";
const names = ["root", "state", "port", "vars", "control"];
const { values: given } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: "string" }])) });
const root = resolve(given.root);
const state = resolve(given.state);
mkdirSync(state, { recursive: true });

const require = createRequire(join(root, "package.json"));
const binary = require("workerd").default;
let workerd;
let stopping = false;
subscribe("child_process", ({ process: child }) => {
  child.once("spawn", () => {
    if (child.spawnfile === binary) workerd = child;
  });
  child.once("exit", () => {
    if (child.spawnfile === binary) process.exit(stopping ? 0 : 1);
  });
});

const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = require("miniflare");
const { unstable_getMiniflareWorkerOptions: options, unstable_readConfig: read } = require("wrangler");
const config = read({ config: join(root, "wrangler.toml") }, { hideWarnings: true });
const { workerOptions } = options(config);
delete workerOptions.modulesRules;
const folder = import.meta.dirname;
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: HOST,
    cf: false,
    log: new Log(LogLevel.WARN),
    telemetry: { enabled: false },
    resourcePersistencePath: join(state, "v3"),
    workers: [
      {
        ...workerOptions,
        name: config.name,
        compatibilityFlags: ["nodejs_compat"],
        bindings: JSON.parse(readFileSync(given.vars, "utf8")),
        modulesRoot: folder,
        modules: ["worker.mjs", "presence.mjs", "session.mjs", "digest.mjs"].map((name) => ({
          type: "ESModule",
          path: join(folder, name),
          contents: readFileSync(join(folder, name), "utf8"),
        })),
        unsafeDirectSockets: [{ host: HOST, port: Number(given.port) }],
      },
    ],
  }),
);
await miniflare.ready;
for (const name of ["SIGTERM", "SIGINT"]) {
  process.removeAllListeners(name).on(name, () => {
    stopping = true;
    workerd.kill("SIGTERM");
  });
}

const server = createServer(async (request, response) => {
  const asked = JSON.parse(Buffer.concat(await request.toArray()).toString());
  const database = await miniflare.getD1Database("CONTROL", config.name);
  await database.batch(asked.batch.map(({ sql, params }) => database.prepare(sql).bind(...params)));
  response.end("[]");
});
await new Promise((ready) => server.listen(Number(given.control), HOST, ready));
const port = Number((await miniflare.unsafeGetDirectURL(config.name)).port);
console.log(JSON.stringify({ ready: true, port, control: server.address().port, workerd_pid: workerd.pid }));
