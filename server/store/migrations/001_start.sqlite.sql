-- The tables of the first release. Statuses are the numbers of server/core/states.py; times are milliseconds since 1970
-- UTC; ids are UUIDv7 text, so that their order is the order of creation. The checks make SQLite refuse what MySQL refuses.

CREATE TABLE task (
    task_id               TEXT PRIMARY KEY NOT NULL CHECK (length(task_id) <= 36),
    name                  TEXT NOT NULL CHECK (length(name) <= 255),
    description           TEXT NOT NULL,
    type                  TEXT NOT NULL CHECK (length(type) <= 64),
    status                INTEGER NOT NULL,
    created_by            TEXT NOT NULL CHECK (length(created_by) <= 255),
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    target_text           TEXT NOT NULL,
    parameters            TEXT NOT NULL,
    timeout_ms            INTEGER,
    concurrency           INTEGER,
    cancel_requested_at   INTEGER,
    cancel_reason         TEXT,
    started_at            INTEGER,
    finished_at           INTEGER,
    version               INTEGER NOT NULL,
    count_pending         INTEGER NOT NULL,
    count_dispatched      INTEGER NOT NULL,
    count_running         INTEGER NOT NULL,
    count_completed       INTEGER NOT NULL,
    count_failed          INTEGER NOT NULL,
    count_timeout         INTEGER NOT NULL,
    count_canceled        INTEGER NOT NULL,
    count_dispatch_failed INTEGER NOT NULL,
    count_lost            INTEGER NOT NULL,
    total_hosts           INTEGER NOT NULL,
    completed_hosts       INTEGER NOT NULL,
    failed_hosts          INTEGER NOT NULL
);
CREATE INDEX task_by_status ON task (status, task_id);
CREATE INDEX task_by_type ON task (type, task_id);
CREATE INDEX task_by_creator ON task (created_by, task_id);
CREATE INDEX task_by_name ON task (name, task_id DESC);

-- Apart from task, so that reading a task never loads ten thousand ids. targets: a JSON list of host ids.
CREATE TABLE task_targets (
    task_id TEXT PRIMARY KEY NOT NULL,
    targets TEXT NOT NULL
);

CREATE TABLE command (
    command_id      TEXT PRIMARY KEY NOT NULL CHECK (length(command_id) <= 36),
    task_id         TEXT NOT NULL,
    command         TEXT,
    argv            TEXT,
    script          TEXT,
    interpreter     TEXT,
    args            TEXT NOT NULL,
    parameters      TEXT NOT NULL,
    env             TEXT NOT NULL,
    cwd             TEXT,
    run_as          TEXT,
    umask           INTEGER,
    stdin           BLOB,
    timeout_ms      INTEGER NOT NULL,
    grace_ms        INTEGER NOT NULL,
    start_within_ms INTEGER NOT NULL,
    max_output      INTEGER NOT NULL,
    detach          INTEGER NOT NULL,
    success_codes   TEXT NOT NULL
);
CREATE INDEX command_by_task ON command (task_id, command_id);

CREATE TABLE command_host (
    command_id          TEXT NOT NULL,
    host_id             TEXT NOT NULL CHECK (length(host_id) <= 36),
    attempt             INTEGER NOT NULL DEFAULT 1,
    status              INTEGER NOT NULL DEFAULT 0,
    version             INTEGER NOT NULL DEFAULT 0,
    seq                 INTEGER,
    journal_id          TEXT,
    unreachable         INTEGER NOT NULL DEFAULT 0,
    cancel_requested_at INTEGER,
    dispatched_at       INTEGER,
    accepted_at         INTEGER,
    started_at          INTEGER,
    finished_at         INTEGER,
    agent_started_at    INTEGER,
    agent_finished_at   INTEGER,
    execution_ms        INTEGER,
    exit_code           INTEGER,
    exit_signal         INTEGER,
    error_code          TEXT,
    error_message       TEXT,
    stdout_id           BLOB,
    stderr_id           BLOB,
    report              TEXT,
    late_result         TEXT,
    PRIMARY KEY (command_id, host_id)
) WITHOUT ROWID;
CREATE INDEX command_host_by_status ON command_host (command_id, status, host_id);
CREATE INDEX command_host_by_host ON command_host (host_id, command_id);

CREATE TABLE output (
    output_id   BLOB PRIMARY KEY NOT NULL CHECK (length(output_id) = 32),
    head        BLOB NOT NULL,
    tail        BLOB NOT NULL,
    total_bytes INTEGER NOT NULL,
    sha256      BLOB NOT NULL CHECK (length(sha256) = 32),
    truncated   INTEGER NOT NULL
);

CREATE TABLE orphan_result (
    host_id           TEXT NOT NULL,
    command_id        TEXT NOT NULL,
    attempt           INTEGER NOT NULL,
    received_at       INTEGER NOT NULL,
    agent_finished_at INTEGER,
    report            TEXT NOT NULL,
    PRIMARY KEY (host_id, command_id, attempt)
) WITHOUT ROWID;

CREATE TABLE host (
    host_id           TEXT PRIMARY KEY NOT NULL CHECK (length(host_id) <= 36),
    hostname          TEXT NOT NULL,
    ip                TEXT NOT NULL,
    os                TEXT NOT NULL,
    arch              TEXT NOT NULL,
    version           TEXT NOT NULL,
    labels            TEXT NOT NULL,
    agent_labels      TEXT NOT NULL,
    status            TEXT NOT NULL,
    journal_id        TEXT,
    boot_id           TEXT,
    first_seen_at     INTEGER,
    last_seen_at      INTEGER,
    last_heartbeat_at INTEGER,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
);

-- The highest dispatch number given to a host. Apart from host, because it changes with every dispatch, may come before
-- the host is saved, and must outlive it: the agent may return under the same id, and no number is given twice.
CREATE TABLE host_seq (
    host_id TEXT PRIMARY KEY NOT NULL CHECK (length(host_id) <= 36),
    max_seq INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    idempotency_key TEXT PRIMARY KEY NOT NULL CHECK (length(idempotency_key) <= 512),
    task_id         TEXT NOT NULL,
    request_digest  BLOB NOT NULL CHECK (length(request_digest) <= 64),
    created_at      INTEGER NOT NULL
);
CREATE INDEX idempotency_by_task ON idempotency (task_id);

CREATE TABLE meta (
    name  TEXT PRIMARY KEY NOT NULL CHECK (length(name) <= 255),
    value TEXT NOT NULL
);
