local stream, group, consumer, idle = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local claimed, deleted = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if #redis.call('XPENDING', stream, group, 'IDLE', idle, id, id, 1) > 0 then
    local entry = redis.call('XCLAIM', stream, group, consumer, idle, id)[1]
    if entry then
      table.insert(claimed, entry)
    else
      redis.call('XACK', stream, group, id)
      table.insert(deleted, id)
    end
  end
end
return {claimed, deleted}
