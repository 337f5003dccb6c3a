-- Takes the slot after a version: 1 when it did, 0 when the slot is taken.
local log, head, running = KEYS[1], KEYS[2], KEYS[4]
local after, slot, entries, writer = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- Slots are numbered from 1 without a gap and never leave alone, so their count is the version.
if redis.call('XLEN', log) ~= tonumber(after) then
  return 0
end

local function set_head(json, row, score, listed, runs, expires)
  local lists, id = lists_of(row)
  local old = redis.call('HGET', head, 'row') or ''
  -- A key of another kind fails here, before anything is written.
  for _, key in ipairs(lists) do redis.call('ZCARD', key) end
  for _, key in ipairs({ expiring, running }) do redis.call('ZCARD', key) end
  if old ~= '' then
    for _, key in ipairs((lists_of(old))) do redis.call('ZCARD', key) end
  end
  -- Every task that expires was appended to before, so this keeps up with them.
  purge(16)

  redis.call('XADD', log, slot, 'e', entries)
  redis.call('HSET', head, 'head', json, 'row', listed and row or '', 'score', score)
  if old ~= '' and old ~= row then
    delist(old)
    redis.call('ZREM', expiring, old)
  end
  if listed then
    enlist(row, score)
  elseif old == row then
    delist(row)
  end
  if listed and expires ~= '' then
    redis.call('ZADD', expiring, expires, row)
  else
    redis.call('ZREM', expiring, row)
  end
  redis.call(runs and 'ZADD' or 'ZREM', running, unpack(runs and { 0, id } or { id }))
  for _, key in ipairs({ log, head }) do
    if expires ~= '' then
      redis.call('PEXPIREAT', key, expires)
    else
      redis.call('PERSIST', key)
    end
  end
end

if ARGV[6] then
  set_head(ARGV[6], ARGV[7], ARGV[8], ARGV[9] == '1', ARGV[10] == '1', ARGV[11])
else
  redis.call('XADD', log, slot, 'e', entries)
end
-- A hint: the append stands without it.
redis.pcall('PUBLISH', log, writer)
return 1
