#!lua flags=allow-oom
-- alter: changes a table's settings and status, all or nothing. Takes next to no memory, and archiving a table or
-- resuming its flushes is what helps when there is none left. Repeatable: the settings are what they then are.
--
-- KEYS  1 table config
-- ARGV  1 generation · 2 status or '' · 3 shards or '' · 4 deadline ms · 5 fields set S · then S times: field, value
--       · then fields removed
-- Answers {'ok'} · {'gone'} · {'expired'} · {'shrink', shards}
local config = KEYS[1]
local current = redis.call('HMGET', config, 'generation', 'shards', 'shard_history')
if current[1] ~= ARGV[1] then
  return { 'gone' }
end
-- Late, it would take back what others have changed since.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[4]) then
  return { 'expired' }
end
local shards = ARGV[3]
if shards ~= '' and tonumber(shards) < tonumber(current[2]) then
  return { 'shrink', current[2] }
end

if shards ~= '' and shards ~= current[2] then
  -- Rows stay in the shard that they were written to: which counts there were is needed to find them.
  redis.call('HSET', config, 'shards', shards, 'shard_history', (current[3] or current[2]) .. ',' .. shards)
end
if ARGV[2] ~= '' then
  redis.call('HSET', config, 'status', ARGV[2])
end
local first_removed = 6 + 2 * tonumber(ARGV[5])
for at = 6, first_removed - 1, 2 do
  redis.call('HSET', config, ARGV[at], ARGV[at + 1])
end
for at = first_removed, #ARGV do
  redis.call('HDEL', config, ARGV[at])
end
return { 'ok' }
