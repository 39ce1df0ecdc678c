// The twin's session of a call: the same statements in the same order as worker/durable_objects/call_session.py, and an
// interpreter of the node kinds that the bench's flow has. What it begins with comes with the bench's variables, because
// the beginning of a flow is not measured.
import { createHash } from "node:crypto";
import { DurableObject } from "cloudflare:workers";

const MOST_MOVES = 100;
const AUDIBLE = new Set(["say", "menu"]);
const PART = 400_000;
const OPEN = /\{\{\s{0,8}([A-Za-z_][A-Za-z0-9_]{0,63})\s{0,8}\}\}/g;

export class CallSession extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.statements = env.SQL;
    this.trace = undefined;
    this.live = undefined;
    if (this.json("session.exists")[0]) this.load();
  }

  step(origin, text) {
    try {
      const asked = parse(text);
      const [nodeId] = origin.split(" ");
      if (this.live === undefined) this.begin(asked, nodeId);
      const { kept } = this.live;
      if (kept.accountId !== asked.accountId || kept.callId !== asked.callId) throw failure(404, "not_found", "No such call.");
      if (kept.nodeId !== nodeId) throw failure(403, "forbidden", "Another node has this call.");
      return `200 ${JSON.stringify(this.drive(asked))}`;
    } catch (error) {
      const shape = { code: error.code ?? "internal_error", message: error.message };
      return `${error.status ?? 500} ${JSON.stringify({ ok: false, error: shape })}`;
    }
  }

  /** One step with the names of the statements that it ran, for the bench to compare with the brain's. */
  traced(origin, text) {
    this.trace = [];
    const reply = this.step(origin, text);
    const statements = this.trace;
    this.trace = undefined;
    return JSON.stringify({ reply, statements });
  }

  run(name, ...params) {
    this.trace?.push(name);
    return this.sql.exec(this.statements[name], ...params).rowsWritten;
  }

  json(name, ...params) {
    this.trace?.push(name);
    return JSON.parse(this.sql.exec(this.statements[name], ...params).one().j);
  }

  begin({ accountId, callId }, nodeId) {
    const now = Date.now();
    const facts = JSON.stringify(this.env.FACTS);
    const session = { seed: crypto.randomUUID(), status: "running", frames: [], seq: 0, command: null, pending: null,
      answered: false, failed: false, leg_id: null, moves: 0, failures: 0, timeouts: 0, minted: 0 };
    this.ctx.storage.transactionSync(() => {
      for (const [name, text] of Object.entries(this.statements)) if (name.startsWith("session.step_")) this.sql.exec(text);
      this.run("session.begin", callId, accountId, nodeId, now, now, JSON.stringify(session));
      for (let part = 0; part * PART < facts.length; part += 1)
        this.run("session.put_fact", part, facts.slice(part * PART, (part + 1) * PART));
    });
    this.ctx.storage.setAlarm(now + 300_000);
    this.nextSeq = 0;
    this.live = { kept: { accountId, callId, nodeId }, facts: index(this.env.FACTS), session };
  }

  load() {
    const [[callId, accountId, nodeId, , , state]] = this.json("session.session");
    const facts = JSON.parse(this.json("session.facts").join(""));
    const [last] = this.json("session.last_trace");
    this.nextSeq = last === null ? 0 : last + 1;
    this.live = { kept: { callId, accountId, nodeId }, facts: index(facts), session: JSON.parse(state) };
  }

  drive({ outcome, seq, data = {} }) {
    const { session } = this.live;
    if (outcome === undefined && session.command !== null) return told(session);
    if (outcome !== undefined && seq !== session.seq) {
      if (seq !== session.seq - 1 || seq === 0) throw failure(409, "stale_step", `The flow is at step ${session.seq}.`);
      return told(session);
    }
    const walk = new Walk(this.live.facts, structuredClone(session), Date.now());
    const command = outcome === undefined ? walk.start() : walk.hear(outcome, data);
    this.ctx.storage.transactionSync(() => {
      this.run("session.put_state", JSON.stringify(walk.session));
      const rows = walk.entries.map((entry, place) => [this.nextSeq + place, ...entry]);
      if (rows.length > 0) this.run("session.add_trace", JSON.stringify(rows));
      this.nextSeq += rows.length;
    });
    this.live.session = walk.session;
    return command;
  }

  async alarm() {}
}

/** One event's way through the graph, on a session of its own. */
class Walk {
  constructor(facts, session, at) {
    this.facts = facts;
    this.session = session;
    this.at = at;
    this.entries = [];
  }

  get top() {
    return this.session.frames.at(-1);
  }

  get data() {
    return this.facts.nodes.get(this.top.node);
  }

  start() {
    const { facts } = this;
    const variables = { caller_number: facts.from_num, called_number: facts.to_num, direction: facts.direction };
    this.session.frames = [{ flow: facts.flow_id, node: facts.start, entered: this.at, variables, secrets: [] }];
    return this.visit();
  }

  hear(outcome, data) {
    const { session } = this;
    const { command } = session;
    session.moves = 0;
    if (command.cmd === "answer") session.answered = true;
    else if (command.cmd === "gather") this.heardDigits(outcome, data);
    else this.leave("default");
    return this.visit();
  }

  heardDigits(outcome, data) {
    const handle = `digit:${data.digits}`;
    if (outcome !== "digits" || !this.facts.edges.has(`${this.top.node} ${handle}`)) throw failure(400, "invalid_request", outcome);
    this.leave(handle, data.digits);
  }

  visit() {
    for (;;) {
      const { data, session } = this;
      session.moves += 1;
      if (session.moves > MOST_MOVES) throw failure(500, "internal_error", "a loop");
      if (AUDIBLE.has(data.kind) && !session.answered) return this.tell({ cmd: "answer" });
      switch (data.kind) {
        case "entry":
          this.leave("default");
          break;
        case "condition":
          this.leave(data.rules.find((rule) => this.holds(rule))?.handle ?? "else");
          break;
        case "switch": {
          const value = String(this.top.variables[data.variable] ?? "");
          this.leave(data.cases.includes(value) ? value : "else");
          break;
        }
        case "say":
          return this.tell({ cmd: "play", sounds: [this.speech(data.text)], loop: 1 });
        case "menu":
          return this.tell({
            cmd: "gather",
            sounds: [this.speech(data.prompt.text)],
            min_digits: data.minDigits ?? 1,
            max_digits: data.maxDigits ?? 1,
            terminators: data.terminators ?? "#",
            timeout_ms: (data.timeoutSec ?? 5) * 1000,
            inter_digit_timeout_ms: (data.interDigitTimeoutSec ?? 3) * 1000,
            barge_in: data.bargeIn ?? true,
            secret: data.mask ?? false,
          });
      }
    }
  }

  holds({ variable, operator, value }) {
    const found = String(this.top.variables[variable] ?? "");
    const other = this.render(value);
    return operator === "starts_with" ? found.startsWith(other) : found === other;
  }

  leave(outcome, digits) {
    const { top, data } = this;
    const told = { flow_id: top.flow, entered_at: top.entered, seq: this.session.seq, outcome, done: true, digits };
    this.entries.push([this.at, data.kind, top.node, JSON.stringify(told)]);
    top.node = this.facts.edges.get(`${top.node} ${outcome}`);
    top.entered = this.at;
    this.session.failures = this.session.timeouts = 0;
  }

  render(template) {
    return template.replace(OPEN, (_, name) => String(this.top.variables[name] ?? ""));
  }

  speech(template) {
    const { language, voice } = this.facts;
    const text = this.render(template).trim();
    const hash = createHash("sha256").update(`${language}\n${voice}\n${text}`).digest("hex");
    return { kind: "say", text, language, voice, hash, shared: !template.includes("{{") };
  }

  tell(command) {
    this.session.seq += 1;
    this.session.command = command;
    return told(this.session);
  }
}

function told({ seq, command: { cmd, ...args } }) {
  return { cmd, seq, args };
}

function index(facts) {
  const { graph } = facts;
  return {
    ...facts,
    start: graph.start,
    nodes: new Map(graph.nodes.map(({ id, data }) => [id, data])),
    edges: new Map(graph.edges.map((edge) => [`${edge.source} ${edge.sourceHandle}`, edge.target])),
  };
}

/** The request, with the fields that a step needs checked. */
function parse(text) {
  const asked = JSON.parse(text);
  for (const name of ["callId", "accountId"]) {
    if (typeof asked[name] !== "string" || asked[name].length > 1024)
      throw failure(400, "invalid_request", `Field ${name}: a string is required.`);
  }
  if (asked.outcome !== undefined && !Number.isInteger(asked.seq)) throw failure(400, "invalid_request", "Field seq: an integer.");
  return asked;
}

function failure(status, code, message) {
  return Object.assign(new Error(message), { status, code });
}
