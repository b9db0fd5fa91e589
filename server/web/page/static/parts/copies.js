// A task as a command line or as a request that creates the same task. Contains only what differs from the defaults.
import { quoted } from "../lib/format.js";

const s = (ms) => String(ms / 1000);
// A repeated task covers some of the hosts of the first one; only its own list names them.
const targets = (task) => (task.rerun_of ? `task:${task.task_id}` : task.target_text);
// A task without a given name is named after its command.
const named = ({ name, command }) => name !== (command.command ?? command.argv?.join(" "));
// The server does not return the standard input of a command.
const note = (command, where) => (command.stdin_bytes ? `# put its standard input, ${command.stdin_bytes} bytes, ${where}\n` : "");

export function cli(task) {
  const { command, retry } = task, parts = ["clarion", "run", "--hosts", quoted(targets(task)), "--timeout", s(command.timeout_ms)];
  const add = (option, value) => { if (value !== null && value !== undefined && value !== "") parts.push(option, quoted(String(value))); };
  const unless = (option, value, common, shown = value) => { if (value !== common) add(option, shown); };
  const pairs = (option, values) => Object.entries(values).forEach(([name, value]) => add(option, `${name}=${value}`));
  if (named(task) || (command.command !== null && command.args.length)) add("--name", task.name);
  add("--description", task.description);
  unless("--type", task.type, "command");
  unless("--grace", command.grace_ms, 5000, s(command.grace_ms));
  unless("--start-within", command.start_within_ms, 60000, s(command.start_within_ms));
  if (task.timeout_ms) add("--task-timeout", s(task.timeout_ms));
  add("--concurrency", task.concurrency);
  if (task.if_offline === "wait") parts.push("--if-offline", "wait", "--wait-for", s(task.wait_for_ms));
  if (retry && retry.attempts > 1) {
    parts.push("--retries", String(retry.attempts - 1), ...(retry.idempotent ? ["--idempotent"] : []), "--retry-on", retry.codes.join(","));
    unless("--retry-pause", retry.backoff_ms, 1000, s(retry.backoff_ms));
    unless("--retry-pause-max", retry.backoff_max_ms, 60000, s(retry.backoff_max_ms));
  }
  pairs("--param", task.parameters);
  pairs("--env", command.env);
  add("--cwd", command.cwd);
  add("--run-as", command.run_as);
  add("--umask", command.umask);
  if (command.stdin_bytes) parts.push("--stdin", "STDIN");
  if (command.success_codes.join() !== "0") for (const code of command.success_codes) parts.push("--success-code", String(code));
  unless("--max-output", command.max_output, 2 ** 30);
  if (command.leave_children) parts.push("--leave-children");
  add("--interpreter", command.interpreter);
  const words = (list) => (list.length ? ["--", ...list.map(quoted)] : []);
  if (command.script !== null) parts.push("--script", `<(printf %s ${quoted(command.script)})`, ...words(command.args));
  else if (command.argv) parts.push(...words(command.argv));
  else if (command.args.length) parts.push(...words(["/bin/sh", "-c", command.command, "sh", ...command.args]));
  else parts.push("--shell", quoted(command.command));
  return `${note(command, "into the file STDIN")}${parts.join(" ")}`;
}

export function curl(task) {
  const { command, retry } = task, body = { targets: [targets(task)], timeout: command.timeout_ms / 1000 };
  const unless = (name, value, common) => { if (value !== common && value !== null && value !== undefined) body[name] = value; };
  if (named(task)) body.name = task.name;
  unless("description", task.description, "");
  unless("type", task.type, "command");
  for (const name of ["command", "argv", "script", "interpreter", "cwd", "run_as", "umask"]) unless(name, command[name], null);
  if (command.args.length) body.args = command.args;
  if (Object.keys(task.parameters).length) body.parameters = task.parameters;
  if (Object.keys(command.env).length) body.env = command.env;
  if (command.stdin_bytes) body.stdin_base64 = "STDIN_IN_BASE64";
  unless("grace", command.grace_ms / 1000, 5);
  unless("start_within", command.start_within_ms / 1000, 60);
  if (task.timeout_ms) body.task_timeout = task.timeout_ms / 1000;
  unless("concurrency", task.concurrency, null);
  if (task.if_offline === "wait") Object.assign(body, { if_offline: "wait", wait_for: task.wait_for_ms / 1000 });
  if (retry) body.retry = { attempts: retry.attempts, codes: retry.codes, backoff: retry.backoff_ms / 1000, backoff_max: retry.backoff_max_ms / 1000, idempotent: retry.idempotent };
  unless("max_output", command.max_output, 2 ** 30);
  unless("leave_children", command.leave_children, false);
  if (command.success_codes.join() !== "0") body.success_codes = command.success_codes;
  return `${note(command, "in place of STDIN_IN_BASE64")}curl -H "Authorization: Bearer $(cat DATA/admin.token)" -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(body))} ${location.origin}/api/v1/run`;
}
