-- The first command that this user may not run on this store's keys; an empty text when there is none.
local log, head, set = KEYS[1], KEYS[2], KEYS[3]
for _, command in ipairs({
  { 'XLEN', log }, { 'XADD', log, '1-1', 'e', '' }, { 'XRANGE', log, '-', '+' },
  { 'HGET', head, 'head' }, { 'HMGET', head, 'row' }, { 'HSET', head, 'head', '' },
  { 'ZADD', set, 0, '' }, { 'ZREM', set, '' }, { 'ZCARD', set }, { 'ZCOUNT', set, 0, 0 },
  { 'ZRANGE', set, 0, 0 }, { 'ZSCORE', set, '' }, { 'PEXPIREAT', log, 1 }, { 'PERSIST', log },
  { 'TIME' }, { 'EVALSHA', '', 0 }, { 'EVAL', '', 0 },
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return command[1]
  end
end
return ''
