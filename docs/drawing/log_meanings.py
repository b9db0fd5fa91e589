"""Meaning and remedy of each log event, for docs/reference/log-events.md."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """Meaning of an event, and the remedy for the operator. Without a remedy there is nothing to do."""

    meaning: str
    remedy: str = ""


EXTRA_FIELDS = {
    "Note": ("command_id", "attempt", "message"),
    "_named": ("command_id", "attempt"),
    "_remedy": ("remedy",),
    "details": ("host_id", "token_id", "request_id"),
}
"""Fields that a call takes from a function, an effect or an error, by its name."""

SERVER = {
    "accept_paused": Meaning(
        "The system gave no descriptor or memory for a new connection. The server waits and tries again.",
        "raise the limit of open files (`LimitNOFILE`) or the memory of the server",
    ),
    "agent_port_is_plaintext": Meaning(
        "`agent_port.insecure_loopback` is set: agents need no certificate.", "use it for tests only"
    ),
    "agent_token_refused": Meaning(
        "An agent without TLS had no valid join token.", "give the agent a valid token, see `clarion join-token create`"
    ),
    "alarm": Meaning(
        "An alarm was raised: `orphans`, `store_rolled_back`, `stored_value` or `mass_silence`. It also counts in "
        "`clarion_alarms_total`.",
        "read `message`, and [operations](../guide/operations.md#when-a-part-of-the-database-is-lost)",
    ),
    "backup_before_migration": Meaning(
        "A backup was written to `path`, because this release changes the schema of the database from version `schema`."
    ),
    "boot_id_unreadable": Meaning(
        "The server cannot read the boot id of its machine. After a crash the next one waits for the lease to expire.",
        "follow `remedy`",
    ),
    "ca_certificate_expiring": Meaning("A CA certificate expires in `days` days.", "follow `remedy`"),
    "certificate_newer_than_database": Meaning(
        "A host has a newer certificate than the database knows. The server accepts it and saves its number.",
        "find out whether an older backup of the database was restored",
    ),
    "certificate_renewed": Meaning("A host received a new certificate."),
    "connection_lost_at_accept": Meaning("A peer disconnected before its connection was set up."),
    "connection_refused": Meaning(
        "The server refused or closed a connection to the port `agent` or `enrol`. For a blocked address only the "
        "first refusal is written. It also counts in `clarion_connections_refused_total`.",
        "find `reason` in [security](../design/security.md) and [attacks](../testing/attacks.md)",
    ),
    "database_available": Meaning("The database answers again, after `unavailable_s` seconds."),
    "database_may_lose_commits": Meaning(
        "The database does not sync each transaction, so it can lose what it has confirmed.",
        "set `variable` to `needed` in the database",
    ),
    "database_unavailable": Meaning(
        "A write failed. The server keeps `waiting_rows` rows, tries again, and refuses new tasks.",
        "start or repair the database; agents keep their results",
    ),
    "enrolment_refused": Meaning(
        "The server refused a join or a renewal of a certificate.", "find `reason` in [errors](errors.md)"
    ),
    "executions_missing": Meaning(
        "A host holds executions that the database dispatched and no longer knows.",
        "see [operations](../guide/operations.md#when-a-part-of-the-database-is-lost)",
    ),
    "executions_unchecked": Meaning(
        "The database did not answer whether it knows the executions that a host holds. The server asks again.",
        "see `database_unavailable`",
    ),
    "host_identity_changed": Meaning("An operator revoked a host, or released it from quarantine."),
    "host_joined": Meaning("A host joined with a token and received its first certificate of this `generation`."),
    "host_quarantined": Meaning(
        "Two agents use one identity. The server refuses both.",
        "find the copy, then see [security](../design/security.md)",
    ),
    "host_renamed": Meaning("An operator renamed a host."),
    "host_replaced": Meaning("A new host took over the name of `host_id`, by its token or by an operator."),
    "hostname_invalid": Meaning(
        "A host claims a name that the server does not accept. It keeps its earlier name, or gets its id as name.",
        "correct the hostname of the machine, or rename the host",
    ),
    "hostname_taken": Meaning(
        "A host joined under the name of other hosts. The name is ambiguous until an operator decides.",
        "rename one of them, or replace the old one with `clarion hosts replace`",
    ),
    "http_connection_failed": Meaning(
        "The code of a connection to the HTTP port failed. Only this connection is closed.",
        "report it with its traceback",
    ),
    "join_request_decided": Meaning("An operator approved or denied a join."),
    "join_waits_for_approval": Meaning(
        "A host asks to join with a token that needs approval.", "compare its fingerprint, then approve or deny it"
    ),
    "lease_release_failed": Meaning(
        "The database did not confirm that the lease is released. The next server waits until it expires."
    ),
    "lease_renewal_failed": Meaning(
        "The lease could not be renewed. The server tries again; another server can take it when it expires.",
        "see `database_unavailable`",
    ),
    "lease_row_locked": Meaning(
        "Another process holds the row of the lease, for example a stopped server. This server waits.",
        "end the other server if it hangs",
    ),
    "lease_taken_from_stopped_server": Meaning("The lease of an earlier server expired, and this server took it."),
    "loaded": Meaning("The server has read hosts and open tasks from the database."),
    "ready": Meaning("The server takes requests and connections."),
    "record_deleted": Meaning("An operator deleted a record of a noun, such as a host set; `noun` is its table."),
    "record_saved": Meaning("An operator created or changed a record of a noun, such as a host set."),
    "reload_failed": Meaning("A reload found an error. No setting has changed.", "correct what `faults` names"),
    "reload_postponed": Meaning("A reload was requested during the start. It follows when the start is complete."),
    "reloaded": Meaning("The server uses the new values of `settings`."),
    "replaced_host_connected": Meaning(
        "A host whose name another host took over is connected again. Both have the name now.",
        "rename or remove one of them",
    ),
    "reported_numbers_ignored": Meaning(
        "A host reported numbers that are impossible. The server ignores them.", "update or repair the agent"
    ),
    "request_failed": Meaning(
        "A request failed by a fault of the server. Its answer has the same `request_id`.",
        "report it with its traceback",
    ),
    "request_refused": Meaning(
        "A request was refused because the database is unavailable or the server is overloaded.",
        "see `database_unavailable`; repeat the request",
    ),
    "restart_needed": Meaning("These settings have changed and need a restart.", "restart the server"),
    "server_certificate_renewal_failed": Meaning(
        "The server could not issue its own new certificate. It keeps the old one and tries again.", "follow `hint`"
    ),
    "server_certificate_renewed": Meaning("The server issued itself a new certificate."),
    "server_failed": Meaning("The server ends because of a fault in it.", "report it with its traceback"),
    "service_manager_unreachable": Meaning(
        "The socket of systemd did not take a message. systemd can miss the state of the server.", "see `error`"
    ),
    "session_closed": Meaning("An agent disconnected, or its session was ended for the reason `why`."),
    "session_cut": Meaning(
        "The server ended a session because its certificate has expired.", "see why the agent could not renew it"
    ),
    "session_opened": Meaning("An agent is connected. It holds `held` executions."),
    "stop_incomplete": Meaning(
        "The server stopped before all rows were written. No result is lost: agents send it again.",
        "see why the database was slow",
    ),
    "stopping": Meaning("The server received a signal and stops."),
    "stored_epoch_replaced": Meaning(
        "The lease had a number that no server can have written. The server continues with another one.",
        "check the disk of the database",
    ),
    "stored_numbers_replaced": Meaning(
        "The database had numbers that no server can have written. The server replaced them.",
        "check the disk of the database",
    ),
    "stored_value_skipped": Meaning(
        "A stored row could not be read. The server leaves it unchanged and works without it.",
        "check the disk of the database",
    ),
    "waiting_for_lease": Meaning("Another server holds the lease of the database. This server waits."),
    "watchdog_not_reset": Meaning(
        "The event loop was too late to reset the watchdog. systemd restarts the server if this continues.",
        "find out what keeps the machine busy",
    ),
}

AGENT = {
    "agent_started": Meaning("The agent has read its journal, which has `held` executions."),
    "agent_stopped": Meaning("The agent ends. `running` commands continue, and the next agent reports them."),
    "boot_ids_differ": Meaning(
        "The agent and its commands see different boot ids, because of a sandbox. The agent uses `used`.",
        "remove the sandbox of `/proc` from the unit",
    ),
    "certificate_renewal_failed": Meaning(
        "The certificate was not renewed. The agent tries again.",
        "if it repeats, follow `why` and `remedy`",
    ),
    "certificate_renewed": Meaning("The agent has a new certificate and reconnects with it."),
    "command_ended": Meaning("The result of a command is stored and is sent to the server."),
    "command_not_started": Meaning("No process was started for a command. The server gets the reason.", "see `error`"),
    "command_rejected": Meaning("The agent did not accept a command.", "see `reason` in [reasons](reasons.md)"),
    "connection_not_accepted": Meaning(
        "The shims service could not accept a connection of the agent. It tries again.",
        "raise `LimitNOFILE` in `clarion-shims.service`",
    ),
    "connection_not_recorded": Meaning(
        "`clarion-agent status` and the doctor do not show the present connection: `file` cannot be written.",
        "free some disk space, or mend the rights of the state directory",
    ),
    "directory_removal_failed": Meaning(
        "The directory of an ended command could not be deleted. The agent tries again, also at its next start.",
        "see `error`; check the state directory",
    ),
    "duplicate_end_ignored": Meaning("A command was reported as ended twice. The first report counts."),
    "execution_lookup_failed": Meaning(
        "The agent cannot see whether a command still runs. It does not guess and looks again.", "follow `error`"
    ),
    "join_waiting": Meaning("The join waits for approval, or for a server that does not answer."),
    "journal_failed": Meaning(
        "The journal cannot be written. The agent rejects commands until it can.", "free or repair the disk"
    ),
    "journal_warning": Meaning("The journal was damaged, or could not be compacted.", "read `message`; check the disk"),
    "limit_too_low": Meaning(
        "A limit of the system is too low for the number of slots, so commands can be rejected.", "follow `remedy`"
    ),
    "live_output_removal_failed": Meaning("The file of a command's live output could not be deleted."),
    "live_output_unreadable": Meaning(
        "Live output could not be read. Viewers get the output with the result.", "check the disk"
    ),
    "message_ignored": Meaning("The server sent a message of a later version."),
    "output_unreadable": Meaning(
        "The output of an ended command could not be read. The result shows that bytes are missing.", "check the disk"
    ),
    "peer_refused": Meaning(
        "A process of another user (`uid`) asked the shims service to start commands. It was refused.",
        "find out what process it was",
    ),
    "plaintext_connection": Meaning(
        "The agent connects without TLS, because `insecure_loopback` is set.", "use it for tests only"
    ),
    "policy_reloaded": Meaning("The shims service uses the policy file as it is now."),
    "process_handles_missing": Meaning(
        "The kernel or a container forbids pidfd. The agent works, and checks its commands every 0.1 s.",
        "follow `remedy`",
    ),
    "reconnecting": Meaning("The agent connects again after `after_s` seconds."),
    "reload_failed": Meaning("A reload found an error. Nothing has changed.", "follow `why` and `remedy`"),
    "reloaded": Meaning("The agent uses the new values of `settings`."),
    "restart_needed": Meaning("These settings have changed and need a restart.", "restart the agent"),
    "session_ended": Meaning("The connection to the server ended for the reason `why`."),
    "session_opened": Meaning("The agent is connected to the server."),
    "session_refused": Meaning("The server refused the agent.", "follow `why` and `remedy`"),
    "shims_started": Meaning("The shims service accepts agents that use the directory `spool`."),
    "shims_stopped": Meaning("The shims service was stopped. Running commands go on."),
    "shims_version_differs": Meaning(
        "The shims service (`shims`) and the agent (`agent`) are of different versions that can work together.",
        "`systemctl restart clarion-shims.service`; running commands go on",
    ),
    "stale_cancel_dropped": Meaning("A cancel belonged to an earlier session. The server sends it again if needed."),
    "stale_dispatch_dropped": Meaning("A command belonged to an earlier session. The server sends it again if needed."),
    "start_record_unreadable": Meaning(
        "The record of a command's start could not be read. The command runs, without a reported start time."
    ),
    "stop_failed": Meaning("A command could not be stopped. The agent tries again.", "see `error`"),
    "stopping": Meaning("The agent received a signal and stops."),
    "unexpected_shim_start": Meaning("A start was reported for a command that does not wait for one. It is ignored."),
    "unknown_directories": Meaning(
        "The state directory has commands that the journal does not know. They are never started again.",
        "see whether an older copy of the journal was restored",
    ),
}
