-- Responses to surveys and their answers. Unlike the rows of the audit these
-- hold values, so they are not evidence: erasing a person deletes theirs.
CREATE TABLE survey_responses (
    id           text        PRIMARY KEY, -- stands for the vendor's id of the response
    source       text        NOT NULL,
    survey       text        NOT NULL, -- the vendor's id
    cycle        text        NOT NULL,
    status       text        NOT NULL, -- linked, unlinked, anonymous
    employee     text,                 -- null unless linked
    linked_by    text        NOT NULL, -- id, external_id, employee_number, email
    submitted_at timestamptz NOT NULL,
    received_at  timestamptz NOT NULL,
    event        text        NOT NULL, -- ce-id of the record
    trace_id     text        NOT NULL,
    CHECK ((status = 'linked') = (employee IS NOT NULL))
);
CREATE INDEX survey_responses_at ON survey_responses (submitted_at, id);
CREATE INDEX survey_responses_employee ON survey_responses (employee) WHERE employee IS NOT NULL;

-- One row per answer. What somebody wrote in their own words is not here: value
-- is null for it.
CREATE TABLE survey_facts (
    response     text        NOT NULL REFERENCES survey_responses ON DELETE CASCADE,
    part         integer     NOT NULL, -- from 1, within the response
    survey       text        NOT NULL,
    question     text        NOT NULL, -- the reference that stays when the text is changed
    kind         text        NOT NULL, -- scale, enps, choice, choices, number, yes_no, date, text
    submitted_at timestamptz NOT NULL,
    employee     text,                 -- null unless linked
    value        jsonb,                -- of closed questions: number, true or false, a text or texts that were chosen, a day
    number       numeric,              -- the same of scale, enps and number, to reckon with
    low          integer,              -- ends of a scale
    high         integer,
    PRIMARY KEY (response, part)
);
CREATE INDEX survey_facts_question ON survey_facts (survey, question, submitted_at);
CREATE INDEX survey_facts_employee ON survey_facts (employee) WHERE employee IS NOT NULL;
