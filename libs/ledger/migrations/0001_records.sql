-- What happened, one row per message of the streams that the audit follows.
-- Empty text means "not said"; at is the stream's time of the message, so that
-- a message that comes again makes the same row.
CREATE TABLE audit_records (
    stream         text        NOT NULL,
    life           integer     NOT NULL, -- counts up when a stream was made anew and its sequences start again
    seq            bigint      NOT NULL,
    at             timestamptz NOT NULL,
    rank           smallint    NOT NULL, -- place of the stream in the flow: order among equal times
    kind           text        NOT NULL, -- record, change, delivery, conflict, held, decision, erased, other
    id             text        NOT NULL, -- ce-id
    type           text        NOT NULL, -- ce-type
    subject        text        NOT NULL,
    event          text        NOT NULL, -- ce-id of what it is about
    change         text        NOT NULL, -- type of the change that a delivery is about
    employee       text        NOT NULL,
    source         text        NOT NULL,
    target         text        NOT NULL,
    integration    text        NOT NULL,
    key_token      text        NOT NULL, -- stands for a vendor's key
    version        bigint      NOT NULL, -- of the employee
    fields         text[]      NOT NULL, -- canonical patterns, never values
    outcome        text        NOT NULL,
    class          text        NOT NULL,
    reason         text        NOT NULL,
    attempt        integer     NOT NULL,
    path           text        NOT NULL,
    rule           text        NOT NULL,
    trace_id       text        NOT NULL,
    config_version text        NOT NULL,
    purpose        text        NOT NULL,
    legal_basis    text        NOT NULL,
    processor      text        NOT NULL,
    actor          text        NOT NULL,
    body_hash      bytea       NOT NULL, -- SHA-256 of the message's sealed data: erasing a person leaves it valid
    detail         json,                 -- the clear head as it came. Not jsonb, which would rewrite it and break the chain
    hash           bytea       NOT NULL, -- of the row and the hash before it
    PRIMARY KEY (stream, life, seq, at)
) PARTITION BY RANGE (at);

CREATE TABLE audit_records_default PARTITION OF audit_records DEFAULT;

CREATE INDEX audit_records_employee ON audit_records (employee, at) WHERE employee <> '';
CREATE INDEX audit_records_target   ON audit_records (target, at) WHERE target <> '';
CREATE INDEX audit_records_trace    ON audit_records (trace_id) WHERE trace_id <> '';
CREATE INDEX audit_records_kind     ON audit_records (kind, type, at);

-- The end of each stream's chain. Its sequence is what makes taking a message
-- twice harmless.
CREATE TABLE chain_heads (
    stream text        PRIMARY KEY,
    life   integer     NOT NULL,
    seq    bigint      NOT NULL,
    rows   bigint      NOT NULL, -- in all lives
    at     timestamptz,
    hash   bytea       NOT NULL
);

-- Fields that a source said and may not set, with the rule that decided.
CREATE TABLE conflicts (
    stream   text        NOT NULL,
    life     integer     NOT NULL,
    seq      bigint      NOT NULL,
    part     integer     NOT NULL, -- from 1, within the message
    at       timestamptz NOT NULL,
    rank     smallint    NOT NULL,
    employee text        NOT NULL,
    source   text        NOT NULL,
    event    text        NOT NULL,
    path     text        NOT NULL,
    rule     text        NOT NULL,
    winner   text        NOT NULL,
    trace_id text        NOT NULL,
    config_version text  NOT NULL,
    PRIMARY KEY (stream, life, seq, part)
);
CREATE INDEX conflicts_employee ON conflicts (employee, at);
CREATE INDEX conflicts_at ON conflicts (at);

-- An index of what was given up; the letters themselves stay on the bus.
CREATE TABLE dead_letters (
    subject        text        PRIMARY KEY,
    id             text        NOT NULL,
    seq            bigint      NOT NULL,
    at             timestamptz NOT NULL,
    stage          text        NOT NULL,
    source         text        NOT NULL,
    target         text        NOT NULL,
    integration    text        NOT NULL,
    employee       text        NOT NULL,
    event          text        NOT NULL,
    class          text        NOT NULL,
    reason         text        NOT NULL,
    path           text        NOT NULL,
    rule           text        NOT NULL,
    attempts       integer     NOT NULL,
    trace_id       text        NOT NULL,
    config_version text        NOT NULL,
    state          text        NOT NULL DEFAULT 'open', -- open, resolved, discarded
    settled_at     timestamptz
);
CREATE INDEX dead_letters_id ON dead_letters (id);
CREATE INDEX dead_letters_open ON dead_letters (at, id) WHERE state = 'open';

-- Append only. Who owns the tables can still get around this; the chain shows it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % refused: the audit is append-only', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_records FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audit_records FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON audit_records_default FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON conflicts FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON conflicts FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A head only moves forward.
CREATE FUNCTION refuse_return() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.stream = OLD.stream AND (NEW.life, NEW.seq) > (OLD.life, OLD.seq) AND NEW.rows > OLD.rows THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % refused: a chain only grows', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_forward BEFORE UPDATE OR DELETE ON chain_heads FOR EACH ROW EXECUTE FUNCTION refuse_return();
CREATE TRIGGER only_forward_truncate BEFORE TRUNCATE ON chain_heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_return();

-- One partition per month, made ahead. Rows of other months go to the default
-- one; a month that already has rows there stays there.
CREATE FUNCTION audit_month(of timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := date_trunc('month', of AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    past  timestamptz := (date_trunc('month', of AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    part  text := 'audit_records_' || to_char(of AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(part) IS NOT NULL OR EXISTS (SELECT FROM audit_records_default WHERE at >= first AND at < past) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF audit_records FOR VALUES FROM (%L) TO (%L)', part, first, past);
    EXECUTE format('CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part);
END $$;
