"""The life of a command on a host, outside the agent.

A command must not die with the agent that started it, and its result must not be lost. So every execution has a *shim*:
a small process of
its own session that starts the program, drains its output, ends it when it must, and writes the report to disk. Agent
and shim talk through
files in one directory per execution and through signals; either side may vanish and come back at any moment.

**Who makes whom.** The agent starts one *fork server* (`client.ForkServer`, `forkserver`): a process that has imported
what a shim needs and
forks one per request, in about 2 ms. The shim (`shim`) forks the program's main process (`spawn`). The fork server ends
when the agent's
side of their socket is closed; shims never notice. If the fork server dies, the agent starts another one. Needs Linux
5.3 (pidfd); 5.14 for
cgroup.kill, 5.7 for being born in a control group, both with a replacement.

**The directory**, `<state>/commands/<command_id>.<attempt>/`, mode 0700, made by the agent; types and readers in
`records`:

====================  =======
===========================================================================================================
file                  writer   meaning
====================  =======
===========================================================================================================
spec.json             agent    what to run, before the shim is asked for; with it the file named by `stdin_file`, if any
spec.void             agent    the same, taken away from shims by an agent that has found the directory unclaimed after
a crash
claim.json            shim     pid, starttime, boot_id of the one shim that owns the directory, linked into place whole.
While it is absent
                               nothing was started; once it is there no other shim ever starts this execution
started.json          shim     the program runs (exec has succeeded). Not synced: after a loss of power the boot id says
that it is gone
stop.json             agent    request to stop: timeout, canceled, expired. Durable, then SIGTERM to the shim. SIGTERM
without it is ignored
kill.json             shim     durable before the first signal to the command: from here on the kill decides the outcome
stdout.head, .tail    shim     the head grows while the command runs and may be followed; the tail is written at the
end. stderr alike
live.N                shim     what both streams say, in order, as it comes; only the last two; removed by the agent
after the end. See `live`
script                shim     text of a script, mode 0700; with `run_as` of another user it stands elsewhere, see
`script`
script.place          shim     path of the directory that was made for such a script
exit.json             shim     the report: written, synced and renamed last, after the output was synced
shim.log              shim     for people: what went wrong in the shim itself
<name>.tmp            shim     room reserved for exit.json, kill.json, started.json (16 KiB each), gone after exit.json
====================  =======
===========================================================================================================

**The end.** The main process's exit ends the command. What its children still write is read for `drain_ms`; a pipe that
is open after that is
closed (`pipe_held`). Then, unless `detach`, everything that descends from the command is killed at once
(`leftovers_killed`). A timeout, a
request or too much output end it from outside: kill.json, SIGTERM and SIGCONT to every descendant, `grace_ms`, SIGKILL
again and again until
the shim, being the subreaper of them all, has no child left. That is the proof behind `tree_empty`. What withstands
SIGKILL for 30 s
(uninterruptible sleep, a set-user-ID program under an agent without root) is named in the report with `tree_empty`
false.
`max_output` counts both streams. One that wrote more has failed with output_limit in every case, also when it had ended
by itself before that
was noticed; its exit status is attached.

**The race rule.** Whichever is first of the main process's exit, as seen by the shim, and a durable kill.json decides
the outcome; the exit
status is attached in every case. The shim looks for an exit before it writes kill.json, and writes none after it has
seen one.
A request that comes before the start prevents it: canceled_before_start.

**When the shim itself is killed** there is no exit.json: the agent reports shim_died. The kernel then kills the main
process
(PR_SET_PDEATHSIG; a main process that is a set-user-ID program is exempt) and `tree.sweep` the rest.

**A full disk.** Nothing is started unless 48 KiB can be reserved. Head and tail are kept in memory as well and written
again for 10 s;
what the disk still refuses is missing from the files, `head_bytes` and `tail_bytes` say so, and counts and digest stay
true. kill.json and
exit.json go into the reserve. On file systems that copy on write (btrfs, zfs) a reserve is no promise: there exit.json
is tried for 300 s and
kill.json for 5 s, after which the command is ended without that note. A shim that cannot write exit.json ends, and the
agent reports shim_died: an
unknown result, never a wrong one.
"""
