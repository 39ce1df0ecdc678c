// Runs the brain on this machine: Miniflare (workerd with local D1, KV, R2, queues) behind one socket of its own.
//
//   node brain.mjs --state DIR --port N --bundle DIR [--vars FILE] [--control N] [--snapshots] [--prepare] [--root DIR]
//
// With --prepare it ends when the snapshot of the code is there: the next start is quick, and the code does start.
// Bindings come from wrangler.toml, data lies where `wrangler d1 … --local --persist-to DIR` looks for it, and requests
// reach the Worker without Miniflare's own entry Worker in between. One JSON line on standard output tells that it is
// ready. When workerd ends, so does this process: a supervisor restarts both, and the moment is not Miniflare's to choose.
import { createHash } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";
import * as fs from "node:fs";
import { createServer } from "node:http";
import { createRequire, enableCompileCache } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HOST = "127.0.0.1";
// What lets workerd take the Python bundle from disk instead of the network.
const LOCAL_FLAGS = ["python_workers_development", "experimental"];
const STOP_MS = 3000;
const SNAPSHOTS_KEPT = 3;
const TYPES = { ".py": "PythonModule", ".sql": "Text", ".txt": "Text", ".html": "Text", ".bin": "Data" };

const { values: given } = parseArgs({
  options: {
    root: { type: "string", default: resolve(dirname(fileURLToPath(import.meta.url)), "../..") },
    state: { type: "string" },
    port: { type: "string" },
    bundle: { type: "string" },
    vars: { type: "string" },
    control: { type: "string" },
    snapshots: { type: "boolean", default: false },
    prepare: { type: "boolean", default: false },
  },
});
for (const name of ["state", "port", "bundle"]) if (!given[name]) fail(`--${name} is missing`);
const root = resolve(given.root);
const state = resolve(given.state);
fs.mkdirSync(state, { recursive: true });
enableCompileCache(join(state, "node-cache"));

const require = createRequire(join(root, "package.json"));
process.env.WRANGLER_SEND_METRICS = "false";
const { Miniflare, convertV4MiniflareOptions, Log, LogLevel } = require("miniflare");
const { config, worker } = readWorker();
const snapshot = given.snapshots ? findSnapshot(join(resolve(given.bundle), "snapshots")) : undefined;
if (given.prepare && snapshot?.made) process.exit(0);
process.env.MINIFLARE_WORKERD_PATH = writeWrapper(require("workerd").default, join(state, "workerd.sh"));

let workerd;
let stopping = false;
// Ours is the first listener of the child's end, so Miniflare never gets to restart it.
subscribe("child_process", ({ process: child }) => {
  child.once("spawn", () => {
    if (child.spawnfile === process.env.MINIFLARE_WORKERD_PATH) workerd = child;
  });
  child.once("exit", (code, signal) => {
    if (child.spawnfile !== process.env.MINIFLARE_WORKERD_PATH) return;
    if (stopping) process.exit(0);
    if (workerd === child && started) fail(`workerd ended (${signal ?? code})`);
  });
});
let started = false;

const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: HOST,
    cf: false,
    log: new Log(LogLevel.WARN),
    telemetry: { enabled: false },
    // The layout of `wrangler … --persist-to STATE`.
    resourcePersistencePath: join(state, "v3"),
    workers: [worker],
  }),
);
try {
  await miniflare.ready;
} catch (error) {
  // Made anew by the next start, should the snapshot be what is wrong.
  if (snapshot?.made && error.code !== "ERR_ADDRESS_IN_USE") fs.rmSync(snapshot.folder, { recursive: true, force: true });
  fail(error.message);
}
started = true;
if (snapshot && !snapshot.made) keepSnapshot();
// Miniflare's own handlers leave at once and take workerd down unasked.
for (const name of ["SIGTERM", "SIGINT"]) process.removeAllListeners(name).on(name, stop);
if (given.prepare) {
  stop();
} else {
  const control = given.control === undefined ? undefined : await serveControl(Number(given.control));
  const port = Number((await miniflare.unsafeGetDirectURL(config.name)).port);
  console.log(JSON.stringify({ ready: true, port, control, pid: process.pid, workerd_pid: workerd.pid }));
}

/** wrangler.toml as a Worker of Miniflare, with the modules that wrangler would upload. */
function readWorker() {
  const { unstable_getMiniflareWorkerOptions: options, unstable_readConfig: read } = require("wrangler");
  const config = read({ config: join(root, "wrangler.toml") }, { hideWarnings: true });
  const { workerOptions } = options(config);
  delete workerOptions.modulesRules;
  const modulesRoot = dirname(config.main);
  const vars = given.vars === undefined ? {} : JSON.parse(fs.readFileSync(given.vars, "utf8"));
  return {
    config,
    worker: {
      ...workerOptions,
      name: config.name,
      compatibilityFlags: [...workerOptions.compatibilityFlags, ...LOCAL_FLAGS],
      bindings: { ...workerOptions.bindings, ...vars },
      modulesRoot,
      modules: [...ownModules(modulesRoot, config.main), ...vendoredModules(modulesRoot)],
      unsafeDirectSockets: [{ host: HOST, port: Number(given.port) }],
    },
  };
}

function ownModules(folder, main) {
  const paths = files(folder).filter((path) => TYPES[extname(path)] && path !== main);
  return [main, ...paths].map((path) => ({ type: TYPES[extname(path)], path, contents: fs.readFileSync(path) }));
}

/** Everything of python_modules/, named as if it lay in the module root. */
function vendoredModules(modulesRoot) {
  const folder = join(root, "python_modules");
  return files(folder).map((path) => {
    const name = path.slice(folder.length + 1);
    const script = name.startsWith("workers/") && [".js", ".mjs"].includes(extname(name));
    const contents = fs.readFileSync(path, script ? "utf8" : undefined);
    return { type: script ? "ESModule" : "Data", path: join(modulesRoot, "python_modules", name), contents };
  });
}

function files(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith(".") && extname(entry.name) !== ".pyc")
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Adds the bundle's folder to workerd's command line, and ties workerd's life to ours even when we are killed. */
function writeWrapper(binary, path) {
  const flags = [`--pyodide-bundle-disk-cache-dir=${resolve(given.bundle)}`];
  if (snapshot) {
    flags.push(`--python-snapshot-dir=${snapshot.made ? snapshot.folder : snapshot.part}`);
    flags.push(snapshot.made ? "--python-load-snapshot=snapshot.bin" : "--python-save-snapshot");
  }
  const words = [binary, "serve", ...flags].map((word) => `'${word}'`).join(" ");
  fs.writeFileSync(path, `#!/bin/sh\nshift\nexec setpriv --pdeathsig KILL -- ${words} "$@"\n`);
  fs.chmodSync(path, 0o755);
  return path;
}

/**
 * The interpreter's memory after all imports, as the platform takes one at upload: a start needs 0.5 s instead of 3 s.
 * One for each state of the code, shared by all that run it; made by the first start.
 */
function findSnapshot(parent) {
  const hash = createHash("sha256").update(fs.readFileSync(join(given.bundle, "pyodide_dev.capnp.bin")));
  hash.update(JSON.stringify([require("workerd").version, worker.compatibilityDate, worker.compatibilityFlags]));
  for (const { path, contents } of worker.modules) hash.update(`${path}\0${contents.length}\0`).update(contents);
  const folder = join(parent, hash.digest("hex").slice(0, 32));
  const part = `${folder}.${process.pid}`;
  const made = fs.existsSync(folder);
  if (!made) fs.mkdirSync(part, { recursive: true });
  return { parent, folder, part, made };
}

function keepSnapshot() {
  const { parent, folder, part } = snapshot;
  if (fs.existsSync(folder)) fs.rmSync(part, { recursive: true });
  else fs.renameSync(part, folder);
  const age = (name) => fs.statSync(join(parent, name)).mtimeMs;
  const old = fs.readdirSync(parent).sort((a, b) => age(b) - age(a)).slice(SNAPSHOTS_KEPT);
  for (const name of old) fs.rmSync(join(parent, name), { recursive: true, force: true });
}

/** For tests: `POST /d1 {"sql", "params"}` or `{"batch": [{"sql", "params"}…]}` on the running brain's database. */
async function serveControl(port) {
  const server = createServer(async (request, response) => {
    let status = 200;
    let body;
    try {
      const asked = JSON.parse(Buffer.concat(await request.toArray()).toString());
      const database = await miniflare.getD1Database("CONTROL", config.name);
      const prepare = ({ sql, params = [] }) => database.prepare(sql).bind(...params);
      const done = asked.batch ? await database.batch(asked.batch.map(prepare)) : [await prepare(asked).all()];
      body = asked.batch ? done.map((one) => one.results) : done[0].results;
    } catch (error) {
      status = 400;
      body = { error: error.message };
    }
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, HOST, resolve));
  return server.address().port;
}

function stop() {
  stopping = true;
  if (workerd === undefined) process.exit(0);
  workerd.kill("SIGTERM");
  setTimeout(() => workerd.kill("SIGKILL"), STOP_MS).unref();
}

function fail(message) {
  console.error(`brain: ${message}`);
  process.exit(1);
}
