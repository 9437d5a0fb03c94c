#!lua flags=allow-oom
-- note-swept: notes that a dropped table has been collected once, unless it has been done with meanwhile. Repeatable.
--
-- KEYS  1 drops of the table
-- ARGV  1 generation
-- Answers {'ok'} · {'gone'}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return { 'gone' }
end
local time = redis.call('TIME')
redis.call('HSETNX', KEYS[1], ARGV[1] .. '|swept', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return { 'ok' }
