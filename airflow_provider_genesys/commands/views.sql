-- One row for each agent of a conversation, with names. docs/models.md says where each definition comes from.
CREATE OR REPLACE VIEW genesys_conversation AS
SELECT c.conversation_id, c.conversation_start, c.conversation_end, c.originating_direction,
    s.media_type, q.id AS queue_id, q.name AS queue_name, p.user_id, u.name AS agent_name,
    s.wrap_up_code AS wrap_up_code_id, w.name AS wrap_up_code_name, d.name AS division_name
FROM @conversations AS c
LEFT JOIN @conversations_participants AS p ON p.conversation_id = c.conversation_id AND p.purpose = 'agent'
LEFT JOIN LATERAL (
    SELECT (array_agg(t.media_type ORDER BY t.ordinal))[1] AS media_type,
        (SELECT g.queue_id FROM @conversations_segments AS g WHERE g.conversation_id = p.conversation_id
            AND g.participant_id = p.participant_id AND g.queue_id IS NOT NULL ORDER BY g.ordinal LIMIT 1) AS queue_id,
        (SELECT g.wrap_up_code FROM @conversations_segments AS g WHERE g.conversation_id = p.conversation_id
            AND g.participant_id = p.participant_id AND g.wrap_up_code IS NOT NULL ORDER BY g.ordinal LIMIT 1)
            AS wrap_up_code
    FROM @conversations_sessions AS t
    WHERE t.conversation_id = p.conversation_id AND t.participant_id = p.participant_id
) AS s ON true
LEFT JOIN queues AS q ON q.id = s.queue_id
LEFT JOIN users AS u ON u.id = p.user_id
LEFT JOIN wrapup_codes AS w ON w.id = s.wrap_up_code
LEFT JOIN divisions AS d ON d.id = c.division_ids ->> 0;

-- The metrics of sessions, each with whose session it was and with the session's first queue.
CREATE OR REPLACE VIEW genesys_metric AS
SELECT m.conversation_id, m.session_id, m.name, m.value, m.emit_date, p.purpose, p.user_id, t.media_type,
    to_timestamp(floor(extract(epoch FROM m.emit_date) / 1800) * 1800) AS interval_start,
    (SELECT g.queue_id FROM @conversations_segments AS g WHERE g.conversation_id = m.conversation_id
        AND g.session_id = m.session_id AND g.queue_id IS NOT NULL ORDER BY g.ordinal LIMIT 1) AS queue_id
FROM @conversations_metrics AS m
JOIN @conversations_participants AS p ON p.conversation_id = m.conversation_id
    AND p.participant_id = m.participant_id
JOIN @conversations_sessions AS t ON t.conversation_id = m.conversation_id AND t.session_id = m.session_id;

-- Half hours of an agent. Times are in milliseconds.
CREATE OR REPLACE VIEW genesys_agent_interval AS
SELECT m.interval_start, m.user_id, u.name AS agent_name, m.media_type,
    count(*) FILTER (WHERE m.name = 'tAnswered') AS answered,
    count(*) FILTER (WHERE m.name = 'tHandle') AS handled,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tHandle'), 0) AS handle_ms,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tTalk'), 0) AS talk_ms,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tHeld'), 0) AS held_ms,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tAcw'), 0) AS acw_ms,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tAlert'), 0) AS alert_ms
FROM genesys_metric AS m LEFT JOIN users AS u ON u.id = m.user_id
WHERE m.purpose = 'agent' AND m.user_id IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Half hours of a queue. A service level of 20 seconds; it is null where nothing was answered or abandoned.
CREATE OR REPLACE VIEW genesys_queue_interval AS
SELECT m.interval_start, m.queue_id, q.name AS queue_name, m.media_type,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'nOffered' AND m.purpose = 'acd'), 0) AS offered,
    count(*) FILTER (WHERE m.name = 'tAnswered' AND m.purpose = 'acd') AS answered,
    count(*) FILTER (WHERE m.name = 'tAbandon' AND m.purpose = 'acd') AS abandoned,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tAnswered' AND m.purpose = 'acd'), 0) AS answer_ms,
    count(*) FILTER (WHERE m.name = 'tHandle' AND m.purpose = 'agent') AS handled,
    coalesce(sum(m.value) FILTER (WHERE m.name = 'tHandle' AND m.purpose = 'agent'), 0) AS handle_ms,
    count(*) FILTER (WHERE m.name = 'tAnswered' AND m.purpose = 'acd' AND m.value <= 20000)::numeric
        / nullif(count(*) FILTER (WHERE m.name IN ('tAnswered', 'tAbandon') AND m.purpose = 'acd'), 0) AS service_level
FROM genesys_metric AS m LEFT JOIN queues AS q ON q.id = m.queue_id
WHERE m.queue_id IS NOT NULL
GROUP BY 1, 2, 3, 4;
