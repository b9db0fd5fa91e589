-- The tables of the first release. Statuses are the numbers of server/core/states.py; times are milliseconds since 1970
-- UTC; ids are UUIDv7 text, so that their order is the order of creation. What agents say has no narrow column: a value
-- that does not fit would be refused for ever. Each statement is a step that may be run again.

CREATE TABLE IF NOT EXISTS task (
    task_id               CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name                  VARCHAR(255) NOT NULL,
    description           MEDIUMTEXT NOT NULL,
    type                  VARCHAR(64) NOT NULL,
    status                TINYINT NOT NULL,
    created_by            VARCHAR(255) NOT NULL,
    created_at            BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    target_text           MEDIUMTEXT NOT NULL,
    parameters            MEDIUMTEXT NOT NULL,
    timeout_ms            BIGINT,
    concurrency           BIGINT,
    cancel_requested_at   BIGINT,
    cancel_reason         MEDIUMTEXT,
    started_at            BIGINT,
    finished_at           BIGINT,
    version               BIGINT NOT NULL,
    count_pending         INT NOT NULL,
    count_dispatched      INT NOT NULL,
    count_running         INT NOT NULL,
    count_completed       INT NOT NULL,
    count_failed          INT NOT NULL,
    count_timeout         INT NOT NULL,
    count_canceled        INT NOT NULL,
    count_dispatch_failed INT NOT NULL,
    count_lost            INT NOT NULL,
    total_hosts           INT NOT NULL,
    completed_hosts       INT NOT NULL,
    failed_hosts          INT NOT NULL,
    PRIMARY KEY (task_id),
    KEY task_by_status (status, task_id),
    KEY task_by_type (type, task_id),
    KEY task_by_creator (created_by, task_id),
    KEY task_by_name (name, task_id DESC)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Apart from task, so that reading a task never loads ten thousand ids. targets: a JSON list of host ids.
CREATE TABLE IF NOT EXISTS task_targets (
    task_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    targets MEDIUMTEXT NOT NULL,
    PRIMARY KEY (task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS command (
    command_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    task_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    command         MEDIUMTEXT,
    argv            MEDIUMTEXT,
    script          MEDIUMTEXT,
    interpreter     MEDIUMTEXT,
    args            MEDIUMTEXT NOT NULL,
    parameters      MEDIUMTEXT NOT NULL,
    env             MEDIUMTEXT NOT NULL,
    cwd             MEDIUMTEXT,
    run_as          MEDIUMTEXT,
    umask           INT,
    stdin           MEDIUMBLOB,
    timeout_ms      BIGINT NOT NULL,
    grace_ms        BIGINT NOT NULL,
    start_within_ms BIGINT NOT NULL,
    max_output      BIGINT NOT NULL,
    detach          TINYINT NOT NULL,
    success_codes   MEDIUMTEXT NOT NULL,
    PRIMARY KEY (command_id),
    KEY command_by_task (task_id, command_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS command_host (
    command_id          CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    host_id             CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempt             BIGINT NOT NULL DEFAULT 1,
    status              TINYINT NOT NULL DEFAULT 0,
    version             BIGINT NOT NULL DEFAULT 0,
    seq                 BIGINT,
    journal_id          MEDIUMTEXT,
    unreachable         TINYINT NOT NULL DEFAULT 0,
    cancel_requested_at BIGINT,
    dispatched_at       BIGINT,
    accepted_at         BIGINT,
    started_at          BIGINT,
    finished_at         BIGINT,
    agent_started_at    BIGINT,
    agent_finished_at   BIGINT,
    execution_ms        BIGINT,
    exit_code           BIGINT,
    exit_signal         BIGINT,
    error_code          MEDIUMTEXT,
    error_message       MEDIUMTEXT,
    stdout_id           BINARY(32),
    stderr_id           BINARY(32),
    report              MEDIUMTEXT,
    late_result         MEDIUMTEXT,
    PRIMARY KEY (command_id, host_id),
    KEY command_host_by_status (command_id, status, host_id),
    KEY command_host_by_host (host_id, command_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS output (
    output_id   BINARY(32) NOT NULL,
    head        MEDIUMBLOB NOT NULL,
    tail        MEDIUMBLOB NOT NULL,
    total_bytes BIGINT NOT NULL,
    sha256      BINARY(32) NOT NULL,
    truncated   TINYINT NOT NULL,
    PRIMARY KEY (output_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS orphan_result (
    host_id           CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    command_id        CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempt           BIGINT NOT NULL,
    received_at       BIGINT NOT NULL,
    agent_finished_at BIGINT,
    report            MEDIUMTEXT NOT NULL,
    PRIMARY KEY (host_id, command_id, attempt)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS host (
    host_id           CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hostname          MEDIUMTEXT NOT NULL,
    ip                MEDIUMTEXT NOT NULL,
    os                MEDIUMTEXT NOT NULL,
    arch              MEDIUMTEXT NOT NULL,
    version           MEDIUMTEXT NOT NULL,
    labels            MEDIUMTEXT NOT NULL,
    agent_labels      MEDIUMTEXT NOT NULL,
    status            MEDIUMTEXT NOT NULL,
    journal_id        MEDIUMTEXT,
    boot_id           MEDIUMTEXT,
    first_seen_at     BIGINT,
    last_seen_at      BIGINT,
    last_heartbeat_at BIGINT,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    PRIMARY KEY (host_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The highest dispatch number given to a host. Apart from host, because it changes with every dispatch, may come before
-- the host is saved, and must outlive it: the agent may return under the same id, and no number is given twice.
CREATE TABLE IF NOT EXISTS host_seq (
    host_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    max_seq BIGINT NOT NULL,
    PRIMARY KEY (host_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS idempotency (
    idempotency_key VARCHAR(512) NOT NULL,
    task_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    request_digest  VARBINARY(64) NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (idempotency_key),
    KEY idempotency_by_task (task_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS meta (
    name  VARCHAR(255) NOT NULL,
    value MEDIUMTEXT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
