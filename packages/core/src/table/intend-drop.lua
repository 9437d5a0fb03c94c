#!lua flags=allow-oom
-- intend-drop: a hint that there may be something left of a table to collect. Nothing follows from it by itself.
--
-- KEYS  1 drops of all tables
-- ARGV  1 `<table>|<generation>`
-- Answers {'ok'}
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[1])
return { 'ok' }
