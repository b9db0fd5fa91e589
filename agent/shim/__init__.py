"""Runs a command on a host, outside the agent's process.

A command must not die with the agent that started it, and its result must not be lost. So every execution has a *shim*:
a small process with its own session. It starts the program, reads its output, ends it when required, and writes the
report to disk. Agent and shim communicate through files in one directory per execution and through signals; either side
may end and restart at any time.

**Processes.** The agent starts one *fork server* (`client.ForkServer`, `forkserver`): a process that has imported
everything a shim needs and forks one shim per request, in about 2 ms. The shim (`shim`) forks the program's main
process (`spawn`). The fork server ends when the agent's side of their socket is closed; shims do not notice. If the
fork server dies, the agent starts another one. Where the setting `shims_socket` names one, the fork server is a service
of its own (`agent.service.shims`) that outlives agents; it also sweeps for them. `agent.service.kernel` checks what the
agent requires of the kernel. Linux 5.3 for pidfd, 5.7 for starting in a control group and 5.14 for cgroup.kill have a
fallback.

**The directory**, `<state>/commands/<command_id>.<attempt>/`, mode 0700, created by the agent; types and readers are in
`records`:

* `spec.json` (agent): what to run; written before the shim is requested, with the file named by `stdin_file`, if any.
* `spec.void` (agent): the same file, renamed by an agent that found the directory unclaimed after a crash, so that no
  shim can start it.
* `claim.json` (shim): pid, starttime and boot_id of the one shim that owns the directory; linked into place whole.
  While it is absent, nothing was started. Once it exists, no other shim ever starts this execution.
* `started.json` (shim): the program runs (exec has succeeded). Not synced: after a loss of power the boot id shows that
  the program is gone.
* `stop.json` (agent): request to stop: timeout, canceled, expired. It is durable before SIGTERM is sent to the shim.
  The shim ignores SIGTERM without it.
* `kill.json` (shim): durable before the first signal to the command; from then on the kill decides the outcome.
* `stdout.head`, `stdout.tail`, `stderr.head`, `stderr.tail` (shim): the head grows while the command runs and may be
  followed; the tail is written at the end.
* `live.N` (shim): output of both streams in order of arrival; only the last two files exist; the agent removes them
  after the end. See `live`.
* `script` (shim): text of a script, mode 0700; with `run_as` of another user it is stored elsewhere, see `script`.
* `script.place` (shim): path of the directory that was created for such a script.
* `exit.json` (shim): the report: written, synced and renamed last, after the output was synced.
* `shim.log` (shim): for people: errors of the shim itself.
* `<name>.tmp` (shim): space reserved for exit.json, kill.json and started.json (16 KiB each); removed after exit.json.

**The end.** The exit of the main process ends the command. Output that its children still write is read for `drain_ms`;
a pipe that is still open after that is closed (`pipe_held`). Then, unless `detach` is set, every descendant of the
command is killed at once (`leftovers_killed`). A timeout, a stop request or too much output end the command from
outside: kill.json, SIGTERM and SIGCONT to every descendant, `grace_ms`, then SIGKILL repeatedly until the shim, which
is the subreaper of them all, has no child left. This proves `tree_empty`. Processes that survive SIGKILL for 30 s
(uninterruptible sleep, a set-user-ID program under an agent without root) are named in the report with `tree_empty`
false.

`max_output` counts both streams. A command that wrote more always fails with output_limit, even if it ended by itself
before that was noticed; its exit status is attached.

**The race rule.** The first of these two decides the outcome: the exit of the main process, as seen by the shim, or a
durable kill.json. The exit status is attached in every case. The shim checks for an exit before it writes kill.json,
and writes none after an exit. A request that arrives before the start prevents it: canceled_before_start.

**When the shim itself is killed** there is no exit.json: the agent reports shim_died. The kernel then kills the main
process (PR_SET_PDEATHSIG; a set-user-ID program is exempt) and `tree.sweep` kills the rest.

**A full disk.** Nothing is started unless 48 KiB can be reserved. Head and tail are also kept in memory and written
again for 10 s. What the disk still refuses is missing from the files; `head_bytes` and `tail_bytes` show it, and counts
and digest stay correct. kill.json and exit.json use the reserved space. On copy-on-write file systems (btrfs, zfs) a
reservation guarantees nothing: there exit.json is tried for 300 s and kill.json for 5 s, after which the command is
ended without that file. A shim that cannot write exit.json ends, and the agent reports shim_died: an unknown result,
never a wrong one.
"""
