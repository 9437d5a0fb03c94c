-- adopt: puts files of another incarnation, copied under keys of this one, into the index at one instant. What a restore
-- does, chunk by chunk. Repeatable by plan and chunk: `already` for as long as they are remembered.
--
-- KEYS  1 table config · 2 table stats · 3 counters · 4 schema · 5 index token · 6 index map · 7 plans · 8 plan texts
--       9 done plans · 10 dead plans · then P entry hashes (one a partition) · I id sets
-- ARGV  1 generation · 2 plan id · 3 chunk · 4 '1' for the last chunk · 5 shard count · 6 schema version that the columns
--       were joined at · 7 columns C · 8 partitions P · 9 id sets I · 10 files F · 11 oldest and 12 newest timestamp
--       (RFC 3339, 6 digits) · 13 '1' when the files' rows were placed in shards by another table's name
--       14 ms that plan and chunk are remembered · 15 shard counts H that the files' rows were placed by
--       then H shard counts · C times: folded name, `<type>:<name>` · P partition names
--       · F times: file id, partition number, id set number or 0, object key, entry JSON, rows, size in bytes
-- Answers {'ok', token} · {'already'} · {'gone'} · {'dead'} · {'stale', shards} · {'moved'} (the schema, since then)
--         {'mismatch', 'type'}
local config, stats, counters, schema, token_key, index_map = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local plans, plan_texts, done_plans, dead_plans = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local plan_id, chunk = ARGV[2], ARGV[2] .. '.' .. ARGV[3]
local column_count, partition_count = tonumber(ARGV[7]), tonumber(ARGV[8])
local id_set_count, file_count, count_count = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[15])
local first_entries = 11
local first_id_set = first_entries + partition_count
local first_count = 16
local first_column = first_count + count_count
local first_name = first_column + 2 * column_count
local first_file = first_name + partition_count

if redis.call('HGET', config, 'generation') ~= ARGV[1] then
  return { 'gone' }
end
if redis.call('ZSCORE', done_plans, chunk) then
  return { 'already' }
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', plans, plan_id)
if not expiry or tonumber(expiry) <= now_ms or redis.call('ZSCORE', dead_plans, plan_id) then
  return { 'dead' }
end
local settings = redis.call('HMGET', config, 'shards', 'shard_history')
if settings[1] ~= ARGV[5] then
  return { 'stale', settings[1] }
end
if (redis.call('HGET', counters, 'schema_version') or '0') ~= ARGV[6] then
  return { 'moved' }
end
local function is_of_type(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == 'none' or type == wanted
end
for partition = 0, partition_count - 1 do
  if not is_of_type(KEYS[first_entries + partition], 'hash') then
    return { 'mismatch', 'type' }
  end
end
for id_set = 0, id_set_count - 1 do
  if not is_of_type(KEYS[first_id_set + id_set], 'set') then
    return { 'mismatch', 'type' }
  end
end
if not is_of_type(stats, 'hash') or not is_of_type(index_map, 'hash') or not is_of_type(schema, 'hash') then
  return { 'mismatch', 'type' }
end

-- Nothing is refused from here on.
for column = 0, column_count - 1 do
  redis.call('HSET', schema, ARGV[first_column + 2 * column], ARGV[first_column + 2 * column + 1])
end
if column_count > 0 then
  redis.call('HINCRBY', counters, 'schema_version', 1)
end
-- Rows are found by the counts that they were placed by; the count that holds now stays the last.
local history = settings[2] or settings[1]
for at = first_count, first_column - 1 do
  if not string.find(',' .. history .. ',', ',' .. ARGV[at] .. ',', 1, true) then
    history = ARGV[at] .. ',' .. history
  end
end
redis.call('HSET', config, 'shard_history', history)
if ARGV[13] == '1' then
  redis.call('HSET', config, 'placement', 'mixed')
end
local token = redis.call('INCR', token_key)
local rows, bytes = 0, 0
for file = 0, file_count - 1 do
  local at = first_file + 7 * file
  redis.call('HSET', KEYS[first_entries + tonumber(ARGV[at + 1]) - 1], ARGV[at], ARGV[at + 4])
  local id_set = tonumber(ARGV[at + 2])
  if id_set > 0 then
    redis.call('SADD', KEYS[first_id_set + id_set - 1], ARGV[at + 3])
  end
  rows, bytes = rows + tonumber(ARGV[at + 5]), bytes + tonumber(ARGV[at + 6])
end
for partition = 0, partition_count - 1 do
  redis.call('HSET', index_map, ARGV[first_name + partition], tostring(token))
end
redis.call('HINCRBY', stats, 'file_count', file_count)
redis.call('HINCRBY', stats, 'size_bytes', bytes)
redis.call('HINCRBY', stats, 'record_count', rows)
if file_count > 0 then
  local known = redis.call('HMGET', stats, 'oldest_record', 'newest_record')
  if not known[1] or known[1] == '' or ARGV[11] < known[1] then
    redis.call('HSET', stats, 'oldest_record', ARGV[11])
  end
  if not known[2] or known[2] == '' or ARGV[12] > known[2] then
    redis.call('HSET', stats, 'newest_record', ARGV[12])
  end
end
redis.call('ZADD', done_plans, now_ms + tonumber(ARGV[14]), chunk)
if ARGV[4] == '1' then
  redis.call('ZREM', plans, plan_id)
  redis.call('HDEL', plan_texts, plan_id)
  redis.call('ZADD', done_plans, now_ms + tonumber(ARGV[14]), plan_id)
end
return { 'ok', tostring(token) }
