-- put: makes the batches of one enqueue pending, all or none. Runs in the MULTI that also SETs the payloads and
-- adds the jobs, so it unlinks those payloads again whenever it does not take the batches.
-- Repeatable: the same put id answers `ok` again for as long as it is remembered, whatever became of the batches.
--
-- KEYS  1 table config · 2 table stats · 3 last_write · 4 schema · 5 counters · 6 done · 7 keyed · 8 keyed expiry
--       then for each batch: pending, unsealed, batch meta, payload
-- ARGV  1 generation · 2 shard count · 3 put id · 4 deadline ms · 5 forget-at ms (later than the deadline)
--       6 dedup key ('' for none) · 7 hash of the request · 8 dedup expiry ms · 9 accept time (RFC 3339)
--       10 default max_pending_bytes · 11 columns max · 12 column count C · 13 batch count B
--       14 oldest and 15 newest timestamp (RFC 3339, 6 digits) · 16 '1' when this id may have been sent before
--       17 default type_conflict
--       then C times: folded name, name, type
--       then B times: batch id, shard, meta, rows, bytes
-- Answers {'ok', seq} · {'duplicate', result} · {'conflict'} · {'expired'} · {'gone'} · {'archived'}
--         {'pending_bytes', cap} · {'stale', 'shards'|'schema'} · {'type_conflict', name, its type, the refused type}
local config, stats, last_write, schema, counters = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local done, keyed, keyed_expiry = KEYS[6], KEYS[7], KEYS[8]
local generation, put_id, dedup_key = ARGV[1], ARGV[3], ARGV[6]
local column_count, batch_count = tonumber(ARGV[12]), tonumber(ARGV[13])
local first_column = 18
local first_batch = first_column + 3 * column_count
local READER_GRACE_MS = 60000
-- What a batch costs Redis beside its payload: job, meta, three sorted sets. Small batches must not slip under the cap.
local BATCH_OVERHEAD_BYTES = 1024

local function key_of(batch, part)
  return KEYS[8 + (batch - 1) * 4 + part]
end

local function batch_of(batch)
  local at = first_batch + (batch - 1) * 5
  return ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
end

-- A refused repeat may be overtaken by its first sending, which was delayed on the way: that must not apply any more.
local fence = '!' .. put_id
local function refuse(...)
  if ARGV[16] == '1' then
    redis.call('ZADD', done, ARGV[5], fence)
  end
  for batch = 1, batch_count do
    -- A first sending may arrive when its id is forgotten and the repeat's batches are pending still: theirs it is.
    if not redis.call('ZSCORE', key_of(batch, 1), (batch_of(batch))) then
      redis.call('UNLINK', key_of(batch, 4))
    end
  end
  return { ... }
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- A repeat: answer what happened, and leave the payloads as long-lived as their batches are.
if redis.call('ZSCORE', done, put_id) then
  for batch = 1, batch_count do
    local id = batch_of(batch)
    if not redis.call('ZSCORE', key_of(batch, 1), id) then
      redis.call('PEXPIRE', key_of(batch, 4), READER_GRACE_MS)
    end
  end
  return { 'ok', redis.call('HGET', counters, 'seq') or '0' }
end

if now_ms > tonumber(ARGV[4]) or redis.call('ZSCORE', done, fence) then
  return refuse('expired')
end

if dedup_key ~= '' then
  local expiry = redis.call('ZSCORE', keyed_expiry, dedup_key)
  if expiry and tonumber(expiry) > now_ms then
    local record = redis.call('HGET', keyed, dedup_key)
    local hash, result = string.match(record, '^([^|]*)|(.*)$')
    if hash == ARGV[7] then
      return refuse('duplicate', result)
    end
    return refuse('conflict')
  end
end

local settings = redis.call('HMGET', config, 'generation', 'status', 'shards', 'max_pending_bytes', 'type_conflict')
if settings[1] ~= generation then
  return refuse('gone')
end
if settings[2] == 'archived' then
  return refuse('archived')
end
if settings[2] ~= 'active' then
  return refuse('gone')
end
if settings[3] ~= ARGV[2] then
  return refuse('stale', 'shards')
end

local bytes_new, rows_new = batch_count * BATCH_OVERHEAD_BYTES, 0
for batch = 1, batch_count do
  local _, _, _, rows, bytes = batch_of(batch)
  rows_new = rows_new + tonumber(rows)
  bytes_new = bytes_new + tonumber(bytes)
end
local cap = tonumber(settings[4] or ARGV[10])
local pending_bytes = tonumber(redis.call('HGET', counters, 'pending_bytes') or '0')
-- A single request larger than the whole cap is let through when nothing is pending: it could never be stored.
if pending_bytes > 0 and pending_bytes + bytes_new > cap then
  return refuse('pending_bytes', tostring(cap))
end

-- The same lattice as joinTypes in table/schema.ts.
local NUMBER_RANK = { int53 = 0, int64 = 1, double = 2, double_lossy = 3 }
local function join_types(a, b)
  if a == b then return a end
  if a == 'json' or b == 'json' then return 'json' end
  local rank_a, rank_b = NUMBER_RANK[a], NUMBER_RANK[b]
  if not rank_a or not rank_b then return 'varchar_lossy' end
  local widest, other = a, b
  if rank_b > rank_a then widest, other = b, a end
  if widest == 'double' and other == 'int64' then return 'double_lossy' end
  return widest
end

-- SQL_TYPES of table/schema.ts: with type_conflict reject, no column changes its own.
local SQL_TYPE = {
  boolean = 'BOOLEAN', int53 = 'BIGINT', int64 = 'BIGINT', double = 'DOUBLE', double_lossy = 'DOUBLE',
  varchar = 'VARCHAR', varchar_lossy = 'VARCHAR', json = 'JSON',
}
local rejects = (settings[5] or ARGV[17]) == 'reject'

local widened = {}
local columns_new = 0
for column = 1, column_count do
  local at = first_column + (column - 1) * 3
  local folded, name, type = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local known = redis.call('HGET', schema, folded)
  if known then
    local known_type, known_name = string.match(known, '^([^:]*):(.*)$')
    if known_name ~= name then
      return refuse('stale', 'schema')
    end
    local joined = join_types(known_type, type)
    if joined ~= known_type then
      if rejects and SQL_TYPE[joined] ~= SQL_TYPE[known_type] then
        return refuse('type_conflict', name, known_type, type)
      end
      widened[#widened + 1] = { folded, joined .. ':' .. name }
    end
  else
    columns_new = columns_new + 1
    widened[#widened + 1] = { folded, type .. ':' .. name }
  end
end
if columns_new > 0 and redis.call('HLEN', schema) + columns_new > tonumber(ARGV[11]) then
  return refuse('stale', 'schema')
end
local function is_of_type(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == 'none' or type == wanted
end
if not is_of_type(stats, 'hash') or not is_of_type(last_write, 'string') then
  return redis.error_reply('WRONGTYPE put: statistics or last_write of the table')
end
for batch = 1, batch_count do
  if redis.call('EXISTS', key_of(batch, 4)) == 0 then
    return redis.error_reply('ERR put: the payload of a batch is not in this transaction')
  end
end

-- Nothing is refused from here on.
for _, column in ipairs(widened) do
  redis.call('HSET', schema, column[1], column[2])
end
if #widened > 0 then
  redis.call('HINCRBY', counters, 'schema_version', 1)
end
local seq = 0
for batch = 1, batch_count do
  local id, shard, meta, rows, bytes = batch_of(batch)
  seq = redis.call('HINCRBY', counters, 'seq', 1)
  redis.call('ZADD', key_of(batch, 1), seq, id)
  redis.call('ZADD', key_of(batch, 2), seq, id)
  redis.call('HSET', key_of(batch, 3), id, meta)
  redis.call('HINCRBY', counters, 'u:' .. shard .. ':rows', rows)
  redis.call('HINCRBY', counters, 'u:' .. shard .. ':bytes', bytes)
  redis.call('HINCRBY', counters, 'u:' .. shard .. ':batches', 1)
end
redis.call('HINCRBY', counters, 'pending_rows', rows_new)
redis.call('HINCRBY', counters, 'pending_bytes', bytes_new)
redis.call('HINCRBY', counters, 'pending_batches', batch_count)
redis.call('HINCRBY', stats, 'record_count', rows_new)
local oldest = redis.call('HGET', stats, 'oldest_record')
if not oldest or oldest == '' or ARGV[14] < oldest then
  redis.call('HSET', stats, 'oldest_record', ARGV[14])
end
local newest = redis.call('HGET', stats, 'newest_record')
if not newest or newest == '' or ARGV[15] > newest then
  redis.call('HSET', stats, 'newest_record', ARGV[15])
end
local written = redis.call('GET', last_write)
if not written or ARGV[9] > written then
  redis.call('SET', last_write, ARGV[9])
end

redis.call('ZADD', done, ARGV[5], put_id)
if dedup_key ~= '' then
  redis.call('HSET', keyed, dedup_key, ARGV[7] .. '|' .. seq)
  redis.call('ZADD', keyed_expiry, ARGV[8], dedup_key)
end
-- Forgetting is bounded; a put adds at most one of each, so twice that keeps up.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', done, '-inf', '(' .. now_ms, 'LIMIT', 0, 8)) do
  redis.call('ZREM', done, id)
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', keyed_expiry, '-inf', '(' .. now_ms, 'LIMIT', 0, 8)) do
  redis.call('ZREM', keyed_expiry, key)
  redis.call('HDEL', keyed, key)
end
return { 'ok', tostring(seq) }
