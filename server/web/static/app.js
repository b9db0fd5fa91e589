"use strict";
// The page: signing in, tasks, hosts, a new command. It is a client of the REST API like any other.

// --- signing in

function leave(text) {
  sessionStorage.removeItem(KEY);
  view.abort();
  view = new AbortController();
  document.getElementById("nav").hidden = true;
  calm();
  const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true, placeholder: "cl_…", spellcheck: "false" });
  const wrong = h("p", { class: "small", role: "status" }, text || "");
  const form = h("form", { class: "card pad narrow", onsubmit: enter },
    h("h1", {}, "Sign in"),
    h("p", { class: "soft" }, "With the token that ", h("code", {}, "clarion-server init"), " wrote to ", h("code", {}, "admin.token"), " in the data directory."),
    h("label", { for: "token" }, "Token"), field, wrong,
    h("div", { class: "actions" }, h("button", { class: "primary" }, "Sign in")));
  async function enter(event) {
    event.preventDefault();
    sessionStorage.setItem(KEY, field.value.trim());
    try {
      await api("/statistics");
    } catch (failure) {
      sessionStorage.removeItem(KEY);
      wrong.textContent = failure.status === 401 ? `${failure.message}.` : `${failure.message} ${failure.hint}`;
      field.setAttribute("aria-invalid", "true");
      field.select();
      return;
    }
    show();
  }
  main.replaceChildren(form);
  field.focus();
}

// --- tasks

async function tasksPage() {
  const tiles = h("div", { class: "tiles" });
  const only = h("select", { class: "filter", "aria-label": "Status", onchange: () => fill().catch(warn) },
    h("option", { value: "" }, "All tasks"), ["pending", "running", "completed", "failed", "timeout", "canceled"].map((status) => h("option", { value: status }, words(status))));
  const list = h("div", {});
  main.replaceChildren(h("div", { class: "top" }, h("h1", {}, "Tasks"), h("div", { class: "push" }, only)), tiles, list);
  async function fill() {
    const figures = await api("/statistics");
    const tile = (number, text) => h("div", { class: "card tile" }, h("b", {}, number.toLocaleString()), h("span", {}, text));
    tiles.replaceChildren(
      tile(figures.hosts.connected, `of ${figures.hosts.known.toLocaleString()} hosts connected`),
      tile(figures.tasks.running, "tasks running"),
      tile(figures.tasks.pending, "tasks waiting to be started"),
      tile(figures.executions.running + figures.executions.dispatched, "commands at work"));
    const found = pages(`/tasks${only.value ? `?status=${only.value}` : ""}`, ["Task", "Status", "Hosts", "Created", "By"], (task) => [h("tr", {},
      h("td", { class: "wide" }, h("a", { href: `#/tasks/${task.task_id}` }, task.name)),
      h("td", { class: "tight" }, pill(task.status)),
      h("td", { class: "number" }, `${task.completed_hosts} of ${task.total_hosts}`, task.failed_hosts ? h("span", { class: "soft" }, ` · ${task.failed_hosts} not`) : null),
      h("td", { class: "tight soft" }, when(task.created_at)),
      h("td", { class: "tight soft" }, task.created_by))],
    only.value ? empty(`No task is ${words(only.value)}.`) : figures.hosts.known
      ? empty("No tasks yet.", h("a", { class: "button primary", href: "#/new" }, "Run a command"))
      : empty("No hosts yet: start an agent on one, and it appears here.", h("a", { class: "button", href: "#/hosts" }, "Hosts")));
    await found.load();
    list.replaceChildren(found.box);
    calm();
  }
  await fill();
}

async function taskPage(id) {
  const path = `/tasks/${id}`;
  const task = await api(path);
  const status = h("span", {}), bar = h("div", { class: "meter", role: "progressbar", "aria-label": "Hosts that have ended", "aria-valuemin": "0", "aria-valuemax": "100" });
  const counts = h("div", { class: "counts" }), pace = h("p", { class: "soft small" }), buttons = h("div", { class: "push" });
  const only = h("select", { class: "filter", "aria-label": "Status", onchange: () => hosts().catch(warn) });
  const list = h("div", {});
  const act = (text, kind, method, where, sure) => h("button", { type: "button", class: kind, onclick: async (event) => {
    if (sure && !confirm(sure)) return;
    event.target.disabled = true;
    try {
      await api(path + where, { method });
      calm();
      if (method === "DELETE") location.hash = "#/tasks";
    } catch (failure) { warn(failure); }
    event.target.disabled = false;
  } }, text);
  const fact = (name, value) => (value === null || value === "" ? [] : [h("dt", {}, name), h("dd", {}, value)]);
  const { command } = task;
  const limits = [`${span(command.timeout_ms)} per host`, task.timeout_ms ? `${span(task.timeout_ms)} in all` : null, task.concurrency ? `${task.concurrency} hosts at a time` : null].filter(Boolean).join(", ");
  main.replaceChildren(
    h("div", { class: "top" }, h("h1", {}, task.name), status, buttons),
    h("div", { class: "card pad" }, bar, counts, pace,
      h("pre", { "aria-label": "Command" }, readable(ran(command))),
      h("dl", { class: "facts" }, fact("Description", task.description), fact("Hosts", task.target_text.length > 300 ? `${task.target_text.slice(0, 300)}…` : task.target_text), fact("Limits", limits), fact("Runs as", command.run_as),
        fact("Created", h("span", {}, when(task.created_at), ` by ${task.created_by}`)), fact("Task id", h("span", { class: "mono" }, task.task_id)))),
    h("div", { class: "top" }, h("h2", {}, "Hosts"), h("div", { class: "push" }, only)), list);

  let shown = "";
  function paint(progress) {
    const final = !["pending", "running"].includes(progress.status);
    status.replaceChildren(pill(progress.status));
    bar.setAttribute("aria-valuenow", String(progress.percent));
    bar.replaceChildren(...["completed", "failed", "timeout", "lost", "dispatch_failed", "canceled", "running"].filter((one) => progress.counts[one]).map((one) => {
      const piece = h("i", { class: `s-${one}` });
      piece.style.width = `${(100 * progress.counts[one]) / progress.total}%`;
      return piece;
    }));
    counts.replaceChildren(...Object.entries(progress.counts).filter(([, number]) => number).map(([one, number]) => h("span", {}, pill(one), ` ${number.toLocaleString()}`)));
    const slow = progress.slowest.map((host) => host.hostname || host.host_id).join(", ");
    pace.textContent = progress.status === "pending" ? "It waits to be started." : final ? `Took ${span(progress.elapsed_ms)}.`
      : [`${progress.percent} % after ${span(progress.elapsed_ms)}`, progress.rate_per_s ? `${progress.rate_per_s} hosts/s` : null, progress.eta_ms ? `about ${span(progress.eta_ms)} left` : null, slow ? `longest running: ${slow}` : null].filter(Boolean).join(" · ");
    if (shown !== progress.status) {
      shown = progress.status;
      buttons.replaceChildren(...(progress.status === "pending" ? [act("Start", "primary", "POST", "/start"), act("Cancel", "", "POST", "/cancel")] : []),
        ...(progress.status === "running" ? [act("Cancel", "danger", "POST", "/cancel", "End this command on every host?")] : []),
        ...(progress.status !== "running" ? [act("Delete", "danger", "DELETE", "", "Delete this task and its results?")] : []));
    }
    const chosen = only.value;
    only.replaceChildren(h("option", { value: "" }, `All ${progress.total.toLocaleString()}`), ...Object.entries(progress.counts).filter(([one, number]) => number || one === chosen).map(([one, number]) => h("option", { value: one }, `${words(one)} (${number})`)));
    only.value = chosen;
  }

  const opened = new Set();
  async function hosts() {
    const found = pages(`${path}/hosts${only.value ? `?status=${only.value}` : ""}`, ["Host", "Status", "Exit", "Took", "Why"], hostRow, empty("No host of this task is in that state."));
    await found.load();
    list.replaceChildren(found.box);
  }
  function hostRow(row) {
    const name = row.hostname || row.host_id;
    const line = h("tr", {},
      h("td", { class: "wide" }, h("button", { type: "button", class: "link", "aria-expanded": String(opened.has(row.host_id)), onclick: toggle }, name)),
      h("td", { class: "tight" }, pill(row.status), row.unreachable ? h("div", { class: "small soft" }, "its agent is away") : null, row.stop ? h("div", { class: "small soft" }, stopped(row.stop)) : null,
        row.waits_for ? h("div", { class: "small soft" }, { start: "waits for the start", host: "waits for its host", retry: `tries again ${when(row.retry_at)}`, turn: "waits for its turn" }[row.waits_for]) : null,
        row.attempt > 1 ? h("div", { class: "small soft" }, `attempt ${row.attempt}`) : null),
      cell("exit", row.exit_code ?? (row.signal ? `signal ${row.signal}` : "–")),
      cell("took", span(row.execution_ms)),
      h("td", { class: "wide" }, row.error ? h("span", {}, row.error.message, row.error.detail ? `: ${readable(row.error.detail)}` : "", h("div", { class: "small soft" }, row.error.hint)) : h("span", { class: "soft" }, said(row))));
    const below = h("tr", { class: "open", hidden: !opened.has(row.host_id) }, h("td", { colspan: "5", class: "wide" }));
    if (opened.has(row.host_id)) outputs(row, below.firstChild).catch(warn);
    async function toggle(event) {
      const open = below.hidden;
      below.hidden = !open;
      event.target.setAttribute("aria-expanded", String(open));
      if (open) { opened.add(row.host_id); await outputs(row, below.firstChild).catch(warn); } else opened.delete(row.host_id);
    }
    return [line, below];
  }
  const signals = (stop) => [["TERM", stop.term_at], ["KILL", stop.kill_at]].filter(([, at]) => at).map(([name, at]) => `${name} at ${when(at)}`).join(", ");
  const stopped = (stop) => [{ never_started: "never started", stopping: "asked to end", unreachable: "may still be running", finished: "had finished by itself", killed: "killed", unconfirmed: "signals sent, end not confirmed" }[stop.outcome], signals(stop)].filter(Boolean).join("; ");
  const said = (row) => [["stdout", row.stdout], ["stderr", row.stderr]].filter(([, one]) => one).map(([stream, one]) => `${size(one.total_bytes ?? 0)} on ${stream}`).join(", ");
  async function outputs(row, cell) {
    const parts = [];
    for (const stream of ["stdout", "stderr"]) if (row[stream]) parts.push(await output(row, stream));
    cell.replaceChildren(...(parts.length ? parts : [h("p", { class: "soft small" }, ["pending", "dispatched", "running"].includes(row.status) ? "Its output comes with its result." : "It wrote nothing.")]));
  }
  async function output(row, stream) {
    const where = `${path}/hosts/${row.host_id}/output?stream=${stream}`;
    const head = await api(where);
    const tail = head.tail_bytes ? await api(`${where}&part=tail`) : null;
    const gap = head.total_bytes - head.head_bytes - head.tail_bytes;
    return h("div", { class: "output" },
      h("h3", {}, stream, h("span", { class: "soft" }, size(head.total_bytes)), h("button", { type: "button", class: "link small", onclick: () => save(`${where}`, `${row.hostname || row.host_id}.${stream}`).catch(warn) }, "Download")),
      h("pre", {}, readable(head.text), gap > 0 ? h("span", { class: "soft" }, `\n… ${size(gap)} were not kept …\n`) : null, tail ? readable(tail.text) : null));
  }
  async function save(where, name) {
    const answer = await fetch(API + where, { headers: { Authorization: `Bearer ${sessionStorage.getItem(KEY)}`, Accept: "application/octet-stream" } });
    if (!answer.ok) throw new Failure((await answer.json()).error, answer.status);
    const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: name });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  const { signal } = view;
  let progress = await api(`${path}/progress`);
  paint(progress);
  await hosts();
  calm();
  (async () => {
    let wait = 1000, listed = Date.now();
    while (!signal.aborted && ["pending", "running"].includes(progress.status)) {
      try {
        const next = await api(`${path}/progress?wait=30&since=${progress.version}`, { signal });
        if (next.version !== progress.version) {
          progress = next;
          paint(progress);
          if (!["pending", "running"].includes(progress.status) || Date.now() - listed > 1000) {
            await hosts();
            listed = Date.now();
          }
          calm();
          await pause(200, signal);
        }
        wait = 1000;
      } catch (failure) {
        if (signal.aborted || (failure.status >= 400 && failure.status < 500)) return failure.status === 404 ? undefined : warn(failure);
        warn(failure);
        await pause(wait, signal);
        wait = Math.min(wait * 2, 15000);
      }
    }
  })();
}

// --- hosts

async function hostsPage() {
  const name = h("input", { class: "filter", type: "search", placeholder: "Name begins with…", "aria-label": "Name begins with", oninput: () => { clearTimeout(timer); timer = setTimeout(() => fill().catch(warn), 200); } });
  let timer;
  const list = h("div", {});
  main.replaceChildren(h("div", { class: "top" }, h("h1", {}, "Hosts"), h("div", { class: "push" }, name)), list);
  async function fill() {
    const filter = name.value.trim();
    const found = pages(`/hosts${filter ? `?name=${encodeURIComponent(filter)}*` : ""}`, ["Host", "State", "System", "Agent", "Labels"], (host) => [h("tr", {},
      h("td", { class: "wide" }, host.hostname, h("div", { class: "small soft mono" }, host.host_id)),
      h("td", { class: "tight" }, h("span", { class: `pill s-${host.connected ? "connected" : "away"}` }, host.connected ? "connected" : host.first_seen_at ? "away" : "never seen"), host.connected ? null : h("div", { class: "small soft" }, host.last_seen_at ? when(host.last_seen_at) : "")),
      cell("", [host.os, host.arch].filter(Boolean).join(" ") || "–"),
      cell("agent", host.version || "–"),
      h("td", {}, Object.entries({ ...host.agent_labels, ...host.labels }).map(([key, value]) => h("span", { class: "label" }, value ? `${key}=${value}` : key))))],
    filter ? empty(`No host's name begins with “${filter}”.`) : empty("No hosts yet.", h("p", {}, "Start ", h("code", {}, "clarion-agent"), " on a machine with the join token of this server, and it appears here by itself.")));
    await found.load();
    list.replaceChildren(found.box);
    calm();
  }
  await fill();
}

// --- a new command

async function newPage() {
  const field = (id, text, soft, node) => [h("label", { for: id }, text, soft ? h("span", { class: "soft" }, ` ${soft}`) : null), node];
  const command = h("textarea", { id: "command", required: true, placeholder: "uname -a", spellcheck: "false", autocapitalize: "off" });
  const targets = h("input", { id: "targets", required: true, value: "all", autocapitalize: "off", spellcheck: "false" });
  const name = h("input", { id: "name", maxlength: "200", placeholder: "the command itself" });
  const timeout = h("input", { id: "timeout", type: "number", min: "1", step: "any", value: "3600" });
  const fields = { command, targets, name, timeout };
  const known = h("p", { class: "small soft" });
  const form = h("form", { class: "card pad", onsubmit: (event) => { event.preventDefault(); send(event.submitter.value); } },
    field("command", "Command", "run by /bin/sh on every host", command),
    field("targets", "Hosts", "names or ids, separated by commas or spaces; all for every host", targets), known,
    h("div", { class: "row" }, h("div", {}, field("name", "Name", null, name)), h("div", {}, field("timeout", "Time limit", "seconds per host", timeout))),
    h("div", { class: "actions" }, h("button", { class: "primary", value: "/run" }, "Run now"), h("button", { value: "/tasks" }, "Only create")));
  let last = { text: null, key: null };
  async function send(where) {
    for (const input of Object.values(fields)) input.removeAttribute("aria-invalid");
    const body = { command: command.value, targets: targets.value.split(/[\s,]+/).filter(Boolean), timeout: Number(timeout.value) };
    if (name.value.trim()) body.name = name.value.trim();
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    try {
      // The same key for the same request: repeated after a broken connection it is the same task.
      const text = where + JSON.stringify(body);
      if (last.text !== text) last = { text, key: [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
      const task = await api(where, { method: "POST", body, headers: { "Idempotency-Key": last.key } });
      calm();
      location.hash = `#/tasks/${task.task_id}`;
    } catch (failure) {
      fields[(failure.field || "").split(/[.[]/)[0]]?.setAttribute("aria-invalid", "true");
      warn(failure);
    }
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
  main.replaceChildren(h("div", { class: "top" }, h("h1", {}, "New command")), form);
  command.focus();
  calm();
  const figures = await api("/statistics");
  known.textContent = figures.hosts.known ? `${figures.hosts.known.toLocaleString()} known, ${figures.hosts.connected.toLocaleString()} connected.` : "No host is known yet: start an agent first.";
}

// --- which page

function show() {
  if (!sessionStorage.getItem(KEY)) return leave();
  view.abort();
  view = new AbortController();
  const [, page, id] = (location.hash || "#/tasks").split("/");
  const nav = document.getElementById("nav");
  nav.hidden = false;
  for (const link of nav.querySelectorAll("a")) {
    if (link.getAttribute("href") === `#/${page}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const draw = page === "hosts" ? hostsPage : page === "new" ? newPage : page === "tasks" && id ? () => taskPage(encodeURIComponent(id)) : tasksPage;
  const mine = view;
  main.setAttribute("aria-busy", "true");
  draw().catch((failure) => {
    if (mine.signal.aborted) return;
    warn(failure);
    if (failure.status === 404) main.replaceChildren(empty("There is no such task. It may have been deleted.", h("a", { class: "button", href: "#/tasks" }, "All tasks")));
    else if (failure.status !== 401) main.replaceChildren(empty("Nothing can be shown now.", h("button", { type: "button", onclick: show }, "Try again")));
  }).finally(() => main.removeAttribute("aria-busy"));
}

document.getElementById("leave").addEventListener("click", () => leave());
window.addEventListener("hashchange", () => { calm(); show(); });
show();
