-- The slots after a version up to a number and to a number of bytes, at least one, and the head:
-- {slots, whether there are more, head}.
local log, head, from = KEYS[1], KEYS[2], ARGV[1]
local most, bytes = tonumber(ARGV[2]), tonumber(ARGV[3])

local slots, more = {}, 0
while true do
  local slot = redis.call('XRANGE', log, from, '+', 'COUNT', 1)[1]
  if not slot then break end
  bytes = bytes - #slot[2][2]
  if #slots > 0 and (bytes < 0 or #slots == most) then
    more = 1
    break
  end
  slots[#slots + 1] = slot
  from = '(' .. slot[1]
end
return { slots, more, redis.call('HGET', head, 'head') }
