#!lua flags=allow-oom
-- apply: brings a table to what the configuration file says, field by field. `file:<field>` remembers what the file last
-- said: a field is set when the file says something else than that, so that live changes stay while the file stays. A
-- field that the file leaves out goes back to inherited, unless it was changed live. Repeatable: what the file says is
-- remembered then, and the repeat finds nothing to do. Takes next to no memory, and a full Redis must not keep gateways from
-- starting.
--
-- KEYS  1 table config
-- ARGV  field and value, as the file has them; `shards` among them or not
-- Answers {'gone'} · {'ok', then field and what: `set`, `inherited`, `kept` (left out, but changed live), `smaller` (shards
--         only grow; what the file says is not taken, and not remembered)}
local config = KEYS[1]
local flat = redis.call('HGETALL', config)
local now = {}
for at = 1, #flat, 2 do
  now[flat[at]] = flat[at + 1]
end
if not now['generation'] or now['status'] == 'deleting' then
  return { 'gone' }
end

local answer = { 'ok' }
local function tell(field, what)
  answer[#answer + 1] = field
  answer[#answer + 1] = what
end

local said = {}
for at = 1, #ARGV, 2 do
  local field, value = ARGV[at], ARGV[at + 1]
  said[field] = true
  if now['file:' .. field] ~= value then
    if field == 'shards' and tonumber(value) < tonumber(now['shards']) then
      tell(field, 'smaller')
    else
      if now[field] ~= value then
        if field == 'shards' then
          -- Rows stay in the shard that they were written to: which counts there were is needed to find them.
          local history = now['shard_history'] or now['shards']
          redis.call('HSET', config, 'shard_history', history .. ',' .. value)
        end
        redis.call('HSET', config, field, value)
        tell(field, 'set')
      end
      redis.call('HSET', config, 'file:' .. field, value)
    end
  end
end

for at = 1, #flat, 2 do
  local field = string.match(flat[at], '^file:(.*)$')
  if field and not said[field] then
    if field ~= 'shards' and now[field] == flat[at + 1] then
      redis.call('HDEL', config, field)
      tell(field, 'inherited')
    elseif field ~= 'shards' and now[field] then
      tell(field, 'kept')
    end
    redis.call('HDEL', config, flat[at])
  end
end
return answer
