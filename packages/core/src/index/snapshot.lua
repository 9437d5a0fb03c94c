#!lua flags=no-writes
-- snapshot: one instant of a table: what is pending and which files are in the index. The caller says what it
-- knows already and gets only what moved.
--
-- KEYS  1 table config · 2 counters · 3 schema · 4 index token · 5 index map · then for each shard: pending, batch meta
-- ARGV  1 generation · 2 shard count · 3 known index token · 4 known schema version · 5 newest known sequence
-- Answers {'ok', status, seq, index token, {partition, token, …} or false, schema version, {folded, column, …} or false,
--          for each shard {{batch id, seq, …}, {batch id, meta, … of those beyond the known sequence}}}
--         {'gone'} · {'stale', shard count}
local settings = redis.call('HMGET', KEYS[1], 'generation', 'status', 'shards')
if settings[1] ~= ARGV[1] then
  return { 'gone' }
end
if settings[3] ~= ARGV[2] then
  return { 'stale', settings[3] }
end
local counted = redis.call('HMGET', KEYS[2], 'seq', 'schema_version')
local token = redis.call('GET', KEYS[4]) or '0'
local index_map = token ~= ARGV[3] and redis.call('HGETALL', KEYS[5])
local schema_version = counted[2] or '0'
local schema = schema_version ~= ARGV[4] and redis.call('HGETALL', KEYS[3])
local known_seq = tonumber(ARGV[5])
local shards = {}
for at = 6, #KEYS, 2 do
  local pending = redis.call('ZRANGE', KEYS[at], 0, -1, 'WITHSCORES')
  local metas = {}
  for entry = 1, #pending, 2 do
    if tonumber(pending[entry + 1]) > known_seq then
      metas[#metas + 1] = pending[entry]
      metas[#metas + 1] = redis.call('HGET', KEYS[at + 1], pending[entry])
    end
  end
  shards[#shards + 1] = { pending, metas }
end
return { 'ok', settings[2], counted[1] or '0', token, index_map, schema_version, schema, shards }
