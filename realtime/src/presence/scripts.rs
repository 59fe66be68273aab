//! What must happen to several presence keys in one step.
use redis::Script;

/// `KEYS`: a person's sockets, that they are moving, what they chose, what others were told, when that changed,
/// and the invisible. `ARGV`: the person, what they chose if they did not, what others see of as nothing, and
/// how long and of how many people changes are kept.
const NOTE_TOLD: &str = r"
local seen = ''
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then
    seen = redis.call('GET', KEYS[3]) or ARGV[2]
    if seen == ARGV[3] or redis.call('SISMEMBER', KEYS[6], ARGV[1]) == 1 then seen = '' end
end
local told = redis.call('HGET', KEYS[4], ARGV[1]) or ''
if seen == '' then
    redis.call('HDEL', KEYS[4], ARGV[1])
else
    redis.call('HSET', KEYS[4], ARGV[1], seen)
end
if told ~= seen then
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZADD', KEYS[5], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[4])
    redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[5])
    redis.call('PEXPIRE', KEYS[5], ARGV[4])
end
return {told, seen}
";
/// `KEYS`: what a person chose, the invisible, and in which version of their account people chose last. `ARGV`:
/// the person, what they chose, the version of their account by then, what others see of as nothing, and how
/// long it is kept, seconds. Of two choices at once the one that was recorded last holds.
const CHOOSE: &str = r"
local known = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0')
if tonumber(ARGV[3]) < known then return end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('EXPIRE', KEYS[3], 3600)
if ARGV[2] == ARGV[4] then
    redis.call('SET', KEYS[1], ARGV[2])
    redis.call('SADD', KEYS[2], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[5])
    redis.call('SREM', KEYS[2], ARGV[1])
end
";
/// `KEYS`: a socket, its person's sockets, that they are moving. `ARGV`: the socket, and how long they are
/// believed to be on their way, milliseconds.
const HAND_OVER: &str = r"
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[3], 1, 'PX', ARGV[2]) end
";

/// The scripts, ready to be called.
pub(super) struct Scripts {
    pub(super) choose: Script,
    pub(super) note_told: Script,
    pub(super) hand_over: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let [choose, note_told, hand_over] = [CHOOSE, NOTE_TOLD, HAND_OVER].map(Script::new);
        Self { choose, note_told, hand_over }
    }
}
