#!lua flags=no-writes
-- read-seal: what a flush needs to know of a live seal, at one instant.
--
-- KEYS  1 seal · 2 seal batches · 3 batch meta
-- Answers {'ok', {field, value, …}, {batch id, meta, …}} · {'unknown'}
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then
  return { 'unknown' }
end
local batches = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  batches[#batches + 1] = id
  batches[#batches + 1] = redis.call('HGET', KEYS[3], id)
end
return { 'ok', fields, batches }
