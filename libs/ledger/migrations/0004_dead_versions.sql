-- Where a target takes a person's newest state, a newer version that arrived
-- stands for one that was given up.
ALTER TABLE dead_letters
    ADD COLUMN version    bigint NOT NULL DEFAULT 0,  -- of the employee; 0 if it is not known
    ADD COLUMN settled_by text   NOT NULL DEFAULT ''; -- event whose delivery ended it
CREATE INDEX dead_letters_employee ON dead_letters (employee) WHERE state = 'open';
UPDATE dead_letters d SET version = r.version FROM audit_records r WHERE r.stream = 'DEAD' AND r.seq = d.seq AND r.at = d.at;
