#!lua flags=allow-oom
-- commit: the one step that makes a seal's files visible and its batches gone. Repeatable: `already` when the
-- seal is gone and its files are in the index; `unknown` when neither is there, and then nobody may conclude anything.
--
-- KEYS  1 table config · 2 table stats · 3 counters · 4 index token · 5 index map · 6 seal · 7 seal batches · 8 seals
--       9 pending · 10 batch meta · then P entry hashes (one a partition) · I id sets · B payloads
-- ARGV  1 generation · 2 seal id · 3 partition count P · 4 id set count I · 5 batch count B · 6 file count F
--       then P partition names · B batch ids · F times: file id, partition number, id set number or 0, object key,
--       entry JSON, rows, size in bytes
-- Answers {'ok', token} · {'already'} · {'unknown'} · {'gone'} · {'mismatch', what}
local config, stats, counters, token_key, index_map = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local seal, seal_batches, seals, pending, batch_meta = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local generation, seal_id = ARGV[1], ARGV[2]
local partition_count, id_set_count = tonumber(ARGV[3]), tonumber(ARGV[4])
local batch_count, file_count = tonumber(ARGV[5]), tonumber(ARGV[6])
local first_partition, first_id_set = 11, 11 + partition_count
local first_payload = first_id_set + id_set_count
local first_name = 7
local first_batch = first_name + partition_count
local first_file = first_batch + batch_count
local READER_GRACE_MS = 60000
-- As put.lua counts it.
local BATCH_OVERHEAD_BYTES = 1024

local function file_of(file)
  local at = first_file + (file - 1) * 7
  return ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
end

if redis.call('EXISTS', seal) == 0 then
  for file = 1, file_count do
    local file_id, partition = file_of(file)
    if redis.call('HEXISTS', KEYS[first_partition + partition - 1], file_id) == 1 then
      return { 'already' }
    end
  end
  return { 'unknown' }
end
if redis.call('HGET', config, 'generation') ~= generation or redis.call('HGET', seal, 'generation') ~= generation then
  return { 'gone' }
end

-- The files must be made of exactly the seal's batches, and hold exactly their rows.
if redis.call('ZCARD', seal_batches) ~= batch_count then
  return { 'mismatch', 'batches' }
end
local rows, bytes = 0, batch_count * BATCH_OVERHEAD_BYTES
for batch = 0, batch_count - 1 do
  local id = ARGV[first_batch + batch]
  if not redis.call('ZSCORE', seal_batches, id) then
    return { 'mismatch', 'batches' }
  end
  local batch_rows, batch_bytes = string.match(redis.call('HGET', batch_meta, id), '^1:(%d+):(%d+):')
  rows, bytes = rows + tonumber(batch_rows), bytes + tonumber(batch_bytes)
end
local file_rows, file_bytes = 0, 0
for file = 1, file_count do
  local _, _, _, _, _, rows_of_file, size = file_of(file)
  file_rows, file_bytes = file_rows + tonumber(rows_of_file), file_bytes + tonumber(size)
end
if file_rows ~= rows then
  return { 'mismatch', 'rows' }
end
local function is_of_type(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == 'none' or type == wanted
end
for partition = 0, partition_count - 1 do
  if not is_of_type(KEYS[first_partition + partition], 'hash') then
    return { 'mismatch', 'type' }
  end
end
for id_set = 0, id_set_count - 1 do
  if not is_of_type(KEYS[first_id_set + id_set], 'set') then
    return { 'mismatch', 'type' }
  end
end
if not is_of_type(stats, 'hash') or not is_of_type(index_map, 'hash') then
  return { 'mismatch', 'type' }
end

local token = redis.call('INCR', token_key)
for file = 1, file_count do
  local file_id, partition, id_set, object_key, entry = file_of(file)
  redis.call('HSET', KEYS[first_partition + partition - 1], file_id, entry)
  if id_set > 0 then
    redis.call('SADD', KEYS[first_id_set + id_set - 1], object_key)
  end
end
for partition = 0, partition_count - 1 do
  redis.call('HSET', index_map, ARGV[first_name + partition], token)
end
redis.call('HINCRBY', stats, 'file_count', file_count)
redis.call('HINCRBY', stats, 'size_bytes', file_bytes)
for batch = 0, batch_count - 1 do
  local id = ARGV[first_batch + batch]
  redis.call('ZREM', pending, id)
  redis.call('HDEL', batch_meta, id)
  -- A reader may hold a snapshot in which the batch is still pending.
  redis.call('PEXPIRE', KEYS[first_payload + batch], READER_GRACE_MS)
end
redis.call('HINCRBY', counters, 'pending_rows', -rows)
redis.call('HINCRBY', counters, 'pending_bytes', -bytes)
redis.call('HINCRBY', counters, 'pending_batches', -batch_count)
local time = redis.call('TIME')
redis.call('HSET', counters, 'last_flush_ms', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('DEL', seal_batches)
redis.call('ZREM', seals, seal_id)
redis.call('DEL', seal)
return { 'ok', tostring(token) }
